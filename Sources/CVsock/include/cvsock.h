// Memory shared with a guest, read and written with the orderings virtqueues need. Swift has no atomic access to memory
// it does not own, and a plain load may be repeated by the compiler, so that a guest could show two values to one check.
#pragma once
#include <stdint.h>

static inline uint16_t cv_load16(const void *from) { return __atomic_load_n((const uint16_t *)from, __ATOMIC_ACQUIRE); }
static inline uint32_t cv_load32(const void *from) { return __atomic_load_n((const uint32_t *)from, __ATOMIC_ACQUIRE); }
static inline uint64_t cv_load64(const void *from) { return __atomic_load_n((const uint64_t *)from, __ATOMIC_ACQUIRE); }
static inline void cv_store16(void *to, uint16_t value) { __atomic_store_n((uint16_t *)to, value, __ATOMIC_RELEASE); }
static inline void cv_store32(void *to, uint32_t value) { __atomic_store_n((uint32_t *)to, value, __ATOMIC_RELAXED); }

// Orders a store before a later load: what the notification protocol rests on (virtio 1.2, 2.7.7 and 2.7.10).
static inline void cv_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

// fcntl(2) F_GET_SEALS is declared under _GNU_SOURCE, where Swift does not look. Returns the seals, or -1.
int cv_seals(int fd);

// sendmsg(2) of `count` vectors with MSG_DONTWAIT | MSG_NOSIGNAL, whatever the flags of the open file description.
struct iovec;
long cv_send(int socket, const struct iovec *vectors, int count);
// recvmsg(2) likewise.
long cv_receive(int socket, const struct iovec *vectors, int count);

// Blocks SIGPIPE for the calling thread, so that a reader that went away is EPIPE and no more.
void cv_block_sigpipe(void);

// Whether a device number is /dev/ptmx's: opening that by name makes a new terminal instead of reaching the same one.
int cv_is_terminal_multiplexer(uint64_t device);
