"""`cloister image`: every form an image comes in, what is shown of it, and layers that are unpacked once."""

import gzip
import hashlib
import json
import lzma
import os
import pathlib
import re
import shutil
import signal
import stat
import subprocess
import tarfile
import time

import pytest

from conftest import CACHE, DEMO, ROOT


def skopeo(source, target):
    subprocess.run(["skopeo", "copy", "--quiet", "--insecure-policy", source, target], check=True)


def tar(directory, path):
    with tarfile.open(path, "w") as archive:
        for name in sorted(os.listdir(directory)):
            archive.add(directory / name, name)
    return path


def compressed(path, how):
    target = path.with_name(path.name + "." + how)
    data = path.read_bytes()
    if how == "gz":
        target.write_bytes(gzip.compress(data, 1))
    elif how == "xz":
        target.write_bytes(lzma.compress(data, preset=0))
    else:
        subprocess.run(["zstd", "-q", "-f", path, "-o", target], check=True)
    return target


@pytest.fixture(scope="session")
def forms(tmp_path_factory, demo_archive):
    """The demonstration image by the name of its form."""
    work = tmp_path_factory.mktemp("forms")
    # Not "oci-archive:", whose reader gives files to root, which an ordinary user may not.
    subprocess.run(["tar", "-xf", demo_archive, "--one-top-level=" + str(work / "demo"), "--no-same-owner"], check=True)
    skopeo(f"oci:{work}/demo:latest", f"oci:{work}/directory:latest")
    skopeo(f"oci:{work}/demo:latest", f"docker-archive:{work}/docker.tar:{DEMO}:latest")
    shutil.copytree(work / "directory", work / "umoci")
    subprocess.run(["umoci", "config", "--image", f"{work}/umoci:latest", "--tag", "changed", "--config.env", "BY=umoci"], check=True)
    subprocess.run(["umoci", "rm", "--image", f"{work}/umoci:latest"], check=True)
    result = {"OCI directory": work / "directory", "OCI tar": tar(work / "directory", work / "oci.tar"),
              "docker tar": work / "docker.tar", "umoci directory": work / "umoci", "umoci tar": tar(work / "umoci", work / "umoci.tar"),
              "own tar": demo_archive}
    for how in ("gz", "zst", "xz"):
        result[f"OCI tar.{how}"] = compressed(result["OCI tar"], how)
        result[f"docker tar.{how}"] = compressed(result["docker tar"], how)
    return result


FORMS = ["OCI directory", "OCI tar", "OCI tar.gz", "OCI tar.zst", "OCI tar.xz", "docker tar", "docker tar.gz", "docker tar.zst",
         "docker tar.xz", "umoci directory", "umoci tar", "own tar"]


def inspect(space, name):
    document, = json.loads(space("image", "inspect", "--format", "json", name, check=0).stdout)
    return document


def rows(space):
    return json.loads(space("image", "list", "--format", "json", check=0).stdout)


def disks(space):
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in (space.images / "layers").glob("*.img")}


@pytest.mark.parametrize("way", ["file", "pipe"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_loads(cloister, forms, form, way):
    if way == "pipe" and forms[form].is_dir():
        pytest.skip("a directory does not come through a pipe")
    if way == "file":
        result = cloister("image", "load", "-i", forms[form], "--name", "form:1", check=0)
    else:
        result = cloister("image", "load", "--name", "form:1", check=0, input=forms[form].read_bytes())
    assert result.stdout == b"Loaded image: form:1\n" and result.stderr == b""
    loaded, original = inspect(cloister, "form:1"), inspect(cloister, DEMO)
    assert [layer["diffID"] for layer in loaded["layers"]] == [layer["diffID"] for layer in original["layers"]]
    environment = loaded["config"]["config"]["Env"]
    assert "BY=umoci" in environment if "umoci" in form else environment == original["config"]["config"]["Env"]
    cloister("image", "remove", "form:1", check=0)
    assert cloister.run(DEMO, "echo", "kept") == "kept\n" if form == "OCI tar" else True


@pytest.mark.parametrize("form", ["docker tar", "OCI directory"])
def test_a_form_runs_in_a_store_of_its_own(other, forms, form):
    other("image", "load", "-i", forms[form], "--name", "only", check=0)
    assert other.run("only", "echo", "runs") == "runs\n"


def test_a_docker_archive_says_its_names(other, forms):
    assert other("image", "load", "-i", forms["docker tar"], check=0).stdout == b"Loaded image: cloister-demo:latest\n"
    assert other("image", "load", "-q", "-i", forms["docker tar"], check=0).stdout == b""
    assert [row["name"] for row in rows(other)] == ["cloister-demo:latest"]


def test_list_and_inspect(cloister):
    row, = [row for row in rows(cloister) if row["name"] == "cloister-demo:latest"]
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", row["id"]) and re.fullmatch(r"sha256:[0-9a-f]{64}", row["digest"])
    assert row["platform"].startswith("linux/") and row["layers"] == 1 and row["size"] > 100_000
    short = row["id"].removeprefix("sha256:")[:12]
    table = cloister("image", "list", check=0).stdout.decode().splitlines()
    assert table[0].split() == ["NAME", "ID", "PLATFORM", "LAYERS", "SIZE", "LOADED"]
    line, = [line for line in table[1:] if line.startswith("cloister-demo")]
    assert short in line and row["platform"] in line
    assert short in cloister("image", "ls", "-q", check=0).stdout.decode().split()
    for name in (DEMO, "cloister-demo:latest", "docker.io/library/cloister-demo", short, row["id"], row["digest"]):
        assert inspect(cloister, name)["image"]["digest"] == row["digest"]
    text = cloister("image", "inspect", DEMO, check=0).stdout.decode()
    for word in ("cloister-demo:latest", row["id"], row["digest"], "/bin/sh", "PATH="):
        assert word in text
    two = json.loads(cloister("image", "inspect", "--format", "json", DEMO, short, check=0).stdout)
    assert len(two) == 2


def test_an_empty_store_lists_nothing(other):
    assert rows(other) == []
    assert other("image", "list", "-q", check=0).stdout == b""
    assert len(other("image", "list", check=0).stdout.splitlines()) == 1


def test_removal_takes_content_with_the_last_name(other, demo_archive):
    other("image", "load", "-i", demo_archive, check=0)
    other("image", "load", "-i", demo_archive, "--name", "second", check=0)
    other.run(DEMO, "true")
    blobs = other.images / "blobs" / "sha256"
    everything = set(os.listdir(blobs))
    assert other("image", "remove", DEMO, check=0).stdout == b"Removed: cloister-demo:latest\n"
    assert set(os.listdir(blobs)) == everything and len(disks(other)) == 1
    result = other("image", "remove", DEMO, check=125)
    assert b"cloister-demo" in result.stderr
    assert other.run("second", "echo", "runs") == "runs\n"
    # One that is not there does not keep the other.
    other("image", "remove", "not-there", "second", check=125)
    assert not os.listdir(blobs) and not disks(other) and rows(other) == []


def test_removal_while_in_use(other, demo_archive):
    other("image", "load", "-i", demo_archive, check=0)
    process = other.start("run", "-i", "--rm", DEMO, "sh", "-c", "echo up; read line; sha256sum /bin/busybox", stdin=subprocess.PIPE)
    assert process.stdout.readline() == b"up\n"
    other("image", "remove", DEMO, check=0)
    assert rows(other) == [] and len(disks(other)) == 1
    output, error = process.communicate(b"go\n", timeout=60)
    assert process.returncode == 0 and b"/bin/busybox" in output, error
    # What was in use then goes with the next occasion.
    other("image", "load", "-i", demo_archive, check=0)
    other("image", "remove", DEMO, check=0)
    assert not disks(other)


def builders(space, processes):
    """The names of the sandboxes that unpack, seen until the processes have ended."""
    seen = set()
    while any(process.poll() is None for process in processes):
        if space.state.exists():
            seen |= {name for name in os.listdir(space.state) if name.startswith("build-")}
        time.sleep(0.01)
    return seen


def run_watched(space, count):
    processes = [space.start("run", "--rm", "--accelerator", "emulation", DEMO, "echo", "ran") for _ in range(count)]
    seen = builders(space, processes)
    for process in processes:
        output, error = process.communicate()
        assert process.returncode == 0 and output == b"ran\n", (process.returncode, output, error)
    return seen


def test_layers_are_unpacked_once(other, demo_archive):
    other("image", "load", "-i", demo_archive, check=0)
    assert len(run_watched(other, 1)) == 1
    first = disks(other)
    assert len(first) == 1
    assert run_watched(other, 1) == set()
    # A name more, the same layer: nothing to unpack either.
    other("image", "load", "-i", demo_archive, "--name", "another", check=0)
    assert run_watched(other, 2) == set()
    assert disks(other) == first


def test_a_umask_that_keeps_all_others_out(other, demo_archive):
    """Root's may be so; QEMU runs as somebody else. What is made for the caller is still by the caller's."""
    private = {"umask": 0o077}
    other("image", "load", "-q", "-i", demo_archive, check=0, **private)
    assert other.run(DEMO, "echo", "works", **private) == "works\n"
    saved = other.directory / "saved.tar"
    other("image", "save", "-o", saved, DEMO, check=0, **private)
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600


def test_several_at_once_unpack_a_layer_once(other, demo_archive):
    other("image", "load", "-i", demo_archive, check=0)
    assert len(run_watched(other, 4)) == 1
    assert len(disks(other)) == 1


def overwrite(path, offset, data):
    """As a disk rots: without the file's time telling."""
    info = path.stat()
    os.chmod(path, 0o644)
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)
    os.chmod(path, 0o444)
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


DAMAGES = {
    "disk truncated": lambda disk, proof: (os.chmod(disk, 0o644), os.truncate(disk, disk.stat().st_size // 2)),
    "disk emptied": lambda disk, proof: (os.chmod(disk, 0o644), os.truncate(disk, 0)),
    "disk grown": lambda disk, proof: (os.chmod(disk, 0o644), os.truncate(disk, disk.stat().st_size + 4096)),
    "disk removed": lambda disk, proof: disk.unlink(),
    "disk replaced by another file": lambda disk, proof: (disk.unlink(), disk.write_bytes(b"x" * 4096)),
    "superblock overwritten": lambda disk, proof: overwrite(disk, 1024, os.urandom(1024)),
    "proof removed": lambda disk, proof: proof.unlink(),
    "proof cut off": lambda disk, proof: os.truncate(proof, 20),
    "proof of something else": lambda disk, proof: proof.write_text("{}"),
    "proof empty": lambda disk, proof: os.truncate(proof, 0),
}


@pytest.fixture(scope="module")
def damaged(tmp_path_factory, demo_archive):
    from conftest import Workspace
    import tempfile
    directory = tempfile.mkdtemp(prefix="cloister-", dir="/tmp")
    os.chmod(directory, 0o755)
    space = Workspace(directory)
    space("image", "load", "-i", demo_archive, check=0)
    space.run(DEMO, "true")
    yield space
    shutil.rmtree(directory)


@pytest.mark.parametrize("what", DAMAGES)
def test_damage_to_the_cache_is_found_and_mended(damaged, what):
    disk, = (damaged.images / "layers").glob("*.img")
    before = disk.stat().st_ino
    DAMAGES[what](disk, disk.with_suffix(".json"))
    assert len(run_watched(damaged, 1)) == 1
    damaged.expect_nothing_left()
    mended, = (damaged.images / "layers").glob("*.img")
    assert mended.stat().st_size > 1 << 20 and run_watched(damaged, 1) == set()


def test_a_half_made_disk_is_made_anew(damaged):
    disk, = (damaged.images / "layers").glob("*.img")
    disk.rename(disk.with_suffix(".building"))
    disk.with_suffix(".building").chmod(0o644)
    os.truncate(disk.with_suffix(".building"), 12345)
    assert len(run_watched(damaged, 1)) == 1
    damaged.expect_nothing_left()


def test_a_killed_build_leaves_nothing_in_the_way(other, demo_archive):
    other("image", "load", "-i", demo_archive, check=0)
    process = other.start("run", "--rm", DEMO, "true")
    wait_for(lambda: any("-S" in words for words in other.processes().values()), process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    deadline = time.monotonic() + 5
    while other.processes() or os.listdir(other.state):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert other.run(DEMO, "echo", "ran") == "ran\n"
    assert not list((other.images / "layers").glob("*.building"))


# Loads that are killed.

def wait_for(condition, process, seconds=60):
    deadline = time.monotonic() + seconds
    while process.poll() is None and not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def written(space):
    return sum(path.stat().st_size for path in list_files(space.images / "tmp"))


def list_files(directory):
    found = []
    for place, _, names in os.walk(directory):
        for name in names:
            path = pathlib.Path(place, name)
            if path.exists():
                found.append(path)
    return found


def blobs(space):
    directory = space.images / "blobs" / "sha256"
    return os.listdir(directory) if directory.exists() else []


MOMENTS = {
    "store made": lambda space: (space.images / "tmp").exists(),
    "first bytes": lambda space: safely(written, space) > 0,
    "some megabytes": lambda space: safely(written, space) > 8 << 20,
    "one layer in": lambda space: len(blobs(space)) >= 1,
    "two layers in": lambda space: len(blobs(space)) >= 2,
    "five layers in": lambda space: len(blobs(space)) >= 5,
    "all content in": lambda space: len(blobs(space)) >= 7,
}


def safely(function, *arguments):
    try:
        return function(*arguments)
    except FileNotFoundError:
        return 0


@pytest.fixture(scope="module")
def debian_archive():
    archive = CACHE / "images" / "debian.tar"
    subprocess.run([ROOT / "scripts" / "make-debian-image", archive], check=True)
    return archive


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_load_does_not_hinder_the_next(other, debian_archive, moment):
    process = other.start("image", "load", "-i", debian_archive)
    wait_for(lambda: MOMENTS[moment](other), process)
    process.kill()
    process.communicate()
    # All or nothing: a name that is there has all its content.
    for row in rows(other):
        assert inspect(other, row["name"])["layers"]
    # What is in the store by its digest has that digest.
    for name in blobs(other):
        with open(other.images / "blobs" / "sha256" / name, "rb") as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == name
    other("image", "load", "-i", debian_archive, check=0)
    assert len(rows(other)) == 1 and len(blobs(other)) == 7
    assert list_files(other.images / "tmp") == [] or all(path.name.endswith("lock") for path in list_files(other.images / "tmp"))


def test_two_loads_at_once(other, debian_archive):
    both = [other.start("image", "load", "-i", debian_archive, "--name", name) for name in ("one", "two")]
    for process in both:
        _, error = process.communicate(timeout=120)
        assert process.returncode == 0, error
    assert sorted(row["name"] for row in rows(other)) == ["one:latest", "two:latest"] and len(blobs(other)) == 7
