"""What hostile images are made with: a table of cases, and images to be spoilt."""

import gzip
import json
import os
import subprocess
import sys
import tarfile
import tempfile

sys.dont_write_bytecode = True
SCRIPTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "scripts")
sys.path.insert(0, SCRIPTS)
import ociimage  # noqa: E402

CASES = {}
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
GIB = 1 << 30


def case(load, run=None, words=(), check=None):
    """Registers a function that writes an archive to a path."""
    def register(function):
        CASES[function.__name__.replace("_", "-")] = (function, load, run, list(words), check)
        return function
    return register


def hostile_layer(run="either", words=(), check=None):
    """Registers a function that returns a layer's tar, or pairs of tar and compression, to lie on a working base."""
    def register(function):
        def write(path):
            layers = function()
            image = on_base(function.__name__.replace("_", "-"))
            for tar, compression in layers if isinstance(layers, list) else [(layers, "gzip")]:
                image.add_layer(tar, compression)
            image.write(path)
        CASES[function.__name__.replace("_", "-")] = (write, "accepted", run, list(words), check)
        return function
    return register


def name_of(case_name):
    return f"docker.io/library/hostile-{case_name}:latest"


_base = None


def on_base(case_name):
    """An image whose first layer is the demonstration image's, so that there is something to run."""
    global _base
    if _base is None:
        with tempfile.TemporaryDirectory() as work:
            demo = os.path.join(work, "demo.tar")
            subprocess.run([os.path.join(SCRIPTS, "make-demo-image"), demo], check=True)
            with tarfile.open(demo) as tar:
                read = lambda name: tar.extractfile(name).read()
                manifest = json.loads(read("index.json"))["manifests"][0]["digest"]
                layer = json.loads(read("blobs/" + manifest.replace(":", "/")))["layers"][0]["digest"]
                _base = gzip.decompress(read("blobs/" + layer.replace(":", "/")))
    image = ociimage.Image(name_of(case_name), ARCHITECTURE, config={"Cmd": ["/bin/sh"]})
    return image.add_layer(_base)


def small(case_name, **more):
    """An image of one tiny layer, to be spoilt."""
    arguments = {"architecture": ARCHITECTURE, "config": {"Cmd": ["/bin/sh"]}} | more
    image = ociimage.Image(name_of(case_name), **arguments)
    return image.add_layer(ociimage.Layer().file("hello", "hello\n").finish())


def zeros(count):
    """gzip of so many zeros, quickly: members of 64 MiB one after the other (RFC 1952, 2.2)."""
    step = 64 << 20
    return gzip.compress(bytes(step), mtime=0) * (count // step)
