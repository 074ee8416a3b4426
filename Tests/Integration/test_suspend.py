"""A command that has the terminal, stopped and continued, and crashed."""

import os
import signal
import termios
import time

from conftest import DEMO
from test_signals import terminal  # noqa: F401: a fixture


def wait_for(condition, what, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.01)


def state(process):
    return open(f"/proc/{process.pid}/stat").read().rpartition(")")[2].split()[0]


def test_the_terminal_is_the_shells_while_the_command_is_stopped(terminal):  # noqa: F811
    tty = terminal("run", "-it", "--rm", DEMO, "sh")
    tty.until(b"# ")
    tty.process.send_signal(signal.SIGTSTP)
    wait_for(lambda: state(tty.process) == "T", "the stop")
    assert termios.tcgetattr(tty.slave) == tty.before
    tty.process.send_signal(signal.SIGCONT)
    wait_for(lambda: termios.tcgetattr(tty.slave) != tty.before, "the raw terminal")
    tty.send(b"echo ag''ain; exit\r")
    tty.until(b"again")
    assert tty.process.wait(30) == 0
    assert termios.tcgetattr(tty.slave) == tty.before


def test_a_crash_of_the_command_gives_the_terminal_back(terminal):  # noqa: F811
    tty = terminal("run", "-it", "--rm", DEMO, "sh")
    tty.until(b"# ")
    os.kill(tty.process.pid, signal.SIGSEGV)
    assert tty.process.wait(30) == -signal.SIGSEGV
    assert termios.tcgetattr(tty.slave) == tty.before
