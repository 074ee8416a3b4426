// Between clone and exec only the kernel may be called: the child is a copy of one thread of a process with many.
#define _GNU_SOURCE
#include "cagent.h"
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

static void run_child(const struct ca_spawn *spawn) __attribute__((noreturn));

static void run_child(const struct ca_spawn *spawn) {
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

pid_t ca_spawn(const struct ca_spawn *spawn, int *pidfd) {
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
    if (pid == 0) run_child(spawn);
    int code = errno;
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
