"""How much memory our processes take at most."""

import os
import pathlib
import signal
import subprocess
import sys
import threading

LAUNCHER = """
import os, resource, sys
process = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
os.write(int(sys.argv[1]), b"%d" % resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(status if status >= 0 else 128 - status)
"""


def run(workspace, *words, seconds):
    """Runs cloister to its end, in that time at most.

    By way of a small process, since the kernel counts as a program's what the process had that became it, and a process that runs
    tests is large.

    :return: the exit code, what it said on standard output and error, and its peak in bytes.
    """
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, str(writing), *map(str, workspace.command(*words))], env=workspace.environment,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=[writing], start_new_session=True)
    os.close(writing)
    with open(reading, "rb") as peak:
        try:
            output, errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise
        return process.returncode, output.decode(), errors.decode(), int(peak.read()) << 10


#: cloister and the sandbox's server; a guest's memory is QEMU's, and as large as its machine was made.
OURS = ("cloister", "containerd-shim-cloister-v2")


class Watch:
    """Knows the peaks of a workspace's processes, in bytes by program's name, from `with` on. It reads what the kernel remembers
    of each (VmHWM, proc(5)), so looking now and then is enough: only what a process takes in its last moments is not seen."""

    def __init__(self, workspace):
        self.workspace, self.peaks = workspace, {}
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.look)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def look(self):
        known = {}
        while not self.over.wait(0.02):
            for number in filter(str.isdigit, os.listdir("/proc")):
                try:
                    # After exec a process has another name, and a number may come again.
                    name = pathlib.Path(f"/proc/{number}/comm").read_text()
                    if known.get(number, ("",))[0] != name:
                        # A program that is being loaded has no words yet: exec(2) sets its name first.
                        words = pathlib.Path(f"/proc/{number}/cmdline").read_bytes()
                        if not words:
                            continue
                        known[number] = name, self.is_ours(number, words)
                    if known[number][1]:
                        self.note(number)
                except OSError:
                    known.pop(number, None)

    def is_ours(self, number, words):
        program = os.path.basename(words.split(b"\0")[0]).decode(errors="replace")
        mark = f"CLOISTER_CONFIG={self.workspace.configuration}".encode()
        return program in OURS and mark in pathlib.Path(f"/proc/{number}/environ").read_bytes().split(b"\0")

    def note(self, number):
        status = pathlib.Path(f"/proc/{number}/status").read_text()
        program = os.path.basename(pathlib.Path(f"/proc/{number}/exe").readlink())
        for line in status.splitlines():
            if line.startswith("VmHWM:"):
                self.peaks[program] = max(self.peaks.get(program, 0), int(line.split()[1]) << 10)
