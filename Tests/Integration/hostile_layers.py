"""Layers that are damaged, lie, or reach for what is not theirs."""

import gzip
import io
import lzma
import os
import struct
import tarfile
import zlib

from hostilekit import ARCHITECTURE, GIB, case, hostile_layer, name_of, ociimage, on_base, zeros


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


@hostile_layer("refused", words=["layer sha256:"])
def too_many_entries():
    """More files than the disk of a small layer has inodes for: half a megabyte, compressed."""
    head = tarfile.TarInfo("0000000").tobuf(tarfile.USTAR_FORMAT)
    chunks = []
    for number in range(140_000):
        name = b"%07d" % number
        # The checksum, of which the name's digits are a part.
        total = sum(name) + sum(head[7:148]) + 8 * 32 + sum(head[156:]) if number == 0 else base + sum(name)
        if number == 0:
            base = total - sum(name)
        chunks.append(name + head[7:148] + b"%06o\0 " % total + head[156:])
    return b"".join(chunks) + bytes(1024)


@hostile_layer(check=UNTOUCHED)
def names_with_control_characters():
    layer = ociimage.Layer().directory("srv").file("srv/new\nline", "x").file("srv/\x1b[31mred", "x").file("srv/" + "n" * 255, "x")
    layer.file("srv/nul", "x", xattrs={"user.a": b"x"})
    info = tarfile.TarInfo("srv/other")
    info.pax_headers = {"path": "srv/one\0two"}
    layer.tar.addfile(info)
    return layer.finish()


@hostile_layer("either", check=UNTOUCHED)
def name_of_256_bytes():
    return ociimage.Layer().directory("srv").file("srv/" + "n" * 256, "x").finish()


@hostile_layer("refused")
def hole_of_exabytes():
    """A sparse file that says it is larger than any disk."""
    layer = ociimage.Layer()
    info = tarfile.TarInfo("GNUSparseFile.0/hole")
    head = b"0\n".ljust(512, b"\0")
    info.size = len(head)
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "hole",
                        "GNU.sparse.realsize": str((1 << 62) + 5)}
    layer.tar.addfile(info, io.BytesIO(head))
    return layer.finish()
