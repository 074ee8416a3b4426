extension SeccompProfile {
    /// The filter containerd and Docker give a container: what is not listed fails with EPERM. Left out on purpose, as
    /// they do: io_uring, which has been a way into too many kernels, and AF_VSOCK sockets, which lead out of the guest.
    ///
    /// Names that the filter library or the kernel does not know are to be skipped by whoever loads the filter.
    /// - Parameter capabilities: the container's bounding set; some calls are open to those who hold the capability that
    ///   the kernel asks for anyway.
    public static func `default`(capabilities: [String]) -> SeccompProfile {
        let held = Set(capabilities)
        var rules = [Rule(names: always.flatMap(words), action: .allow)]
        // The execution domains of Linux (0, PER_LINUX32 8), with and without UNAME26 (0x20000), and the query.
        for domain: UInt64 in [0, 8, 0x20000, 0x20008, 0xffff_ffff] {
            rules.append(
                Rule(
                    names: ["personality"], action: .allow,
                    args: [Argument(index: 0, value: domain, op: .equal)]))
        }
        let vsock: UInt64 = 40
        rules.append(
            Rule(names: ["socket"], action: .allow, args: [Argument(index: 0, value: vsock, op: .notEqual)]))
        rules.append(Rule(names: words(machine), action: .allow))
        for (capability, names) in byCapability where held.contains(capability) {
            rules.append(Rule(names: words(names), action: .allow))
        }
        if !held.contains("CAP_SYS_ADMIN") {
            // No new namespaces. clone3 has its flags in memory, where a filter cannot look: ENOSYS makes the C library
            // fall back to clone.
            let namespaces: UInt64 = 0x7e02_0000  // CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}
            rules.append(
                Rule(
                    names: ["clone"], action: .allow,
                    args: [Argument(index: 0, value: namespaces, valueTwo: 0, op: .maskedEqual)]))
            rules.append(Rule(names: ["clone3"], action: .errno, errnoRet: 38))
        }
        return SeccompProfile(
            defaultAction: .errno, defaultErrnoRet: 1, architectures: architectures, syscalls: rules)
    }

    #if arch(arm64)
    static let architectures = ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]
    private static let machine =
        "arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2"
    #else
    static let architectures = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
    private static let machine = "arch_prctl modify_ldt"
    #endif

    private static func words(_ text: String) -> [String] { text.split(separator: " ").map(String.init) }

    private static let byCapability = [
        ("CAP_DAC_READ_SEARCH", "open_by_handle_at"),
        (
            "CAP_SYS_ADMIN",
            "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr move_mount "
                + "open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 "
                + "unshare"
        ),
        ("CAP_SYS_BOOT", "reboot"),
        ("CAP_SYS_CHROOT", "chroot"),
        ("CAP_SYS_MODULE", "delete_module finit_module init_module"),
        ("CAP_SYS_PACCT", "acct"),
        ("CAP_SYS_PTRACE", "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace"),
        ("CAP_SYS_RAWIO", "ioperm iopl"),
        ("CAP_SYS_TIME", "clock_settime clock_settime64 settimeofday stime"),
        ("CAP_SYS_TTY_CONFIG", "vhangup"),
        ("CAP_SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
        ("CAP_SYSLOG", "syslog"),
        ("CAP_BPF", "bpf"),
        ("CAP_PERFMON", "perf_event_open"),
    ]

    /// By topic. Names ending in 32, 64 or time64 are the variants of 32-bit programs.
    private static let always = [
        // Files: open, read, write, position.
        "close close_range copy_file_range creat fallocate fcntl fcntl64 fdatasync fsync ftruncate ftruncate64 ioctl "
            + "_llseek lseek open openat openat2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readv "
            + "sendfile sendfile64 splice sync sync_file_range syncfs tee truncate truncate64 vmsplice write writev "
            + "fadvise64 fadvise64_64 flock cachestat name_to_handle_at",
        // Files: names, directories, attributes.
        "access chdir chmod chown chown32 faccessat faccessat2 fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat "
            + "fgetxattr flistxattr fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 futimesat getcwd "
            + "getdents getdents64 getxattr lchown lchown32 lgetxattr link linkat listxattr llistxattr lremovexattr "
            + "lsetxattr lstat lstat64 mkdir mkdirat mknod mknodat newfstatat readlink readlinkat removexattr rename "
            + "renameat renameat2 rmdir setxattr stat stat64 statfs statfs64 statx symlink symlinkat umask unlink unlinkat "
            + "utime utimensat utimensat_time64 utimes",
        // Descriptors of other kinds: pipes, events, watches, timers, asynchronous input and output.
        "dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait "
            + "epoll_wait_old eventfd eventfd2 fanotify_mark inotify_add_watch inotify_init inotify_init1 inotify_rm_watch "
            + "io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit memfd_create "
            + "memfd_secret pipe pipe2 poll ppoll ppoll_time64 pselect6 pselect6_time64 select _newselect signalfd "
            + "signalfd4 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64",
        // Sockets; `socket` itself has a rule of its own.
        "accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64 "
            + "recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair",
        // Memory.
        "brk madvise map_shadow_stack membarrier mincore mlock mlock2 mlockall mmap mmap2 mprotect mremap mseal msync "
            + "munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect process_mrelease remap_file_pages",
        // System V and POSIX interprocess communication.
        "ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 "
            + "mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt "
            + "shmget",
        // Processes and threads. Those of another process need ptrace's own permission check since Linux 4.8.
        "execve execveat exit exit_group fork futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake "
            + "get_robust_list get_thread_area getpgid getpgrp getpid getppid getsid gettid kill pause pidfd_open "
            + "pidfd_send_signal prctl process_vm_readv process_vm_writev ptrace restart_syscall rseq set_robust_list "
            + "set_thread_area set_tid_address setpgid setsid tgkill tkill vfork wait4 waitid waitpid",
        // Signals.
        "alarm rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait "
            + "rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack sigprocmask sigreturn",
        // Identity and what restricts it further.
        "capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid getresgid32 "
            + "getresuid getresuid32 getuid getuid32 landlock_add_rule landlock_create_ruleset landlock_restrict_self "
            + "seccomp setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setregid setregid32 "
            + "setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setuid setuid32",
        // Scheduling and limits.
        "getcpu getpriority getrlimit getrusage ioprio_get ioprio_set prlimit64 sched_get_priority_max "
            + "sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler "
            + "sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam "
            + "sched_setscheduler sched_yield setpriority setrlimit ugetrlimit",
        // Time. Setting the clock by adjtimex needs CAP_SYS_TIME; reading its state does not.
        "adjtimex clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 "
            + "clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time timer_create "
            + "timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 times",
        // The system.
        "getrandom sysinfo uname",
    ]
}
