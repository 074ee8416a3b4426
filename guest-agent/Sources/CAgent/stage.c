#define _GNU_SOURCE
#include "cagent.h"
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

int ca_setns(int fd, uint64_t kinds) { return setns(fd, (int)kinds); }

int ca_unshare(uint64_t kinds) { return unshare((int)kinds); }

int ca_pivot_root(const char *new_root, const char *put_old) {
    return (int)syscall(SYS_pivot_root, new_root, put_old);
}

int ca_open_in_root(int root, const char *path, int flags, mode_t mode) {
    struct open_how how = {
        .flags = (uint64_t)(flags | O_CLOEXEC),
        .mode = (flags & O_CREAT) ? mode : 0,
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
    };
    int fd;
    // EAGAIN: a rename or mount elsewhere raced with `..`; the kernel asks to try again.
    do fd = (int)syscall(SYS_openat2, root, path, &how, sizeof how);
    while (fd < 0 && errno == EAGAIN);
    return fd;
}

int ca_make_node(int directory, const char *name, mode_t mode, uint32_t major_number, uint32_t minor_number) {
    return mknodat(directory, name, mode, makedev(major_number, minor_number));
}

int ca_mount_setattr(int fd, int recursive, uint64_t set, uint64_t clear) {
    struct mount_attr attributes = {.attr_set = set, .attr_clr = clear};
    return (int)syscall(
        SYS_mount_setattr, fd, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &attributes, sizeof attributes);
}

void ca_reset_signals(void) {
    // The kernel's own call: the C library hides two signals, which a program must not inherit ignored either.
    struct { void *handler; unsigned long flags; void *restorer; uint64_t mask; } action = {SIG_DFL, 0, NULL, 0};
    for (int number = 1; number < NSIG; number++) syscall(SYS_rt_sigaction, number, &action, NULL, sizeof action.mask);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

int ca_close_on_exec_from(unsigned first) { return close_range(first, ~0U, CLOSE_RANGE_CLOEXEC); }

int ca_set_dumpable(int on) { return prctl(PR_SET_DUMPABLE, on, 0, 0, 0); }
int ca_set_no_new_privs(void) { return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); }
int ca_set_keep_capabilities(int on) { return prctl(PR_SET_KEEPCAPS, on, 0, 0, 0); }
int ca_bounding_has(int capability) { return prctl(PR_CAPBSET_READ, capability, 0, 0, 0); }
int ca_bounding_drop(int capability) { return prctl(PR_CAPBSET_DROP, capability, 0, 0, 0); }
int ca_ambient_clear(void) { return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); }
int ca_ambient_raise(int capability) { return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0); }

int ca_capset(uint64_t effective, uint64_t permitted, uint64_t inheritable) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct data[2] = {
        {(uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable},
        {(uint32_t)(effective >> 32), (uint32_t)(permitted >> 32), (uint32_t)(inheritable >> 32)},
    };
    return (int)syscall(SYS_capset, &header, data);
}

int ca_set_ids(uint32_t uid, uint32_t gid, const uint32_t *groups, size_t count) {
    if (setgroups(count, groups) < 0) return -1;
    if (setresgid(gid, gid, gid) < 0) return -1;
    return setresuid(uid, uid, uid);
}

int ca_set_rlimit(int resource, uint64_t soft, uint64_t hard) {
    struct rlimit limit = {.rlim_cur = soft, .rlim_max = hard};
    return setrlimit((__rlimit_resource_t)resource, &limit);
}

int ca_seccomp_load(const void *program, size_t length_in_bytes, unsigned flags) {
    // Of 65536 and more the kernel would be told the remainder.
    if (length_in_bytes > BPF_MAXINSNS * sizeof(struct sock_filter)) {
        errno = EINVAL;
        return -1;
    }
    struct sock_fprog filter = {
        .len = (unsigned short)(length_in_bytes / sizeof(struct sock_filter)),
        .filter = (struct sock_filter *)program,
    };
    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter);
}

int ca_open_terminal_peer(int master) {
    int unlocked = 0;
    if (ioctl(master, TIOCSPTLCK, &unlocked) < 0) return -1;
    return ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
}

int ca_terminal_number(int master) {
    unsigned number;
    return ioctl(master, TIOCGPTN, &number) < 0 ? -1 : (int)number;
}

int ca_set_controlling_terminal(int terminal) { return ioctl(terminal, TIOCSCTTY, 0); }

int ca_set_window_size(int terminal, uint16_t rows, uint16_t columns) {
    struct winsize size = {.ws_row = rows, .ws_col = columns};
    return ioctl(terminal, TIOCSWINSZ, &size);
}

const int ca_o_path = O_PATH, ca_o_directory = O_DIRECTORY, ca_o_nofollow = O_NOFOLLOW;
const int ca_f_setpipe_sz = F_SETPIPE_SZ;
const int ca_mnt_detach = MNT_DETACH;

int ca_fcntl(int fd, int command, int argument) { return fcntl(fd, command, argument); }

int ca_execve(const char *path, char *const arguments[], char *const environment[]) {
    execve(path, arguments, environment);
    return errno;
}

int ca_openat(int directory, const char *name, int flags, mode_t mode) {
    return openat(directory, name, flags | O_CLOEXEC, mode);
}
