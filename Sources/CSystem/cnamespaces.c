#define _GNU_SOURCE
#include "cnamespaces.h"
#include <sched.h>

int cs_enter_network_namespace(int fd) { return setns(fd, CLONE_NEWNET); }

int cs_unshare_network(void) { return unshare(CLONE_NEWNET); }

int cs_unshare_host_name(void) { return unshare(CLONE_NEWUTS); }
