"""The whole of what a process says, whoever carries it here. `ctr` before 1.6.22 closes its ends of a process's pipes when that
ends, whether it has read them or not."""

import os
import pathlib
import select
import shutil
import tempfile
import threading
import time

#: Says on both streams that a script has ended, and waits to be told that this was read.
END = "the script's end"
HOLD = '(eval "$0"); code=$?; printf %s "$1"; printf %s "$1" >&2; read line; exit $code'


def held(script):
    """The words of a command that runs a script and stays until its output has been read."""
    return ["/bin/sh", "-c", HOLD, script, END]


def converse(process, input, seconds=90):
    """Gives a process that is held its input, reads both of its outputs up to its script's end, lets it go, and waits for it."""
    outputs = {stream.fileno(): bytearray() for stream in (process.stdout, process.stderr)}
    deadline = time.monotonic() + seconds
    os.write(process.stdin.fileno(), input)
    reading = set(outputs)
    while reading:
        ready, _, _ = select.select(list(reading), [], [], max(0, deadline - time.monotonic()))
        assert ready, outputs
        for descriptor in ready:
            data = os.read(descriptor, 65536)
            outputs[descriptor] += data
            if not data or outputs[descriptor].endswith(END.encode()):
                reading.remove(descriptor)
    # Nothing but the container's output came before; ctr itself may have more to say.
    rest = process.communicate(b"\n", timeout=seconds)
    return [bytes(data).removesuffix(END.encode()) + more for data, more in zip(outputs.values(), rest)]


class Streams:
    """FIFOs for the input and the outputs of a process, which are read from the beginning to the end."""

    def __init__(self, daemon, has_input=False):
        self.directory = pathlib.Path(tempfile.mkdtemp(dir=daemon.directory / "fifo"))
        names = ["stdout", "stderr"] + (["stdin"] if has_input else [])
        self.paths = {name: str(self.directory / name) for name in names}
        for path in self.paths.values():
            os.mkfifo(path)
        self.readers = [Reader(self.paths[name]) for name in ("stdout", "stderr")]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for reader in self.readers:
            reader.end()
        shutil.rmtree(self.directory)

    def write(self, data):
        """To the process that reads it now."""
        with open(self.paths["stdin"], "wb") as file:
            file.write(data)

    def outputs(self, seconds=60):
        """Both, after the end of the last that writes to them."""
        for reader in self.readers:
            reader.join(seconds)
            assert not reader.is_alive(), f"{reader.path} did not end; had {bytes(reader.data[-300:])}"
        return [bytes(reader.data) for reader in self.readers]


class Reader(threading.Thread):
    def __init__(self, path):
        super().__init__(daemon=True)
        self.path, self.data = path, bytearray()
        # Open before anybody writes, and without waiting for that.
        self.descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.start()

    def run(self):
        poll = select.poll()
        poll.register(self.descriptor, select.POLLIN)
        # It tells of an end only once there was a beginning (fifo(7), poll(2)).
        while poll.poll() and (data := os.read(self.descriptor, 65536)):
            self.data += data

    def end(self):
        if self.is_alive():
            os.close(os.open(self.path, os.O_WRONLY | os.O_NONBLOCK))
        self.join(10)
        os.close(self.descriptor)
