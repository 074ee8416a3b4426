"""Every kind of image, from Debian's docker-registry: what its container sees is what umoci unpacks, and wherever it goes, its
digests stay what they were."""

import json
import os
import shutil
import subprocess
import sys

import pytest

import imagemaker
from registrykit import digest, docker_registry
from test_debian import LISTING, MOUNTED, compare

#: umoci of Debian 12 reads layers by gzip alone; skopeo gives it the others so.
GZIP = ["--dest-compress-format", "gzip"]


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    if os.geteuid() != 0:
        pytest.skip("owners, devices and buildah's mounts need root")
    with docker_registry(tmp_path_factory.mktemp("registry")) as registry:
        maker = imagemaker.Maker(tmp_path_factory.mktemp("make"), registry)
        yield maker
        maker.end()


@pytest.fixture(scope="module")
def made(make):
    """Images by kind, each made when a test first asks for it."""
    names = {}

    def name(kind):
        if kind not in names:
            names[kind] = imagemaker.KINDS[kind](make)
        return names[kind]

    return name


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    with docker_registry(tmp_path_factory.mktemp("elsewhere")) as address:
        yield address


def umoci_tree(make, name, directory):
    make.skopeo(f"docker://{name}", f"oci:{directory}/layout:latest", "--format", "oci", *GZIP)
    make.umoci("unpack", "--image", f"{directory}/layout:latest", directory / "bundle")
    return directory / "bundle" / "rootfs"


@pytest.mark.parametrize("kind", imagemaker.KINDS)
def test_the_tree_is_the_one_that_umoci_unpacks(cloister, make, made, tmp_path, kind):
    name = made(kind)
    tree = umoci_tree(make, name, tmp_path)
    theirs = subprocess.run([sys.executable, LISTING, tree, *MOUNTED], capture_output=True, check=True).stdout.decode()
    # SYS_ADMIN shows extended attributes of the trusted namespace as well.
    ours = cloister("run", "-i", "--rm", "--cap-add", "SYS_ADMIN", "--cap-add", "DAC_READ_SEARCH", name, "python3", "-B", "-", "/",
                    *MOUNTED, check=0, input=LISTING.read_bytes()).stdout.decode()
    shutil.rmtree(tmp_path)
    assert theirs.count("\n") > 500
    compare(theirs.splitlines(), ours.splitlines())


@pytest.mark.parametrize("kind, parts", [("one layer, by buildah", 0), ("120 layers, by skopeo", 120)])
def test_layers_lie_on_one_disk(cloister, made, kind, parts):
    """Beside the one that is written to."""
    partitions = cloister("run", "--rm", made(kind), "cat", "/proc/partitions", check=0).stdout.decode().split()[4:][3::4]
    whole = [name for name in partitions if not name[-1].isdigit()]
    assert (len(whole), len(partitions) - len(whole)) == (2, parts)


def manifest(name):
    """This machine's part of an image in a registry, as it is there."""
    def raw(reference):
        return subprocess.run(["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{reference}"], check=True,
                              capture_output=True).stdout
    data = raw(name)
    for each in json.loads(data).get("manifests", []):
        if each["platform"]["architecture"] == "amd64":
            return raw(f"{name.rpartition(':')[0]}@{each['digest']}")
    return data


def inspected(space, name):
    return json.loads(space("image", "inspect", "--format", "json", name, check=0).stdout)[0]


#: What the layers of the others hold makes no difference to their digests.
CARRIED = ["several layers, by buildah", "Docker schema 2, by buildah", "an index, by buildah", "zstd, by skopeo", "changes, by umoci",
           "120 layers, by skopeo"]


@pytest.mark.parametrize("kind", CARRIED)
def test_digests_stay_what_they_were(cloister, other, made, elsewhere, tmp_path, kind):
    """Pulled, pushed, pulled elsewhere and saved; read by skopeo and podman, and what those save read by us."""
    name = made(kind)
    there = f"{elsewhere}/{name.partition('/')[2]}"
    expected = manifest(name)
    cloister("pull", "-q", name, check=0)
    cloister("push", "-q", name, there, check=0)
    assert manifest(there) == expected
    other("pull", "-q", there, check=0)
    image = inspected(other, there)
    assert image["image"]["digest"] == digest(expected)
    for each in json.loads(expected)["layers"] + [json.loads(expected)["config"]]:
        assert digest((other.images / "blobs" / "sha256" / each["digest"].removeprefix("sha256:")).read_bytes()) == each["digest"]

    # skopeo finds OCI manifests alone in an OCI layout; neither it nor podman writes zstd to a docker-archive.
    is_oci, is_zstd = b"application/vnd.docker" not in expected, b"+zstd" in expected
    saved, diff_ids = tmp_path / "saved.tar", [layer["diffID"] for layer in image["layers"]]
    other("image", "save", "-o", saved, there, check=0)
    for form in ["docker-archive"] + ["oci-archive"] * is_oci:
        config = subprocess.run(["skopeo", "inspect", "--config", "--raw", f"{form}:{saved}:{there}"], check=True, capture_output=True).stdout
        assert digest(config) == json.loads(expected)["config"]["digest"]
    if is_oci:
        imagemaker.Maker.skopeo(f"oci-archive:{saved}:{there}", f"dir:{tmp_path}/dir")
        assert (tmp_path / "dir" / "manifest.json").read_bytes() == expected

    # What they write, made of what is in the registry.
    forms = ["oci-archive"] + ["docker-archive"] * (not is_zstd)
    for form in forms:
        imagemaker.Maker.skopeo(f"docker://{there}", f"{form}:{tmp_path}/{form}:{form}/copy:1")
        other("image", "load", "-q", "-i", tmp_path / form, "--name", form, check=0)
        assert [layer["diffID"] for layer in inspected(other, form)["layers"]] == diff_ids
    assert (inspected(other, "oci-archive")["image"]["digest"] == digest(expected)) == is_oci
    if len(diff_ids) < 20:
        podman_too(other, saved, there, digest(expected) if is_oci else None, diff_ids, forms)
    assert json.loads(other("image", "verify", "--format", "json", check=0).stdout)["findings"] == []
    shutil.rmtree(tmp_path)


def podman_too(space, saved, name, expected, diff_ids, forms):
    """podman reads and writes it too. Not for images of many layers: without overlayfs, podman has a copy of everything for each."""
    podman = ["podman", "--root", space.directory / "p", "--runroot", space.directory / "r", "--storage-driver", "vfs"]
    subprocess.run([*podman, "load", "-q", "-i", saved], check=True, capture_output=True)
    listed = subprocess.run([*podman, "images", "--no-trunc", "--format", "{{.Digest}}"], check=True, capture_output=True, text=True)
    assert expected is None or listed.stdout.split() == [expected]
    for form in forms:
        subprocess.run([*podman, "save", "-q", "--format", form, "-o", space.directory / form, name], check=True, capture_output=True)
        space("image", "load", "-q", "-i", space.directory / form, "--name", f"podman-{form}", check=0)
        assert [layer["diffID"] for layer in inspected(space, f"podman-{form}")["layers"]] == diff_ids
