#define _GNU_SOURCE
#include "csystem.h"
#include <fcntl.h>
#include <linux/openat2.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int cs_pidfd_open(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

int cs_pidfd_send_signal(int pidfd, int signal) { return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0); }

int cs_set_child_subreaper(int is_subreaper) { return prctl(PR_SET_CHILD_SUBREAPER, is_subreaper, 0, 0, 0); }

int cs_set_parent_death_signal(int signal) { return prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0); }

int cs_openat_beneath(int directory, const char *path, int flags, mode_t mode) {
    struct open_how how = {
        .flags = (uint64_t)flags | O_CLOEXEC,
        .mode = (flags & (O_CREAT | O_TMPFILE)) ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    return (int)syscall(SYS_openat2, directory, path, &how, sizeof how);
}

enum { max_fds = 16 };

ssize_t cs_send_fds(int socket, const void *bytes, size_t length, const int *fds, int count) {
    if (count > max_fds) { errno = EINVAL; return -1; }
    union { struct cmsghdr header; char space[CMSG_SPACE(sizeof(int) * max_fds)]; } control;
    struct iovec iov = {(void *)bytes, length};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    if (count > 0) {
        message.msg_control = control.space;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)count);
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)count);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * (size_t)count);
    }
    return sendmsg(socket, &message, MSG_NOSIGNAL);
}

ssize_t cs_receive_fds(int socket, void *bytes, size_t capacity, int *fds, int *count) {
    union { struct cmsghdr header; char space[CMSG_SPACE(sizeof(int) * max_fds)]; } control;
    struct iovec iov = {bytes, capacity};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space};
    int wanted = *count, received = 0;
    *count = 0;
    ssize_t n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (n < 0) return n;
    int overflow = (message.msg_flags & MSG_CTRUNC) != 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        int here = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        for (int i = 0; i < here; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + sizeof(int) * (size_t)i, sizeof fd);
            if (received < wanted) fds[received++] = fd;
            else { close(fd); overflow = 1; }
        }
    }
    if (overflow) {
        for (int i = 0; i < received; i++) close(fds[i]);
        errno = EMSGSIZE;
        return -1;
    }
    *count = received;
    return n;
}

FILE *cs_stderr(void) { return stderr; }

int cs_wait_pidfd(int pidfd, int *status, int options) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    if (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | options) < 0) return -1;
    if (info.si_pid == 0) { errno = EAGAIN; return -1; }
    *status = info.si_code == CLD_EXITED ? (info.si_status & 0xff) << 8 : info.si_status | (info.si_code == CLD_DUMPED ? 0x80 : 0);
    return 0;
}

int cs_exited(int status) { return WIFEXITED(status); }
int cs_exit_code(int status) { return WEXITSTATUS(status); }
int cs_term_signal(int status) { return WTERMSIG(status); }

int cs_get_window_size(int fd, uint16_t *rows, uint16_t *columns) {
    struct winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) < 0) return -1;
    *rows = size.ws_row;
    *columns = size.ws_col;
    return 0;
}

int cs_set_window_size(int fd, uint16_t rows, uint16_t columns) {
    struct winsize size = {.ws_row = rows, .ws_col = columns};
    return ioctl(fd, TIOCSWINSZ, &size);
}

pid_t cs_fork(void) { return fork(); }

void cs_use_one_heap(void) { mallopt(M_ARENA_MAX, 1); }

void cs_trim_heap(void) { malloc_trim(0); }

int cs_flock(int fd, int operation) { return flock(fd, operation); }

int cs_accept(int listener) { return accept4(listener, NULL, NULL, SOCK_CLOEXEC); }

int cs_pipe(int fds[2]) { return pipe2(fds, O_CLOEXEC); }

int cs_memfd(const char *name) { return memfd_create(name, MFD_CLOEXEC); }

void cs_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }

int cs_close_from(posix_spawn_file_actions_t *actions, int first) {
    return posix_spawn_file_actions_addclosefrom_np(actions, first);
}

int cs_unshare_mounts(void) { return unshare(CLONE_NEWNS); }

int cs_enter_namespaces(int mount, int network, int name) {
    // A thread that shares its root and working directory with others may not change its mount namespace.
    if (unshare(CLONE_FS) != 0) return -1;
    if (setns(network, CLONE_NEWNET) != 0 || setns(name, CLONE_NEWUTS) != 0) return -1;
    return setns(mount, CLONE_NEWNS);
}
