"""Images made to do harm may spoil their own layer's disk, and nothing else."""

import json
import shutil
import subprocess
import sys
import tempfile
import os

import pytest

from conftest import DEMO, ROOT, Workspace
from measured import Watch
from test_bad_input import contents, sentence

SCRIPT = ROOT / "Tests" / "Integration" / "hostile_images.py"
#: cloister and the sandbox's server, each, whatever the image. What a guest takes is what its machine was made with.
MEMORY_IN_BYTES = 120 << 20
CASES = subprocess.run([sys.executable, SCRIPT, "--list"], check=True, capture_output=True, text=True).stdout.split()


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    directory = tmp_path_factory.mktemp("hostile")
    subprocess.run([sys.executable, SCRIPT, directory], check=True)
    yield json.loads((directory / "cases.json").read_text())
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def store(demo_archive):
    """A store of their own, where the demonstration image, whose layer most of them stand on, has been run."""
    directory = tempfile.mkdtemp(prefix="cloister-", dir="/tmp")
    os.chmod(directory, 0o755)
    space = Workspace(directory)
    space("image", "load", "-i", demo_archive, check=0)
    space("run", "--rm", DEMO, "true", check=0)
    yield space
    shutil.rmtree(directory, ignore_errors=True)


@pytest.mark.parametrize("name", CASES)
def test_hostile_image(store, images, name):
    with Watch(store) as watch:
        hostile_image(store, images[name])
    assert max(watch.peaks.values(), default=0) < MEMORY_IN_BYTES, watch.peaks


def hostile_image(store, case):
    before = contents(store)
    result = store("image", "load", "-i", case["file"])
    if case["load"] == "refused":
        sentence(result, *case["words"])
        assert contents(store) == before
        return
    assert result.returncode == 0, result.stderr
    try:
        attempt(store, case)
    finally:
        store.expect_nothing_left()
        store("image", "remove", case["image"], check=0)
    # Its own content has gone with it; everything else is as it was, to the nanosecond.
    after = contents(store)
    references = {"references.json"}
    assert {k: v for k, v in after.items() if k not in references} == {k: v for k, v in before.items() if k not in references}
    assert not os.path.lexists("/escaped")


def attempt(store, case):
    # Layers that take what they claim to have would be seen in the check's time; so would a guest that hangs.
    result = store("run", "--rm", case["image"], "/bin/sh", "-c", case["check"] or "echo ok", timeout=240)
    if case["run"] == "refused" or case["run"] == "either" and result.returncode == 125:
        sentence(result, *case["words"])
    else:
        assert result.returncode == 0 and result.stdout.decode().endswith("ok\n"), (result.returncode, result.stdout, result.stderr)


def test_commands_that_the_image_lacks(store, images):
    case = images["command-not-in-the-image"]
    store("image", "load", "-i", case["file"], check=0)
    sentence(store("run", "--rm", case["image"], "not-in-the-image"), "not-in-the-image", status=127)
    sentence(store("run", "--rm", case["image"], "/etc/not-a-program"), "/etc/not-a-program", status=126)
    store("image", "remove", case["image"], check=0)


def test_the_image_they_stand_on_is_whole(store):
    """After all of them: its layer was unpacked once, before the first, and still runs."""
    disks = list((store.images / "layers").glob("*.img"))
    assert len(disks) == 1
    before = disks[0].stat().st_mtime_ns
    assert store("run", "--rm", DEMO, "sh", "-c", "cat /etc/passwd | wc -l; ls / | grep -c escaped").stdout == b"3\n0\n"
    assert disks[0].stat().st_mtime_ns == before
