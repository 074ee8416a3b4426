// What a front end and its tests are made of and Swift cannot import: calls that glibc declares under _GNU_SOURCE.
#pragma once

// memfd_create(2) and a non-blocking eventfd(2), close-on-exec.
int cv_memory_file(void);
int cv_event(void);

// Opens a pseudo-terminal pair in raw mode, both sides close-on-exec. Returns 0, or -1 with errno.
int cv_open_terminal(int *master, int *slave);
