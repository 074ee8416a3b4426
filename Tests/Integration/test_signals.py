"""Signals and terminals."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

import pytest

from conftest import DEMO


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP", "QUIT", "USR1", "USR2"])
def test_a_signal_reaches_the_program(cloister, name):
    script = f"trap 'echo got {name}; exit 7' {name}; echo ready; while :; do sleep 0.1; done"
    process = cloister.start("run", "--rm", DEMO, "sh", "-c", script)
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(getattr(signal, f"SIG{name}"))
    assert process.stdout.read() == f"got {name}\n".encode()
    assert process.wait(30) == 7


def test_a_signal_that_ends_the_program_is_in_the_status(cloister):
    process = cloister.start("run", "--rm", DEMO, "sh", "-c", "trap - TERM; echo ready; exec sleep 600")
    assert process.stdout.readline() == b"ready\n"
    # PID 1 of a namespace is not killed by a signal it has no handler for, as in Docker; KILL from outside is.
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGKILL)
    process.wait(30)


def test_a_signal_while_the_guest_boots_ends_it(cloister):
    process = cloister.start("run", "--rm", DEMO, "sleep", "600")
    deadline = time.monotonic() + 30
    while not any("qemu" in words[0] for words in cloister.processes().values()):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130


class Terminal:
    """A pseudo-terminal with `cloister` on it."""

    def __init__(self, cloister, *words, rows=24, columns=80):
        self.master, slave = pty.openpty()
        self.resize(rows, columns)
        #: What the terminal was like before `cloister` had it.
        self.before = termios.tcgetattr(slave)
        self.process = subprocess.Popen(
            cloister.command(*words), stdin=slave, stdout=slave, stderr=slave, env=cloister.environment,
            start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.slave = slave
        self.seen = b""

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def send(self, data):
        os.write(self.master, data)

    def until(self, expected, seconds=60):
        deadline = time.monotonic() + seconds
        while expected not in self.seen:
            ready, _, _ = select.select([self.master], [], [], max(0, deadline - time.monotonic()))
            assert ready, self.seen
            self.seen += os.read(self.master, 65536)
        before, _, self.seen = self.seen.partition(expected)
        return before

    def close(self):
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal(cloister):
    made = []

    def make(*words, **options):
        made.append(Terminal(cloister, *words, **options))
        return made[-1]

    yield make
    for one in made:
        one.process.kill()
        one.process.wait()
        one.close()


def test_a_terminal_is_a_terminal(terminal):
    tty = terminal("run", "-it", "--rm", DEMO, "sh")
    tty.until(b"# ")
    tty.send(b"test -t 0 && test -t 1 && test -t 2 && echo all-are-t'ys'\r")
    tty.until(b"all-are-tys")
    tty.send(b"exit 3\r")
    assert tty.process.wait(30) == 3


def test_a_terminals_size_follows(terminal):
    tty = terminal("run", "-it", "--rm", DEMO, "sh", rows=33, columns=99)
    tty.until(b"# ")
    tty.send(b"stty size\r")
    tty.until(b"33 99")
    tty.send(b"sh -c 'trap \"stty size; exit\" WINCH; echo trap\"\"ped; while :; do sleep 0.1; done'; exit 0\r")
    tty.until(b"trapped")
    tty.resize(44, 111)
    tty.until(b"44 111")
    assert tty.process.wait(30) == 0


def test_control_c_reaches_the_program_as_a_key(terminal):
    tty = terminal("run", "-it", "--rm", DEMO, "sh")
    tty.until(b"# ")
    # Only once a program runs in the foreground: what comes before is the shell's own.
    tty.send(b"sh -c 'trap \"echo caught; exit\" INT; echo trap\"\"ped; while :; do sleep 0.1; done'\r")
    tty.until(b"trapped")
    tty.send(b"\x03")
    tty.until(b"caught")
    tty.until(b"# ")
    tty.send(b"echo st''ill here; exit\r")
    tty.until(b"still here")
    assert tty.process.wait(30) == 0


@pytest.mark.parametrize("end", ["exit", "killed"])
def test_the_terminal_is_as_it_was_afterwards(terminal, end):
    tty = terminal("run", "-it", "--rm", DEMO, "sh")
    tty.until(b"# ")
    assert termios.tcgetattr(tty.slave) != tty.before
    if end == "exit":
        tty.send(b"exit\r")
    else:
        tty.process.terminate()
        tty.send(b"exit\r")
    tty.process.wait(30)
    assert termios.tcgetattr(tty.slave) == tty.before


def test_t_without_a_terminal_is_refused(cloister):
    result = cloister("run", "-it", "--rm", DEMO, "sh", check=125, input=b"")
    assert b"TTY" in result.stderr
