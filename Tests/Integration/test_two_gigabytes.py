"""An image of more than two gigabytes, and in it a file of more than four: nothing is counted in 32 bits, and memory does not
grow with it."""

import gzip
import hashlib
import os
import random
import tarfile
import zlib

import pytest

import imagemaker
from imagemaker import ociimage
from measured import Watch
from registrykit import docker_registry

MIB, GIB = 1 << 20, 1 << 30
#: cloister and the sandbox's server, each, whatever the size of the image.
MEMORY_IN_BYTES = 100 * MIB
STEP = 64 * MIB
STEPS = 33
SPARSE_SIZE = 5 * GIB

CHECK = """
import os, zlib
with open("/srv/large", "rb") as file:
    sum = 0
    while piece := file.read(1 << 20):
        sum = zlib.crc32(piece, sum)
print(os.stat("/srv/large").st_size, sum)
with open("/srv/sparse", "rb") as file:
    file.seek(-3, 2)
    print(os.stat("/srv/sparse").st_size, os.stat("/srv/sparse").st_blocks < 100, file.read(3))
"""


def entry(name, size, **headers):
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.pax_headers = size, 0o644, headers
    return info.tobuf(tarfile.PAX_FORMAT)


def sparse(name, size):
    """GNU's format 1.0 (tar manual, "Storing Sparse Files"): all hole but the last three bytes."""
    head = "".join(f"{number}\n" for number in [1, size - 3, 3]).encode()
    head += b"\0" * (-len(head) % 512)
    return entry("GNUSparseFile.0/sparse", len(head) + 3, **{
        "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": name, "GNU.sparse.realsize": str(size)}) \
        + head + b"end" + b"\0" * 509


def layer(target):
    """Writes gzip, a member for each step, and returns the tar's digest and the large file's checksum. Made in seconds: noise in
    each step's beginning, so that no two are alike, and the same zeros in all their rest."""
    noise, diff_id, checksum = random.Random(5), hashlib.sha256(), 0
    rest = bytes(STEP - 2 * MIB)
    compressed_rest = gzip.compress(rest, 1, mtime=0)
    with open(target, "wb") as file:
        def put(data):
            diff_id.update(data)
            file.write(gzip.compress(data, 1, mtime=0))
        put(entry("srv/large", STEP * STEPS))
        for _ in range(STEPS):
            piece = noise.randbytes(2 * MIB)
            put(piece)
            diff_id.update(rest)
            file.write(compressed_rest)
            checksum = zlib.crc32(rest, zlib.crc32(piece, checksum))
        put(sparse("srv/sparse", SPARSE_SIZE) + bytes(1024))
    return "sha256:" + diff_id.hexdigest(), checksum


def test_an_image_of_two_gigabytes(cloister, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("making images needs root")
    (tmp_path / "registry").mkdir()
    (tmp_path / "make").mkdir()
    with docker_registry(tmp_path / "registry") as registry:
        make = imagemaker.Maker(tmp_path / "make", registry)
        diff_id, checksum = layer(tmp_path / "layer.gz")
        image = ociimage.Image("docker.io/library/two:latest").add_layer(make.first_tar())
        image.add_layer(b"", ("+gzip", (tmp_path / "layer.gz").read_bytes()), diff_id=diff_id)
        image.write(tmp_path / "two.tar")
        make.skopeo(f"oci-archive:{tmp_path}/two.tar", f"docker://{make.name('two')}")
        with Watch(cloister) as watch:
            cloister("pull", "-q", make.name("two"), check=0)
            output = cloister.run("--pull", "never", make.name("two"), "python3", "-B", "-c", CHECK, timeout=500)
        assert output == f"{STEP * STEPS} {checksum}\n{SPARSE_SIZE} True b'end'\n"
        print(watch.peaks)
        assert {"cloister", "containerd-shim-cloister-v2"} <= set(watch.peaks)
        assert max(watch.peaks.values()) < MEMORY_IN_BYTES, watch.peaks
        cloister("image", "remove", make.name("two"), check=0)
        make.end()
