#!/usr/bin/env python3
"""Makes images that are damaged or made to do harm, one archive each, for tests.

    hostile_images.py DIRECTORY [NAME…]      writes DIRECTORY/NAME.tar and DIRECTORY/cases.json
    hostile_images.py --list                 prints the names

cases.json says of each image, by name:
    file   its path
    load   what `cloister image load` does: "refused" or "accepted"
    run    what `cloister run` does with an accepted one: "refused", "works", or "either" where both are sound
    words  what the message of a refusal holds
    check  a shell command, to be run in the container of one that works, which prints "ok" when no harm was done
    image  the name it is loaded by
Nothing here is large: what unpacks to gigabytes is a few megabytes, and what claims to be, a sparse file.
"""

import gzip
import io
import json
import lzma
import os
import struct
import subprocess
import sys
import tarfile
import tempfile
import zlib

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


# Archives.

@case("refused", words=["not an image archive"])
def not_an_archive(path):
    with open(path, "wb") as file:
        file.write(b"This is a letter, not an image.\n" * 100)


@case("refused", words=["truncated"])
def truncated(path):
    on_base("truncated").write(path)
    os.truncate(path, os.path.getsize(path) // 2)


@case("refused", words=["truncated"])
def truncated_gzip(path):
    on_base("truncated-gzip").write(path)
    with open(path, "rb") as file:
        data = gzip.compress(file.read(), 1, mtime=0)
    with open(path, "wb") as file:
        file.write(data[:len(data) // 2])


@case("refused", words=["damaged"])
def corrupt(path):
    on_base("corrupt").write(path)
    with open(path, "r+b") as file:
        # The header of the second entry: index.json's.
        file.seek(1024 + 100)
        file.write(b"\xff" * 100)


@case("refused", words=["is damaged", "its content is sha256:"])
def digest_mismatch(path):
    image = small("digest-mismatch")
    files = image.files()
    name = "blobs/" + image.layers[0]["digest"].replace(":", "/")
    files[name] = files[name][:-1] + bytes([files[name][-1] ^ 1])
    ociimage.write_tar(path, files)


@case("refused", words=["bytes where its manifest says"])
def size_mismatch(path):
    image = small("size-mismatch")
    image.layers[0]["size"] += 1
    image.write(path)


@case("refused", words=["lacks layer sha256:"])
def layer_missing(path):
    image = small("layer-missing")
    files = image.files()
    del files["blobs/" + image.layers[0]["digest"].replace(":", "/")]
    ociimage.write_tar(path, files)


@case("refused", words=["has no layers"])
def no_layers(path):
    ociimage.Image(name_of("no-layers"), ARCHITECTURE, config={"Cmd": ["/bin/sh"]}).write(path)


@case("refused", words=["this machine runs linux/" + ARCHITECTURE])
def other_architecture(path):
    small("other-architecture", architecture="s390x").write(path)


@case("refused", words=["this machine runs linux/" + ARCHITECTURE])
def other_system(path):
    small("other-system", os="windows").write(path)


@case("refused", words=["not known here"])
def unknown_layer_type(path):
    image = small("unknown-layer-type")
    image.layers[0]["mediaType"] = "application/vnd.oci.image.layer.v1.tar+lzma"
    image.write(path)


@case("refused", words=["cannot be understood"])
def index_is_not_json(path):
    ociimage.write_tar(path, {"oci-layout": b"{}", "index.json": b"{" * 100000})


@case("refused", words=["index.json", "1.0 GiB"])
def manifest_of_a_gigabyte(path):
    """A sparse file: an index that really has its gigabyte, of NULs."""
    info = tarfile.TarInfo("index.json")
    info.size = GIB
    with open(path, "wb") as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT))
        file.truncate(512 + GIB + 1024)


@case("refused", words=["1.0 GiB"])
def compressed_manifest_of_a_gigabyte(path):
    """A megabyte of gzip that unpacks to a docker-archive's manifest of a gigabyte."""
    info = tarfile.TarInfo("manifest.json")
    info.size = GIB
    with open(path, "wb") as file:
        file.write(gzip.compress(info.tobuf(tarfile.GNU_FORMAT), mtime=0))
        file.write(zeros(GIB))
        file.write(gzip.compress(b"\0" * 1024, mtime=0))


# Layers that cannot be unpacked, or not to what they promise.

@case("accepted", "refused", words=["tar"])
def layer_is_not_a_tar(path):
    image = ociimage.Image(name_of("layer-is-not-a-tar"), ARCHITECTURE, config={"Cmd": ["/bin/sh"]})
    image.add_layer(b"This is not a tar. " * 1000).write(path)


@case("accepted", "refused")
def layer_is_not_gzip(path):
    image = ociimage.Image(name_of("layer-is-not-gzip"), ARCHITECTURE, config={"Cmd": ["/bin/sh"]})
    image.add_layer(b"x", ("+gzip", b"This is not gzip. " * 1000)).write(path)


@hostile_layer("refused")
def layer_is_truncated():
    tar = ociimage.Layer().file("hello", os.urandom(100000)).finish()
    return [(tar, ("+gzip", gzip.compress(tar, mtime=0)[:50000]))]


@case("accepted", "refused", words=["promises"])
def another_diff_id(path):
    image = on_base("another-diff-id")
    image.add_layer(ociimage.Layer().file("hello").finish(), diff_id=ociimage.digest(b"something else")).write(path)


def zeros(count):
    """gzip of so many zeros, quickly: members of 64 MiB one after the other (RFC 1952, 2.2)."""
    step = 64 << 20
    return gzip.compress(bytes(step), mtime=0) * (count // step)


def bomb(size):
    info = tarfile.TarInfo("bomb")
    info.size = size
    head = gzip.compress(info.tobuf(tarfile.GNU_FORMAT), mtime=0)
    return head + zeros(size) + gzip.compress(b"\0" * 1024, mtime=0)


@hostile_layer("refused", words=["layer sha256:", "unpacks to more than"])
def gzip_bomb():
    """17 MB that unpack to 17 GiB: more than any layer's disk."""
    return [(b"a bomb's diffID is never reached", ("+gzip", bomb(17 * GIB)))]


@hostile_layer("refused", words=["layer sha256:", "takes more memory than there is", "compress it again"])
def zstd_window():
    """A frame (RFC 8878, 3.1.1) of raw blocks that asks its reader to keep the last 2 GiB, as `zstd --long=31` does."""
    tar = ociimage.Layer().file("srv/window", "zstd").finish()
    frame = b"\x28\xb5\x2f\xfd" + b"\0" + bytes([31 - 10 << 3])
    return [(tar, ("+zstd", frame + (len(tar) << 3 | 1).to_bytes(3, "little") + tar))]


@hostile_layer("refused", words=["layer sha256:", "takes more memory than there is", "compress it again"])
def xz_dictionary():
    """A dictionary of 4 GiB written into the header of its block (The .xz File Format, 3.1 and 5.3.1)."""
    tar = ociimage.Layer().file("srv/dictionary", "xz").finish()
    stream = bytearray(lzma.compress(tar, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 20}]))
    end = 12 + (stream[12] + 1) * 4
    assert stream[14:16] == b"\x21\1"
    stream[16] = 40
    stream[end - 4:end] = struct.pack("<I", zlib.crc32(stream[12:end - 4]))
    return [(tar, ("", bytes(stream)))]


@hostile_layer("refused")
def negative_size():
    return spoil_size(b"\xff" * 12)


@hostile_layer("refused")
def huge_size():
    return spoil_size(b"\x80\0\0\0" + struct.pack(">Q", (1 << 63) - 1))


def spoil_size(field):
    """A tar whose one file has this in the size field of its header, checksum made good."""
    head = bytearray(tarfile.TarInfo("spoilt").tobuf(tarfile.USTAR_FORMAT))
    head[124:136] = field
    head[148:156] = b" " * 8
    head[148:155] = b"%06o\0" % sum(head)
    return bytes(head) + b"x" * 512 + bytes(1024)


@hostile_layer("refused")
def bad_checksum():
    tar = bytearray(ociimage.Layer().file("one").file("two").finish())
    tar[512] ^= 0xff
    return bytes(tar)


# Layers that reach for what is not theirs. They may spoil themselves.

UNTOUCHED = "test -x /bin/busybox && grep -q ^root: /etc/passwd && ! grep -q hostile /etc/passwd && echo ok"


@hostile_layer(check=UNTOUCHED)
def absolute_names():
    return ociimage.Layer().file("/absolute", "here").directory("/etc").file("//etc//double", "here").finish()


@hostile_layer(check=UNTOUCHED)
def dot_dot_names():
    layer = ociimage.Layer().file("../escaped", "hostile").file("../../../../../../../../escaped", "hostile")
    layer.directory("srv").file("srv/../../escaped", "hostile").directory("..").directory("../..", 0o777)
    return layer.file("./../escaped", "hostile").file("..", "hostile").finish()


@hostile_layer(check=UNTOUCHED)
def write_through_links():
    layer = ociimage.Layer().symlink("root-link", "/").file("root-link/escaped", "hostile")
    layer.symlink("up", "../../../../../..").file("up/escaped", "hostile").directory("up/made")
    layer.symlink("agent", "/init").file("agent", "hostile", 0o755)
    layer.symlink("proc-link", "/proc/self/root").file("proc-link/escaped", "hostile")
    layer.directory("a").symlink("a/b", "..").symlink("a/b/c", "..").file("a/b/c/escaped", "hostile")
    return layer.symlink("dev-link", "/dev").entry("dev-link/vda", tarfile.REGTYPE, data=b"hostile").finish()


@hostile_layer(check=UNTOUCHED)
def links_to_outside():
    layer = ociimage.Layer().hardlink("stolen", "/etc/passwd").hardlink("stolen2", "../../../../etc/passwd")
    layer.hardlink("stolen3", "/proc/1/environ").hardlink("stolen4", "/init").hardlink("nothing", "not/there")
    return layer.symlink("way", "/etc").hardlink("stolen5", "way/passwd").hardlink("itself", "itself").finish()


@hostile_layer(check="! dd if=/srv/disk of=/dev/null bs=512 count=1 2>/dev/null && ! dd if=/srv/mem of=/dev/null bs=1 "
                     "count=1 2>/dev/null && echo ok")
def device_nodes():
    layer = ociimage.Layer().directory("srv")
    for number, major in enumerate((8, 253, 254, 259)):
        layer.entry("srv/disk" + str(number), tarfile.BLKTYPE, 0o666, device=(major, 0))
    layer.entry("srv/disk", tarfile.BLKTYPE, 0o666, device=(254, 0))
    return layer.entry("srv/mem", tarfile.CHRTYPE, 0o666, device=(1, 1)).finish()


@hostile_layer(check="test \"$(cat /srv/file)\" = second && echo ok")
def duplicate_entries():
    layer = ociimage.Layer().directory("srv").file("srv/file", "first").file("srv/file", "second")
    layer.file("srv/a", "file").directory("srv/a").file("srv/a/inside", "x")
    layer.directory("srv/b").file("srv/b/inside", "x").file("srv/b", "file")
    layer.symlink("srv/c", "/etc").directory("srv/c").file("srv/c/passwd", "hostile")
    return layer.hardlink("srv/d", "srv/file").file("srv/d", "third").directory("srv", 0o755).finish()


@hostile_layer(check=UNTOUCHED)
def strange_whiteouts():
    layer = ociimage.Layer().file(".wh.").file(".wh..").file(".wh...").directory("srv").file("srv/.wh.")
    layer.file(".wh..wh..opq/inside", "x").directory("srv/.wh.directory").file("srv/.wh...wh.x")
    layer.file(".wh.../../../etc/passwd", "x").symlink("srv/.wh.link", "/etc").file(".wh..wh.aufs", "x")
    return layer.file("etc/.wh.not-there").finish()


@hostile_layer(check=UNTOUCHED)
def overlay_attributes():
    """What overlayfs believes when it stands on a lower layer: that /srv is really /root, and that /etc is opaque."""
    layer = ociimage.Layer()
    layer.directory("srv", xattrs={"trusted.overlay.redirect": b"/root", "trusted.overlay.origin": b"x" * 20})
    layer.directory("etc", xattrs={"trusted.overlay.opaque": b"y", "user.overlay.opaque": b"y"})
    layer.file("srv/metacopy", "x", xattrs={"trusted.overlay.metacopy": b""})
    return layer.entry("bin/busybox-like", tarfile.CHRTYPE, device=(0, 0)).finish()


@hostile_layer(check=UNTOUCHED)
def deep_and_long():
    layer = ociimage.Layer().file("d/" * 3000 + "bottom", "x").file("n" * 300, "x").symlink("s", "t" * 5000)
    return layer.file("l/" + "/".join("x" * 250 for _ in range(20)), "x").finish()


@hostile_layer(check=UNTOUCHED)
def odd_types():
    layer = ociimage.Layer().entry("contiguous", tarfile.CONTTYPE, data=b"x").entry("odd", b"Z", data=b"x")
    layer.entry("volume", b"V").entry("dump", b"D").file("", "no name").file(".", "dot").file("/", "slash")
    return layer.entry("loop", tarfile.SYMTYPE, link="loop").file("loop/x", "through a loop").finish()


@hostile_layer("works", check="echo ok")
def command_not_in_the_image():
    """A sound image, to be run with a command that it lacks (127) and one that is no program (126)."""
    return ociimage.Layer().file("etc/not-a-program", "x", 0o644).finish()


def main():
    if sys.argv[1:] == ["--list"]:
        print("\n".join(CASES))
        return
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__.strip())
    directory, names = sys.argv[1], sys.argv[2:] or list(CASES)
    unknown = [name for name in names if name not in CASES]
    if unknown:
        sys.exit(f"hostile_images.py: no case is called {', '.join(unknown)}; --list prints the names")
    os.makedirs(directory, exist_ok=True)
    table = {}
    for name in names:
        write, load, run, words, check = CASES[name]
        path = os.path.join(directory, name + ".tar")
        write(path)
        table[name] = {"file": path, "load": load, "run": run, "words": words, "check": check, "image": name_of(name)}
    with open(os.path.join(directory, "cases.json"), "w") as file:
        json.dump(table, file, indent=1)


if __name__ == "__main__":
    main()
