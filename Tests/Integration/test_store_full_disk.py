"""A disk that is full, or becomes full, while the store is written to."""

import errno
import os
import subprocess

import pytest

from storekit import Registry, another_archive, demo_layout, expect_whole, names, registry, verify  # noqa: F401

FULL = b"no space left"


@pytest.fixture
def small(request, other, demo_archive):
    """A store on a file system of its own, a tmpfs if the test says no other, as small as a test makes it."""
    if os.geteuid() != 0:
        pytest.skip("an ordinary user cannot mount")
    other.images.mkdir()
    if getattr(request, "param", "tmpfs") == "tmpfs":
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m,mode=755", "none", other.images], check=True)
    else:
        disk = other.directory / "disk"
        with open(disk, "wb") as file:
            file.truncate(24 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", disk], check=True)
        subprocess.run(["mount", "-o", "loop", disk, other.images], check=True)
    other("image", "load", "-i", demo_archive, "--name", "kept", check=0)
    other.filler = other.images / "filler"
    yield other
    other.kill_started()
    subprocess.run(["umount", "-l", other.images], check=True)


def leave(space, kibibytes):
    """Fills the file system up to so much."""
    space.filler.unlink(missing_ok=True)
    info = os.statvfs(space.images)
    size = max(info.f_bavail * info.f_frsize - (kibibytes << 10), 1)
    with open(space.filler, "wb") as file:
        while True:
            try:
                return os.posix_fallocate(file.fileno(), 0, size)
            except OSError as error:
                # What ext4 says is free is not all for content.
                assert error.errno == errno.ENOSPC and size > 1 << 20
                file.truncate(0)
                size -= 1024


@pytest.mark.parametrize("small", ["tmpfs", "ext4"], indirect=True)
@pytest.mark.parametrize("way", ["load", "pull"])
def test_a_full_disk_while_content_comes(small, another_archive, registry, way):
    registry.go.set()
    words = ["pull", "-q", "--plain-http", registry.image] if way == "pull" else ["image", "load", "-i", another_archive, "--name", "another"]
    name = registry.image if way == "pull" else "another:latest"
    outcomes = set()
    for room in (0, 4, 1000, 2052, 2056, 2060, 2064, 2068, 2072, 2080, 2100):
        leave(small, room)
        result = small(*words)
        outcomes.add(result.returncode)
        assert result.returncode == 0 or FULL in result.stderr and result.stderr.count(b"\n") == 1, (room, result)
        expect_whole(small, "kept:latest")
        assert (name in names(small)) == (result.returncode == 0)
        small("image", "remove", "-f", name, check=0)
        small("image", "prune", "-a", "-f", "--filter", "label=none", check=0)
        for path in (small.images / "partial").iterdir():
            path.unlink()
    small.filler.unlink()
    small(*words, check=0)
    assert outcomes == {0, 125} and verify(small)["findings"] == []


@pytest.mark.parametrize("small", ["tmpfs", "ext4"], indirect=True)
def test_a_full_disk_does_not_keep_an_image(small, another_archive):
    small("image", "load", "-i", another_archive, "--name", "another", check=0)
    leave(small, 0)
    for words in (["tag", "kept", "third"], ["save", "-o", small.images / "saved.tar", "kept"]):
        error = small("image", *words, check=125).stderr
        assert FULL in error and error.count(b"\n") == 1, error
    assert not list(small.images.glob("saved.tar*"))
    small("image", "remove", "another", check=0)
    expect_whole(small, "kept:latest")
    assert names(small) == ["kept:latest"]


def test_a_full_disk_while_a_layer_is_unpacked(small):
    outcomes = set()
    for room in (0, 64, 400, 1200):
        leave(small, room)
        result = small("run", "--rm", "--accelerator", "emulation", "kept", "echo", "ran", timeout=120)
        outcomes.add(result.returncode)
        assert result.stdout == b"ran\n" or FULL in result.stderr.lower(), (room, result)
        expect_whole(small, "kept:latest")
    small.filler.unlink()
    assert small.run("kept", "echo", "ran") == "ran\n"
    assert 125 in outcomes and verify(small)["findings"] == []


def test_a_full_disk_while_run_pulls(small, another_archive, demo_layout):
    """Content and disks come at the same time, and either may find no room."""
    small("image", "load", "-q", "-i", another_archive, "--name", "another", check=0)
    small("image", "remove", "kept", check=0)
    server = Registry(demo_layout)
    server.go.set()
    words = ["run", "--rm", "--accelerator", "emulation", server.image, "echo", "ran"]
    for room in (0, 300, 1000, 1300, 2000):
        leave(small, room)
        result = small(*words, timeout=120)
        assert result.returncode == 125 and FULL in result.stderr.lower(), (room, result)
        expect_whole(small, "another:latest")
        small("image", "remove", "-f", server.image, check=0)
        for path in (small.images / "partial").iterdir():
            path.unlink()
    small.filler.unlink()
    assert small(*words, check=0).stdout == b"ran\n"
    server.close()
    expect_whole(small, "another:latest", server.image)
