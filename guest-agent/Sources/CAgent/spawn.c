// Between clone and exec only the kernel may be called: the child is a copy of one thread of a process with many.
#define _GNU_SOURCE
#include "cagent.h"
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

static void run_child(const struct ca_spawn *spawn, int mapped) __attribute__((noreturn));

static void run_child(const struct ca_spawn *spawn, int mapped) {
    // A program executed before its user is mapped would lose its capabilities.
    char byte;
    if (mapped >= 0 && read(mapped, &byte, 1) != 1) _exit(127);
    int copies[CA_MOST_DESCRIPTORS];
    // Out of the way first, so that no target number overwrites a source still needed.
    for (int i = 0; i < spawn->descriptor_count; i++) {
        copies[i] = fcntl(spawn->descriptors[i], F_DUPFD_CLOEXEC, 64);
        if (copies[i] < 0) _exit(127);
    }
    int program = fcntl(spawn->program, F_DUPFD_CLOEXEC, 64);
    for (int i = 0; i < spawn->descriptor_count; i++)
        if (dup2(copies[i], i) < 0) _exit(127);
    static char name[] = "cloister-agent", stage[] = "init";
    char *arguments[] = {name, stage, NULL};
    char *environment[] = {NULL};
    // Every other descriptor of this program is close-on-exec.
    syscall(SYS_execveat, program, "", arguments, environment, AT_EMPTY_PATH);
    _exit(127);
}

static int write_map(pid_t pid, const char *file) {
    static const char map[] = "0 0 4294967295\n";
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t written = write(fd, map, sizeof map - 1);
    close(fd);
    return written == sizeof map - 1 ? 0 : -1;
}

pid_t ca_spawn(const struct ca_spawn *spawn, int *pidfd) {
    int mapped[2] = {-1, -1};
    if ((spawn->namespaces & CLONE_NEWUSER) && pipe2(mapped, O_CLOEXEC) < 0) return -1;
    if (spawn->pid_namespace_of >= 0 && setns(spawn->pid_namespace_of, CLONE_NEWPID) < 0) return -1;
    struct clone_args arguments;
    memset(&arguments, 0, sizeof arguments);
    int fd = -1;
    arguments.flags = CLONE_PIDFD | spawn->namespaces;
    arguments.pidfd = (uint64_t)(uintptr_t)&fd;
    arguments.exit_signal = SIGCHLD;
    if (spawn->cgroup >= 0) {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = (uint64_t)spawn->cgroup;
    }
    pid_t pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
    if (pid == 0) run_child(spawn, mapped[0]);
    int code = errno;
    if (pid > 0 && mapped[1] >= 0 && write_map(pid, "uid_map") == 0 && write_map(pid, "gid_map") == 0)
        (void)!write(mapped[1], "", 1); // Without it the child ends, which its channel tells.
    for (int i = 0; i < 2; i++)
        if (mapped[i] >= 0) close(mapped[i]);
    if (spawn->pid_namespace_of >= 0) setns(spawn->own_pid_namespace, CLONE_NEWPID);
    errno = code;
    *pidfd = fd;
    return pid;
}

uint64_t ca_namespace_flag(const char *name) {
    static const struct { const char *name; uint64_t flag; } table[] = {
        {"pid", CLONE_NEWPID}, {"network", CLONE_NEWNET}, {"ipc", CLONE_NEWIPC}, {"uts", CLONE_NEWUTS},
        {"mount", CLONE_NEWNS}, {"cgroup", CLONE_NEWCGROUP}, {"user", CLONE_NEWUSER}, {"time", CLONE_NEWTIME},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(name, table[i].name) == 0) return table[i].flag;
    return 0;
}
