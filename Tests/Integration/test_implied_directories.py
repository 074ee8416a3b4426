"""Directories that a layer has only for what lies in them: their owner, mode and attributes are those of the layers below, which
the same layer has others of in another image."""

import json
import subprocess
import tarfile
import time

import pytest

import hostilekit
import ociimage
from registrykit import SmallRegistry

#: Prints owner, mode and extended attributes of the paths it is given.
SHOW = r"""
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
int main(int count, char **paths) {
    for (int i = 1; i < count; i++) {
        struct stat info;
        char names[4096], value[4096];
        if (stat(paths[i], &info)) { perror(paths[i]); return 1; }
        printf("%s %d %o", paths[i], info.st_uid, info.st_mode & 07777);
        long length = listxattr(paths[i], names, sizeof names);
        for (long at = 0; at < length; at += strlen(names + at) + 1) {
            long size = getxattr(paths[i], names + at, value, sizeof value);
            printf(" %s=%.*s", names + at, (int)size, value);
        }
        puts("");
    }
    return 0;
}
"""
UPPER = ociimage.Layer().file("given/deep/new", "new").finish()
#: Layers between the programs and the one above, and what is seen of the two directories.
BASES = {
    "owned": ([ociimage.Layer().directory("given", 0o700, uid=1000, xattrs={"user.base": b"1"}).directory("given/deep", 0o1777)],
              ("1000 700 user.base=1", "0 1777")),
    "other": ([ociimage.Layer().directory("given", 0o711, uid=5, xattrs={"user.other": b"2"})], ("5 711 user.other=2", "0 755")),
    "none": ([ociimage.Layer().file("elsewhere")], ("0 755", "0 755")),
    "replaced": ([ociimage.Layer().directory("given", 0o700, uid=7).directory("given/deep", 0o700, uid=7),
                  ociimage.Layer().directory("given", 0o750).file("given/.wh..wh..opq")], ("0 750", "0 755")),
}
MANY = 30


def expected(base):
    given, deep = BASES[base][1]
    return f"/given {given}\n/given/deep {deep}\n"


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """An image over each of the bases, all with the same uppermost layer; one of them over many layers more."""
    directory = tmp_path_factory.mktemp("archives")
    program = directory / "show"
    subprocess.run(["gcc", "-x", "c", "-static", "-s", "-o", program, "-"], input=SHOW.encode(), check=True)
    show = ociimage.Layer().file("show", program.read_bytes(), 0o755).finish()
    for base, (layers, _) in BASES.items():
        for name, count in ((base, 0), *([("many", MANY)] if base == "owned" else [])):
            image = hostilekit.on_base(name).add_layer(show)
            for number in range(count):
                image.add_layer(ociimage.Layer().file(f"file{number}").finish())
            for layer in layers:
                image.add_layer(layer.finish())
            image.add_layer(UPPER).write(directory / f"{name}.tar")
    return directory


def shown(space, name):
    return space.run(hostilekit.name_of(name), "/show", "/given", "/given/deep")


def proofs(space):
    """What is remembered of the layers' disks, by diffID."""
    found = [json.loads(path.read_text())["unpacked"] for path in (space.images / "layers").glob("*.json")]
    return {each["diffID"]: each for each in found}


@pytest.mark.parametrize("first", ["owned", "none"])
def test_they_are_as_the_layers_below_say(other, archives, first):
    """In the image that the layer is unpacked for, where they are completed once, and in others, at each start."""
    others = [base for base in BASES if base != first]
    for base in [first, *others, first]:
        other("image", "load", "-i", archives / f"{base}.tar", check=0)
        assert shown(other, base) == expected(base)
    known = proofs(other)
    upper = known.pop(ociimage.digest(UPPER))
    assert upper["completeOver"].startswith("sha256:")
    assert {each["completeOver"] for each in known.values()} == {"any"}


def test_one_of_more_layers_than_a_guest_is_given_for_it(other, archives):
    """Unpacked by itself, it is completed at each start; unpacked with the others, once."""
    other("image", "load", "-i", archives / "many.tar", check=0)
    assert shown(other, "many") == expected("owned")
    digest = ociimage.digest(UPPER)
    (other.images / "layers" / f"{digest.removeprefix('sha256:')}.json").unlink()
    assert shown(other, "many") == expected("owned")
    assert "completeOver" not in proofs(other)[digest]


def published(registry, archive, name):
    """An archive's image, in a small registry."""
    with tarfile.open(archive) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}
    registry.blobs |= {ociimage.digest(data): data for name, data in files.items() if name.startswith("blobs/")}
    manifest = files["blobs/" + json.loads(files["index.json"])["manifests"][0]["digest"].replace(":", "/")]
    return registry.add_document(manifest, json.loads(manifest)["mediaType"], name), json.loads(manifest)


@pytest.mark.parametrize("held", [0, 1, 2])
def test_a_layer_that_comes_before_those_below_it(other, archives, held):
    """It is unpacked at once, while a lower one still comes; and once more when that has come, since it needs it."""
    registry = SmallRegistry()
    name, manifest = published(registry, archives / "owned.tar", "early/image")
    path = other.images / "layers" / f"{ociimage.digest(UPPER).removeprefix('sha256:')}.json"
    early = []

    def hold(request):
        if request.path.endswith(manifest["layers"][held]["digest"]):
            deadline = time.monotonic() + 60
            while not path.exists() and time.monotonic() < deadline:
                time.sleep(0.02)
            early.append(json.loads(path.read_text())["unpacked"].get("completeOver"))

    registry.intercept = hold
    try:
        assert other.run(name, "/show", "/given", "/given/deep") == expected("owned")
    finally:
        registry.close()
    assert early == [None]
    assert proofs(other)[ociimage.digest(UPPER)]["completeOver"].startswith("sha256:")
