// System calls and kernel structures that Swift cannot import (variadic functions, macros, system calls without a glibc
// wrapper), and the few places where Swift must not run: between clone and exec.
#pragma once
#include "crtnetlink.h"
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <sys/xattr.h>

// --- spawn.c: a child that runs this very program's init stage.

// At most this many descriptors are handed to a child.
enum { CA_MOST_DESCRIPTORS = 8 };

struct ca_spawn {
    // The program, an O_PATH descriptor, run as `program init`.
    int program;
    // CLONE_NEW* of the child.
    uint64_t namespaces;
    // Descriptor of the cgroup (v2) the child starts in, or -1.
    int cgroup;
    // pidfd of a process whose PID namespace the child is born in, or -1.
    int pid_namespace_of;
    // The caller's own PID namespace, to return to; only used with `pid_namespace_of`.
    int own_pid_namespace;
    // What the child gets as 0, 1, 2, …; all else is closed.
    int descriptors[CA_MOST_DESCRIPTORS];
    int descriptor_count;
};

// clone3(2) with CLONE_PIDFD, then execveat(2). Returns the child's pid and its pidfd, or -1 with errno. A child that
// cannot execute the program exits with 127. In a new user namespace every number is itself: it separates capabilities,
// not numbers.
pid_t ca_spawn(const struct ca_spawn *spawn, int *pidfd);

// CLONE_NEW* by their names in the runtime specification; 0 for an unknown one.
uint64_t ca_namespace_flag(const char *name);

// --- guest.c: what the guest's first process does once.

// socket(2) and connect(2) of AF_VSOCK. Returns a close-on-exec descriptor or -1.
int ca_vsock_connect(uint32_t cid, uint32_t port);
// A netlink socket that receives the kernel's device events.
int ca_uevent_socket(void);
// Sets the loopback interface of the caller's network namespace up.
int ca_loopback_up(void);
// RNDADDENTROPY: mixes bytes into the kernel's generator and credits them.
int ca_add_entropy(const void *bytes, size_t length);
// syncfs(2).
int ca_syncfs(int fd);
// BLKPG_ADD_PARTITION: offset and length in bytes, of whole sectors. The device file is there when this returns.
int ca_add_partition(int disk, int number, uint64_t offset, uint64_t length);
// sync(2) is the caller's. Does not return when it succeeds.
int ca_power_off(void);
// mallopt: one arena, for the sake of a small guest's memory.
void ca_spare_memory(void);
// Waits for any child. Returns its pid and fills the status in waitpid's encoding; 0 if `block` is not set and none has
// ended; -1 with errno.
pid_t ca_reap(int *status, int block);

// --- stage.c: what the init stage does between exec and exec.

int ca_setns(int fd, uint64_t kinds);
int ca_unshare(uint64_t kinds);
int ca_pivot_root(const char *new_root, const char *put_old);
// openat2(2) with RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS: neither `..` nor a symbolic link leads out of `root`.
int ca_open_in_root(int root, const char *path, int flags, mode_t mode);
// mknodat(2) with the device number's two parts.
int ca_make_node(int directory, const char *name, mode_t mode, uint32_t major, uint32_t minor);
// mount_setattr(2) on what `fd` refers to, with everything below it if `recursive`: attributes MOUNT_ATTR_* to set and
// to clear.
int ca_mount_setattr(int fd, int recursive, uint64_t set, uint64_t clear);
// All signals to their default actions and unblocked.
void ca_reset_signals(void);
// Every descriptor from `first` on is closed by the next exec.
int ca_close_on_exec_from(unsigned first);
// PR_SET_DUMPABLE.
int ca_set_dumpable(int on);
int ca_set_no_new_privs(void);
int ca_set_keep_capabilities(int on);
// PR_CAPBSET_READ: 1, 0, or -1 (EINVAL) beyond the last capability the kernel knows.
int ca_bounding_has(int capability);
int ca_bounding_drop(int capability);
int ca_ambient_clear(void);
int ca_ambient_raise(int capability);
// capset(2) of this thread; bit n is capability n.
int ca_capset(uint64_t effective, uint64_t permitted, uint64_t inheritable);
// setgroups(2), setresgid(2), setresuid(2).
int ca_set_ids(uint32_t uid, uint32_t gid, const uint32_t *groups, size_t count);
int ca_set_rlimit(int resource, uint64_t soft, uint64_t hard);
// Loads a compiled filter: seccomp(2). `flags` is SECCOMP_FILTER_FLAG_*.
int ca_seccomp_load(const void *program, size_t length_in_bytes, unsigned flags);
// Terminals: unlocks a master and opens its slave without a path (TIOCGPTPEER); makes a terminal the session's.
int ca_open_terminal_peer(int master);
int ca_terminal_number(int master);
int ca_set_controlling_terminal(int terminal);
int ca_set_window_size(int terminal, uint16_t rows, uint16_t columns);
// O_PATH and its like, which Swift does not see.
extern const int ca_o_path, ca_o_directory, ca_o_nofollow;
extern const int ca_f_setpipe_sz;
extern const int ca_mnt_detach;
int ca_fcntl(int fd, int command, int argument);
// Loads a program over device accesses (BPF_PROG_TYPE_CGROUP_DEVICE), one instruction a word, and attaches it to a cgroup.
int ca_attach_device_filter(int cgroup, const uint64_t *program, uint32_t count);
int ca_openat(int directory, const char *name, int flags, mode_t mode);

// Runs the program; returns errno.
int ca_execve(const char *path, char *const arguments[], char *const environment[]);
