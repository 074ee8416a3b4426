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
    return {
        "processes": len(cloister.processes()),
        "zombies": sum(
            1 for entry in os.listdir("/proc") if entry.isdigit() and zombie(entry)),
        "mounts": pathlib.Path("/proc/mounts").read_text(),
        "files": sorted(str(path) for path in cloister.directory.rglob("*")),
    }


def usage():
    """What other programs of the machine use, too: open files, and shared memory in MiB."""
    memory = dict(line.split(":") for line in open("/proc/meminfo"))
    return int(open("/proc/sys/fs/file-nr").read().split()[0]), int(memory["Shmem"].split()[0]) // 1024


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
    before, (files, shared) = machine(cloister), usage()
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        for future in [pool.submit(once, cloister, number) for number in range(count)]:
            future.result()
    cloister.expect_nothing_left()
    assert machine(cloister) == before
    files_after, shared_after = usage()
    # The kernel counts 32 on each processor before it adds them up, and other programs open a few.
    assert files_after - files < min(32 * os.cpu_count() + 32, 512)
    assert shared_after - shared < 8
