"""How much memory our processes take at most."""

import os
import pathlib
import threading

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
                        known[number] = name, self.is_ours(number)
                    if known[number][1]:
                        self.note(number)
                except OSError:
                    known.pop(number, None)

    def is_ours(self, number):
        program = os.path.basename(pathlib.Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")[0]).decode(errors="replace")
        mark = f"CLOISTER_CONFIG={self.workspace.configuration}".encode()
        return program in OURS and mark in pathlib.Path(f"/proc/{number}/environ").read_bytes().split(b"\0")

    def note(self, number):
        status = pathlib.Path(f"/proc/{number}/status").read_text()
        program = os.path.basename(pathlib.Path(f"/proc/{number}/exe").readlink())
        for line in status.splitlines():
            if line.startswith("VmHWM:"):
                self.peaks[program] = max(self.peaks.get(program, 0), int(line.split()[1]) << 10)
