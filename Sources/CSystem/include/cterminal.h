// The terminal in raw mode, and back whatever happens: a handler of a fatal signal can run no Swift.
#pragma once

// Keeps the settings of the terminal `fd` and makes it raw. The settings come back at `exit`, and when a fatal signal
// (SEGV, BUS, ILL, FPE, ABRT, TRAP) ends the process. One terminal a process. Returns 0, or -1 with errno.
int cs_terminal_make_raw(int fd);

// Brings the kept settings back; does nothing when the terminal is not raw. Async-signal-safe.
void cs_terminal_restore(void);
