// System calls that Swift cannot import: variadic ones, macros, and structures with flexible members.
#pragma once
#include "cmounts.h"
#include "cnamespaces.h"
#include "csocketlookup.h"
#include "cstreams.h"
#include "cterminal.h"
#include "cthreads.h"
#include <errno.h>
#include <linux/vm_sockets.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/timerfd.h>
#include <sys/signalfd.h>
#include <sys/types.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <termios.h>

// pidfd_open(2), pidfd_send_signal(2), pidfd_getfd(2): no glibc wrapper in 2.36.
int cs_pidfd_open(pid_t pid);
int cs_pidfd_send_signal(int pidfd, int signal);

// prctl(2) is variadic.
int cs_set_child_subreaper(int is_subreaper);
int cs_set_parent_death_signal(int signal);

// openat2(2) with RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS: a path an image or guest names, opened below a directory.
int cs_openat_beneath(int directory, const char *path, int flags, mode_t mode);

// Sends `length` bytes with `count` descriptors as SCM_RIGHTS; receives up to `capacity` bytes and `*count` descriptors
// (opened close-on-exec). Both return what sendmsg/recvmsg return. A message whose descriptors did not fit has them
// closed and fails with EMSGSIZE.
ssize_t cs_send_fds(int socket, const void *bytes, size_t length, const int *fds, int count);
ssize_t cs_receive_fds(int socket, void *bytes, size_t capacity, int *fds, int *count);

// The C library's streams are macros or mutable globals that Swift 6 refuses.
FILE *cs_stderr(void);

// waitid(P_PIDFD): fills the wait status in waitpid's encoding. Returns 0, or -1 with errno.
int cs_wait_pidfd(int pidfd, int *status, int options);

// W* macros.
int cs_exited(int status);
int cs_exit_code(int status);
int cs_term_signal(int status);

// Calls that glibc declares under _GNU_SOURCE, where Swift does not look. All descriptors are opened close-on-exec.
int cs_accept(int listener);
int cs_pipe(int fds[2]);
int cs_memfd(const char *name);
int cs_unshare_mounts(void);
// Puts the calling thread, and no other, into these namespaces: of mounts, network and host name.
int cs_enter_namespaces(int mount, int network, int name);
void cs_name_thread(const char *name);
// posix_spawn_file_actions_addclosefrom_np.
int cs_close_from(posix_spawn_file_actions_t *actions, int first);

// fork(2), which Swift refuses: only for a process that is still single-threaded. setsid(2) and _exit are plain imports.
pid_t cs_fork(void);
// malloc.h is glibc's own: one heap for all threads, and what is free of it back to the kernel.
void cs_use_one_heap(void);
void cs_trim_heap(void);
// flock(2) shares its name with a structure.
int cs_flock(int fd, int operation);

// ioctl numbers with structure sizes.
int cs_get_window_size(int fd, uint16_t *rows, uint16_t *columns);
int cs_set_window_size(int fd, uint16_t rows, uint16_t columns);
