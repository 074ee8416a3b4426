// setns(2) and unshare(2) are GNU extensions that Swift does not see.
#pragma once

// Puts the calling thread into the network namespace that `fd` refers to, or into a new one. 0, or -1 with errno.
int cs_enter_network_namespace(int fd);
int cs_unshare_network(void);
// A host name of the process's own.
int cs_unshare_host_name(void);
