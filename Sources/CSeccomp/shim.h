// libseccomp: programs of system call filters.
#pragma once
#include <seccomp.h>
