// BPF, whose system call glibc does not wrap: one listening socket for every TCP port of a network namespace.
#pragma once
#include <stdint.h>

// While the returned descriptor is open, every TCP connection to an address of the network namespace `network`, whatever its
// port, arrives at `listener`, unless it belongs to a connection there is. Linux 5.9 and newer (kernel document
// bpf/prog_sk_lookup.rst). Returns -1 with errno where the kernel or the caller's capabilities (CAP_NET_ADMIN, CAP_BPF) do not
// allow it.
int cs_take_connections(int listener, int network);

// A listening TCP socket at a port of the kernel's choice, for IPv6 and IPv4 alike where there is IPv6. Close-on-exec; -1 with
// errno.
int cs_listen_tcp(void);

// accept(2), and where the peer wanted to connect to: an address as text (an IPv4 one as such) and a port.
int cs_accept_tcp(int listener, char *address, uint32_t size, uint16_t *port);

// Whoever is at the other end of a TCP connection finds it reset when `socket` is closed, not ended.
void cs_reset_when_closed(int socket);
