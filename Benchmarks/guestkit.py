"""Sandboxes on any disks, started as `cloister run` starts them: the sandbox's own process, and containerd's Task API to it."""

import fcntl
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "Tests" / "Integration" / "containerd"))

from ttrpc import Client, encode, fields  # noqa: E402

BIN = ROOT / "bin"
MIB = 1 << 20
TASK = "containerd.task.v2.Task"
ENVIRONMENT = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"]


def specification(arguments):
    return {
        "ociVersion": "1.0.2",
        "process": {"user": {"uid": 0, "gid": 0}, "args": arguments, "env": ENVIRONMENT, "cwd": "/"},
        "root": {"path": "rootfs"},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]}],
        "linux": {"namespaces": [{"type": kind} for kind in ["pid", "ipc", "uts", "mount", "network", "cgroup"]]},
    }


class Host:
    """Where sandboxes run, and what they are given."""

    def __init__(self, directory, accelerator, cache):
        self.directory, self.accelerator, self.cache = pathlib.Path(directory), accelerator, cache
        self.count = 0
        self.template = self.directory / "scratch.img"
        with open(self.template, "wb") as file:
            file.truncate(10 << 30)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-E", "lazy_itable_init=0,assume_storage_prezeroed=1,nodiscard",
                        self.template], check=True)

    def run(self, layers, arguments, memory=128 * MIB):
        """Runs a program on layers, pairs of a filesystem's type and its image, the lowest first.
        Returns seconds from nothing to nothing left, what the program wrote, and seconds by step of the start."""
        self.count += 1
        state = self.directory / f"s{self.count}"
        state.mkdir(mode=0o711)
        scratch = self.directory / f"scratch-{self.count}.img"
        start = time.monotonic()
        subprocess.run(["cp", "--sparse=always", self.template, scratch], check=True)
        (state / "config.json").write_text(json.dumps(specification(arguments)))
        output = tempfile.TemporaryFile()
        guardian, lifeline = self.serve(state, scratch, output)
        try:
            client = Client(str(state / "task.sock"), seconds=1800)
            disks = [[(1, kind), (2, str(image)), (4, "ro")] for kind, image in layers] + [[(1, "ext4"), (2, str(scratch)), (4, "rw")]]
            options = [(1, self.accelerator), (2, str(BIN / "vmlinux")), (3, str(BIN / "initramfs")), (4, memory), (5, 1),
                       (6, 120_000), (7, str(self.cache))]
            client(TASK, "Create", (1, "bench"), (2, str(state)), *[(3, disk) for disk in disks], (6, "inherit:6"), (7, "inherit:6"),
                   (10, [(1, "cloister.sandbox.Options"), (2, encode(options))]))
            client(TASK, "Start", (1, "bench"))
            status = client(TASK, "Wait", (1, "bench")).get(1, 0)
            client(TASK, "Delete", (1, "bench"))
            steps = {}
            for number, value in fields(client.raw("cloister.sandbox.Sandbox", "Status")):
                if number == 1:
                    step = dict(fields(value))
                    steps[step[1].decode()] = step.get(2, 0) / 1e9
            client.close()
        finally:
            os.close(lifeline)
            os.waitpid(guardian, 0)
        wall = time.monotonic() - start
        output.seek(0)
        text = output.read().decode(errors="replace")
        if status:
            sys.exit(f"bench: {arguments} ended with {status}: {text}")
        return wall, text, steps

    def serve(self, state, scratch, output):
        """Starts a sandbox's process. Returns its number, and the descriptor whose closing ends it."""
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(state / "task.sock"))
        listener.listen()
        read, write = os.pipe()
        null = os.open("/dev/null", os.O_RDWR)
        log = os.open(state / "server.log", os.O_WRONLY | os.O_CREAT)
        lock = os.open(state / "lock", os.O_RDWR | os.O_CREAT)
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Out of the way of the numbers they get in the process.
        moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 100) for fd in [null, log, log, listener.fileno(), read, lock, output.fileno()]]
        program = str(BIN / "containerd-shim-cloister-v2")
        try:
            pid = os.posix_spawn(
                program, [program, "serve", "--id", "bench", "--state", str(state), "--remove", str(scratch)], os.environ,
                file_actions=[(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(moved)], setsid=True)
        finally:
            for fd in [*moved, null, log, lock, read]:
                os.close(fd)
            listener.close()
        return pid, write
