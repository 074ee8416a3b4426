import CAgent
import Glibc
import System

/// What the guest's first process mounts, on a root of its own.
enum GuestFilesystems {
    /// Moves from the initramfs to a tmpfs as root directory and mounts the kernel's filesystems there.
    ///
    /// pivot_root(2) refuses to leave the initramfs, so a container could never be moved out of it for good; from this
    /// root it can. What stays below is emptied, so that nothing is found there.
    static func mountAll() throws(SystemError) {
        let root = "/mnt"
        try mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=16m")
        for name in ["proc", "sys", "dev", "run", "tmp"] { try makeDirectory("\(root)/\(name)", 0o755) }
        chmod("\(root)/tmp", 0o1777)
        try mount("proc", "\(root)/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
        try mount("sysfs", "\(root)/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC)
        try mount("devtmpfs", "\(root)/dev", "devtmpfs", MS_NOSUID, "mode=0755")
        try mount("tmpfs", "\(root)/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755")
        try makeDirectory("\(root)/dev/pts", 0o755)
        try mount("devpts", "\(root)/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "ptmxmode=0666,mode=0620,gid=5")
        try makeDirectory("\(root)/dev/shm", 0o1777)
        try mount("tmpfs", "\(root)/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
        try mount("cgroup2", "\(root)/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC)
        // Kernels without BPF filesystem or tracing are fine.
        _ = Glibc.mount("bpf", "\(root)/sys/fs/bpf", "bpf", UInt(MS_NOSUID | MS_NODEV | MS_NOEXEC), nil)

        for (target, link) in [
            ("/proc/self/fd", "fd"), ("/proc/self/fd/0", "stdin"), ("/proc/self/fd/1", "stdout"),
            ("/proc/self/fd/2", "stderr"),
        ] { symlink(target, "\(root)/dev/\(link)") }

        for path in ["/init", "/dev/console"] { unlink(path) }
        try syscall("chdir", root) { chdir(root) }
        try syscall("mount", "/") { Glibc.mount(".", "/", nil, UInt(MS_MOVE), nil) }
        try syscall("chroot", ".") { chroot(".") }
        try syscall("chdir", "/") { chdir("/") }
    }

    private static func mount(_ source: String, _ target: String, _ type: String, _ flags: Int, _ data: String = "")
        throws(SystemError)
    {
        try syscall("mount", target) { Glibc.mount(source, target, type, UInt(flags), data) }
    }

    private static func makeDirectory(_ path: String, _ mode: mode_t) throws(SystemError) {
        if mkdir(path, mode) != 0 && errno != EEXIST { throw SystemError("mkdir", path) }
    }
}
