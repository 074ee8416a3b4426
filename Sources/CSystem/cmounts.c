#define _GNU_SOURCE
#include "cmounts.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// <sys/mount.h> and <linux/mount.h> of this glibc define the same things.
extern int mount(const char *, const char *, const char *, unsigned long, const void *);
enum { ms_rec = 16384, ms_slave = 1 << 19, mnt_detach = 2, umount_nofollow = 8 };

const uint64_t cs_mount_attribute_read_only = MOUNT_ATTR_RDONLY;
const int cs_o_path = O_PATH;
const int cs_detach_mounts = mnt_detach | umount_nofollow;

int cs_clone_mounts(const char *path, int recursive) {
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0);
    return (int)syscall(SYS_open_tree, AT_FDCWD, path, flags);
}

int cs_set_mount_attributes(int tree, int recursive, uint64_t set, uint64_t propagation) {
    struct mount_attr attributes = {.attr_set = set, .propagation = propagation};
    unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
    return (int)syscall(SYS_mount_setattr, tree, "", flags, &attributes, sizeof attributes);
}

int cs_attach_mounts(int tree, const char *path, int follows_link) {
    unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | (follows_link ? MOVE_MOUNT_T_SYMLINKS : 0);
    return (int)syscall(SYS_move_mount, tree, "", AT_FDCWD, path, flags);
}

int cs_unshare_working_directory(void) { return unshare(CLONE_FS); }

int cs_attach_loop(int file, int read_only, char *path, size_t capacity) {
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    if (control < 0) return -1;
    int device = -1;
    // Another may take the free one in between.
    for (int attempt = 0; attempt < 64; attempt++) {
        int number = ioctl(control, LOOP_CTL_GET_FREE);
        if (number < 0) break;
        snprintf(path, capacity, "/dev/loop%d", number);
        device = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
        if (device < 0) break;
        struct loop_config configuration = {.fd = (uint32_t)file};
        configuration.info.lo_flags = LO_FLAGS_AUTOCLEAR | (read_only ? LO_FLAGS_READ_ONLY : 0);
        if (ioctl(device, LOOP_CONFIGURE, &configuration) == 0) break;
        int error = errno;
        close(device);
        device = -1;
        errno = error;
        if (error != EBUSY) break;
    }
    int error = errno;
    close(control);
    errno = error;
    return device;
}

// What the child tells its parent of its failure.
struct report {
    int step;
    int error;
};

static const char *const steps[] = {
    "wait for its numbers", "take its groups off", "mount /", "bind the directory", "make the directory read-only",
    "hand descriptors over", "execute the program",
};

static void reset_signals(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_DFL;
    for (int number = 1; number < NSIG; number++) sigaction(number, &action, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

// Only system calls: other threads of the parent may have held any lock.
static int run_child(const struct cs_confined *what, int go, int result) {
    char byte;
    int step = 0;
    // The end of the pipe alone means that the parent failed.
    if (read(go, &byte, 1) != 1) { errno = ECANCELED; return step; }
    step = 1;
    // glibc's own would signal the threads that the parent had.
    if (syscall(SYS_setgroups, 0, NULL) != 0) return step;
    step = 2;
    if (mount(NULL, "/", NULL, ms_rec | ms_slave, NULL) != 0) return step;
    step = 3;
    int tree = cs_clone_mounts(what->read_only_directory, 1);
    if (tree < 0) return step;
    step = 4;
    if (cs_set_mount_attributes(tree, 0, MOUNT_ATTR_RDONLY, 0) != 0) return step;
    if (cs_attach_mounts(tree, what->read_only_directory, 0) != 0) return step;
    step = 5;
    enum { out_of_the_way = 64 };
    int copies[cs_most_descriptors];
    for (int i = 0; i < what->descriptor_count; i++) {
        copies[i] = fcntl(what->descriptors[i], F_DUPFD_CLOEXEC, out_of_the_way);
        if (copies[i] < 0) return step;
    }
    int kept = fcntl(result, F_DUPFD_CLOEXEC, out_of_the_way);
    if (kept < 0) return step;
    for (int i = 0; i < what->descriptor_count; i++) {
        if (dup2(copies[i], i) < 0) return step;
    }
    if (syscall(SYS_close_range, what->descriptor_count, ~0U, CLOSE_RANGE_CLOEXEC) != 0) return step;
    reset_signals();
    step = 6;
    execve(what->path, what->arguments, what->environment);
    struct report report = {step, errno};
    (void)!write(kept, &report, sizeof report);
    _exit(127);
}

static int write_file(pid_t child, const char *name, const char *text, size_t length) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)child, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t written = write(fd, text, length);
    int error = errno;
    close(fd);
    errno = error;
    return written == (ssize_t)length ? 0 : -1;
}

// Every number of the parent's namespace becomes itself: `INSIDE OUTSIDE COUNT` lines (user_namespaces(7)), at most 340.
static int map_itself(pid_t child, const char *name) {
    char own[64];
    snprintf(own, sizeof own, "/proc/self/%s", name);
    FILE *file = fopen(own, "re");
    if (!file) return -1;
    static const size_t capacity = 4096;
    char text[capacity];
    size_t length = 0;
    unsigned inside, outside, count;
    while (fscanf(file, "%u %u %u", &inside, &outside, &count) == 3 && length + 40 < capacity)
        length += (size_t)snprintf(text + length, capacity - length, "%u %u %u\n", inside, inside, count);
    fclose(file);
    return write_file(child, name, text, length);
}

static void raise_limit(pid_t child, uint64_t limit) {
    struct rlimit64 current, wanted = {limit, limit};
    if (prlimit64(child, RLIMIT_NOFILE, NULL, &current) != 0) return;
    if (current.rlim_max > limit) wanted.rlim_max = current.rlim_max;
    if (prlimit64(child, RLIMIT_NOFILE, &wanted, NULL) == 0) return;
    wanted = (struct rlimit64){current.rlim_max, current.rlim_max};
    prlimit64(child, RLIMIT_NOFILE, &wanted, NULL);
}

pid_t cs_spawn_confined(const struct cs_confined *what, int *pidfd, const char **step) {
    int go[2], result[2];
    *step = "make a pipe";
    if (pipe2(go, O_CLOEXEC) != 0) return -1;
    if (pipe2(result, O_CLOEXEC) != 0) {
        int error = errno;
        close(go[0]);
        close(go[1]);
        errno = error;
        return -1;
    }
    struct clone_args arguments = {
        .flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_PIDFD,
        .pidfd = (uint64_t)(uintptr_t)pidfd,
        .exit_signal = SIGCHLD,
    };
    *step = "make a user namespace";
    pid_t child = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
    if (child == 0) {
        close(go[1]);
        struct report report;
        report.step = run_child(what, go[0], result[1]);
        report.error = errno;
        (void)!write(result[1], &report, sizeof report);
        _exit(127);
    }
    int error = errno;
    close(go[0]);
    close(result[1]);
    int failed = child < 0;
    if (child > 0) {
        *step = "give it its numbers";
        raise_limit(child, what->descriptor_limit);
        failed = map_itself(child, "uid_map") != 0 || map_itself(child, "gid_map") != 0;
        error = errno;
        if (!failed) failed = write(go[1], "g", 1) != 1;
    }
    close(go[1]);
    struct report report;
    if (child > 0) {
        ssize_t count;
        do count = read(result[0], &report, sizeof report);
        while (count < 0 && errno == EINTR);
        if (count == sizeof report && !failed) {
            failed = 1;
            error = report.error;
            *step = steps[report.step];
        }
        if (failed) {
            kill(child, SIGKILL);
            while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
            close(*pidfd);
        }
    }
    close(result[0]);
    errno = error;
    return failed ? -1 : child;
}
