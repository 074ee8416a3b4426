"""Many sandboxes, one after the other and at once; afterwards the machine is as it was."""

import concurrent.futures
import os
import pathlib
import subprocess

import pytest

from conftest import DEMO

pytestmark = pytest.mark.soak


def machine(cloister):
    """What must be the same afterwards."""
    memory = dict(line.split(":") for line in open("/proc/meminfo"))
    return {
        "processes": len(cloister.processes()),
        "zombies": sum(
            1 for entry in os.listdir("/proc") if entry.isdigit() and zombie(entry)),
        "mounts": pathlib.Path("/proc/mounts").read_text(),
        "open files": int(open("/proc/sys/fs/file-nr").read().split()[0]) // 512,
        "files": sorted(str(path) for path in cloister.directory.rglob("*")),
        "shared memory in MiB": int(memory["Shmem"].split()[0]) // 1024 // 8,
    }


def zombie(entry):
    try:
        return open(f"/proc/{entry}/stat").read().rpartition(")")[2].split()[0] == "Z" and "qemu" in open(f"/proc/{entry}/stat").read()
    except OSError:
        return False


def once(cloister, number):
    result = cloister("run", "--rm", "--accelerator", "emulation", DEMO, "echo", f"number {number}")
    assert (result.returncode, result.stdout) == (0, f"number {number}\n".encode()), (number, result)


@pytest.mark.parametrize("count, at_once", [(200, 1), (100, 8)])
def test_many_sandboxes_leave_the_machine_as_it_was(cloister, count, at_once):
    once(cloister, -1)
    cloister.expect_nothing_left()
    before = machine(cloister)
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        for future in [pool.submit(once, cloister, number) for number in range(count)]:
            future.result()
    cloister.expect_nothing_left()
    assert machine(cloister) == before
