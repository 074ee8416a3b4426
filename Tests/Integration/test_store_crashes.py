"""Commands that are killed at random moments: what was whole stays whole, and the next command works."""

import contextlib
import os
import random
import subprocess
import time

import pytest

from storekit import (Registry, another_archive, demo_layout, expect_nothing_runs, expect_whole, kept, names, registry,  # noqa: F401
                      verify)


def kill_at_random(space, words, count, length=None):
    """Runs a command `count` times, killed each time at another moment of the time that it takes, or of its first `length`
    seconds; yields after each."""
    seed = int.from_bytes(os.urandom(4), "little")
    print("seed", seed)
    choose = random.Random(seed)
    start = time.monotonic()
    process = space.start(*words)
    process.communicate(timeout=300)
    length = length or time.monotonic() - start
    yield process.returncode
    for _ in range(count):
        process = space.start(*words)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(choose.uniform(0, length * 1.2))
        process.kill()
        process.communicate(timeout=60)
        yield None


def test_kills_of_a_load(kept, another_archive):
    for _ in kill_at_random(kept, ["image", "load", "-i", another_archive, "--name", "another"], 20):
        expect_whole(kept, "kept:latest")
        kept("image", "remove", "another")
    kept("image", "load", "-i", another_archive, "--name", "another", check=0)
    assert verify(kept)["findings"] == []


def test_kills_of_a_pull(kept, registry):
    registry.go.set()
    for _ in kill_at_random(kept, ["pull", "--plain-http", registry.image], 20):
        expect_whole(kept, "kept:latest")
        kept("image", "remove", registry.image)
    kept("pull", "--plain-http", registry.image, check=0)
    assert [row for row in verify(kept)["findings"] if "pull" not in row["problem"]] == []


@pytest.mark.parametrize("words", ["remove another", "prune -a -f --filter label=kind=another", "tag kept another", "verify --repair"])
def test_kills_of_what_changes_the_store(kept, another_archive, words):
    def load():
        kept("image", "load", "-i", another_archive, "--name", "another", check=0)

    load()
    for _ in kill_at_random(kept, ["image", *words.split()], 20):
        expect_whole(kept, "kept:latest")
        load()
    assert verify(kept)["findings"] == [] and names(kept) == ["another:latest", "kept:latest"]


def test_kills_of_an_unpack(kept):
    words = ["run", "--rm", "--accelerator", "emulation", "kept", "true"]
    for _ in kill_at_random(kept, words, 20):
        expect_nothing_runs(kept)
        expect_whole(kept, "kept:latest")
        for path in (kept.images / "layers").iterdir():
            if path.suffix in (".img", ".json"):
                path.unlink()
    assert kept.run("kept", "echo", "whole") == "whole\n"
    assert verify(kept)["findings"] == []


def test_kills_of_a_run_that_pulls(other, another_archive, demo_layout):
    """In the time that the pull takes; what follows it has a test of its own."""
    other("image", "load", "-q", "-i", another_archive, "--name", "kept", check=0)
    server = Registry(demo_layout, pause=0.02)
    server.go.set()
    start = time.monotonic()
    other("pull", "-q", "--plain-http", server.image, check=0)
    length = time.monotonic() - start
    words = ["run", "--rm", "--accelerator", "emulation", server.image, "echo", "ran"]
    for _ in kill_at_random(other, words, 20, length):
        expect_nothing_runs(other)
        expect_whole(other, "kept:latest")
        # What has a name is all there; what has none is pulled again.
        other("image", "remove", "-f", server.image, check=0)
    assert other("run", "--rm", "--accelerator", "emulation", server.image, "echo", "ran", check=0).stdout == b"ran\n"
    server.close()
    assert [row for row in verify(other)["findings"] if "pull" not in row["problem"]] == []
