// splice(2) is a GNU extension that Swift does not see.
#pragma once
#include <stddef.h>
#include <sys/types.h>

// Moves up to `length` bytes between descriptors, one of which is a pipe, without copying them through this process.
// Returns the bytes moved, 0 at the end of `from`, or -1 with errno.
ssize_t cs_splice(int from, int to, size_t length);
