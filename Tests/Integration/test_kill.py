"""The kill matrix: whichever process of a sandbox is killed, at whatever moment of its life, nothing of the sandbox is left
five seconds later, and whoever still listens is told."""

import os
import signal
import subprocess
import time

import pytest

from conftest import CACHE, DEMO, ROOT

PROCESSES = ["command", "guardian", "server", "qemu"]


def wait_for(condition, what, seconds=60):
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.002)


def parent(pid):
    try:
        return int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def find(cloister, command, which):
    """The pid of a process of the sandbox that `command` started, or None while it is not there."""
    if which == "command":
        return command.pid
    for pid, words in cloister.processes().items():
        is_qemu = os.path.basename(words[0]).startswith("qemu") and "-S" in words
        if which == "qemu" and is_qemu:
            return pid
        if not is_qemu and "serve" in words:
            is_guardian = parent(pid) == command.pid
            if is_guardian == (which == "guardian"):
                return pid
    return None


def has_qemu(cloister):
    return any("-S" in words for words in cloister.processes().values())


LIVES = {
    # Life of the sandbox: the container's command, and what tells from outside that it has come so far.
    "starting": ("sleep 600", lambda space, process: find(space, process, "server")),
    "booting": ("sleep 600", lambda space, process: has_qemu(space)),
    "running": ("echo up; exec sleep 600", lambda space, process: process.stdout.readline() == b"up\n"),
    "writing": ("yes", lambda space, process: process.stdout.read(1 << 20)),
    "ending": ("echo up; exec sleep 0.05", lambda space, process: process.stdout.readline() == b"up\n"),
}


@pytest.mark.parametrize("life", LIVES)
@pytest.mark.parametrize("which", PROCESSES)
def test_a_kill_leaves_nothing(cloister, which, life):
    script, reached = LIVES[life]
    command = cloister.start("run", "--rm", DEMO, "sh", "-c", script)
    try:
        wait_for(lambda: reached(cloister, command), life)
        if life == "starting" and which == "qemu":
            wait_for(lambda: has_qemu(cloister), "QEMU")
        victim = find(cloister, command, which)
        if life == "ending":
            # The moment after the program's end is short; the victim may be gone already, which is the point.
            time.sleep(0.05)
        if victim:
            try:
                os.kill(victim, signal.SIGKILL)
            except ProcessLookupError:
                pass
        command.stdout.close()
        cloister.expect_nothing_left()
        status = command.wait(5)
        error = command.stderr.read().decode()
        if which in ("server", "qemu") and life in ("starting", "booting", "running"):
            assert status == 125, error
            assert "cloister: " in error
    finally:
        command.kill()
        command.wait()


@pytest.mark.parametrize("which", PROCESSES)
def test_a_kill_while_layers_are_unpacked_leaves_nothing(other, which):
    other("image", "load", "-i", CACHE / "images" / "demo.tar", check=0)
    command = other.start("run", "--rm", DEMO, "true")
    wait_for(lambda: has_qemu(other), "the builder's QEMU")
    victim = wait_for(lambda: find(other, command, which), which)
    os.kill(victim, signal.SIGKILL)
    command.communicate(timeout=60)
    other.expect_nothing_left()
    # And the half-made disk is not used.
    assert other("run", "--rm", DEMO, "echo", "whole", check=0).stdout == b"whole\n"


AGENT_KILLER = r"""
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>
/* PID 1 of a guest whose agent, the first process of a namespace, is killed after so many milliseconds; the kernel lives on. */
int main(void) {
    unshare(CLONE_NEWPID);
    pid_t agent = fork();
    if (agent == 0) { execl("/agent", "/agent", (char *)0); _exit(1); }
    usleep(MILLISECONDS * 1000);
    kill(agent, SIGKILL);
    for (;;) pause();
}
"""


@pytest.fixture(params=[("booting", 1), ("running", 6000)], ids=lambda pair: pair[0])
def guest_without_agent(request, tmp_path):
    """An initramfs whose agent is killed."""
    life, milliseconds = request.param
    source = tmp_path / "killer.c"
    source.write_text(AGENT_KILLER)
    init = tmp_path / "init"
    subprocess.run(["gcc", "-static", f"-DMILLISECONDS={milliseconds}", "-o", init, source], check=True)
    initramfs = tmp_path / "initramfs"
    subprocess.run([ROOT / "kernel-config" / "initramfs", init, initramfs], check=True)
    # A second archive appended is unpacked over the first.
    work = tmp_path / "more"
    work.mkdir()
    (work / "agent").write_bytes((ROOT / "bin" / "cloister-agent").read_bytes())
    (work / "agent").chmod(0o755)
    with open(initramfs, "ab") as archive:
        subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], input=b"agent\n", stdout=archive, cwd=work, check=True)
    initramfs.chmod(0o644)
    tmp_path.chmod(0o755)
    return life, initramfs


def test_an_agent_killed_ends_the_sandbox(cloister, guest_without_agent):
    life, initramfs = guest_without_agent
    cloister.configure(initramfs=initramfs, boot_timeout="5s")
    try:
        command = cloister.start("run", "--rm", DEMO, "sh", "-c", "echo up; exec sleep 600")
        if life == "running":
            assert command.stdout.readline() == b"up\n"
        output, error = command.communicate(timeout=60)
        assert command.returncode == 125, error
        assert b"cloister: " in error
    finally:
        cloister.configure()


@pytest.mark.parametrize("guest_without_agent", [("running", 6000)], ids=["running"], indirect=True)
def test_the_end_is_told_with_its_reason(cloister, guest_without_agent):
    """What ran in a guest that is gone has not ended for anybody before the sandbox can say why: its console's end is read
    from a pipe here, which keeps it from saying so."""
    cloister.configure(initramfs=guest_without_agent[1])
    try:
        command = cloister.start("run", "--rm", DEMO, "sh", "-c", "echo up; exec sleep 600")
        assert command.stdout.readline() == b"up\n"
        (console,) = cloister.state.glob("*/console.log")
        pipe = console.with_name("pipe")
        os.mkfifo(pipe)
        pipe.rename(console)
        with open(console, "wb") as writer:  # waits for the reader
            with pytest.raises(subprocess.TimeoutExpired):
                command.wait(1)
            writer.write(b"its last words\n")
        error = command.communicate(timeout=60)[1]
        assert command.returncode == 125, error
        assert b"the guest's agent ended" in error and b"its last words" in error
    finally:
        cloister.configure()
