#define _GNU_SOURCE
#include "cthreads.h"
#include <unistd.h>

pid_t cs_thread_number(void) { return gettid(); }
