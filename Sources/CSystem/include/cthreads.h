// gettid(2) is a GNU extension that Swift does not see.
#pragma once
#include <sys/types.h>

pid_t cs_thread_number(void);
