"""Everything on this machine that a sandbox can leave behind, as a set of words that can be compared."""

import glob
import os
import pathlib
import signal
import time

from cri import CGROUP

#: Directories whose entries belong to one task, sandbox or network each.
PLACES = [
    "{d}/s", "{d}/s/*", "{d}/fifo", "{d}/fifo/*", "{d}/state/io.containerd.runtime.v2.task/*",
    "{d}/root/io.containerd.runtime.v2.task/*", "{d}/state/io.containerd.grpc.v1.cri/sandboxes",
    "{d}/state/io.containerd.grpc.v1.cri/containers", "{d}/state/netns", "{d}/state/io.containerd.grpc.v1.cri/netns",
    "/run/containerd/s", "/run/containerd/fifo", "/run/netns", "/run/runc/*", "/run/containerd/runc/*", "/run/cloister",
    "/var/lib/cni/networks/crt"]


#: What a bridge network keeps for its next pod.
KEPT = ("link crt0", "file /var/lib/cni/networks/crt/lock", "file /var/lib/cni/networks/crt/last_reserved_ip.")


def processes():
    """Pid and command line of each living process, the tests' own aside."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) in (1, os.getpid()):
            continue
        try:
            stat = pathlib.Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
            line = pathlib.Path(f"/proc/{entry}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if stat[0] not in "ZX":
            found[int(entry)] = line.strip()
    return found


def snapshot(daemon):
    """What there is; a process only by its number, because programs change."""
    left = {f"process {pid}" for pid in processes() if pid != daemon.process.pid}
    left |= {"mount " + line.split()[4] for line in open("/proc/self/mountinfo")}
    left |= {"link " + name for name in os.listdir("/sys/class/net")}
    # glob and os.walk pass over what goes while they look.
    for place in PLACES:
        left |= {f"file {path}" for path in glob.glob(place.format(d=daemon.directory) + "/*", include_hidden=True)}
    for tree in glob.glob("/sys/fs/cgroup/*" + CGROUP) + glob.glob("/sys/fs/cgroup" + CGROUP):
        left |= {f"cgroup {parent}/{name}" for parent, names, _ in os.walk(tree) for name in names}
    return {word for word in left if not word.startswith(KEPT)}


def expect_none(daemon, before, handler, seconds=10):
    """Whatever was not there before must go by itself."""
    deadline = time.monotonic() + seconds
    # runc's shim leaves its socket where it is killed.
    kept = "file /run/containerd/s/" if handler == "runc" else "\0"
    while left := {word for word in snapshot(daemon) - before if not word.startswith(kept)}:
        assert time.monotonic() < deadline, "left behind:\n" + "\n".join(
            sorted(left) + [f"{pid}: {line}" for pid, line in processes().items()])
        time.sleep(0.05)


def remove_all():
    """Ends what is still running on this machine and removes its cgroups: for the end of a session."""
    for pid in processes():
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while processes() and time.monotonic() < deadline:
        time.sleep(0.02)
    for tree in list(pathlib.Path("/sys/fs/cgroup").glob("*" + CGROUP)) + [pathlib.Path("/sys/fs/cgroup" + CGROUP)]:
        if tree.is_dir():
            for directory in sorted((d for d in [tree, *tree.rglob("*")] if d.is_dir()), reverse=True):
                try:
                    directory.rmdir()
                except OSError as error:
                    print("cgroup not removed:", error)
