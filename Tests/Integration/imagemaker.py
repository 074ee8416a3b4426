"""Images as people make them: by buildah, skopeo and umoci, from files of real Debian packages, and put in a registry.

What an image is made of matters here, not what it is for: each of `KINDS` has something of its own that a puller or an
unpacker may get wrong. Making them takes root, as owners, devices and buildah's mounts do.
"""

import glob
import gzip
import os
import pathlib
import shutil
import subprocess
import sys

from conftest import CACHE, ROOT

sys.path.insert(0, str(ROOT / "scripts"))
import ociimage  # noqa: E402

#: Enough to run tree_listing.py.
BASE = ["base-files", "coreutils", "dash", "libacl1", "libattr1", "libc6", "libexpat1", "libgmp10", "libpcre2-8-0", "libpython3.11-minimal",
        "libselinux1", "python3-minimal", "python3.11-minimal", "zlib1g"]
#: With two names for one program.
MORE = ["perl-base", "libcrypt1"]
MERGED = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")
KINDS = {}


def kind(name):
    """Registers a function that makes an image and returns its name in the registry."""
    def register(function):
        KINDS[name] = function
        return function
    return register


def execute(*words, **options):
    return subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True, **options).stdout.strip()


class Packages:
    """Files of Debian packages, as the bootstrap that make-debian-image keeps in the cache has them."""

    def __init__(self, directory):
        self.directory = directory
        execute(ROOT / "scripts" / "make-debian-image", directory / "debian.tar")
        self.archive = max(glob.glob(str(CACHE / "images" / "bookworm-*.tar")), key=os.path.getmtime)
        (directory / "debian.tar").unlink()
        execute("tar", "-xf", self.archive, "-C", directory, "--wildcards", "./var/lib/dpkg/info/*.list")
        self.info = directory / "var" / "lib" / "dpkg" / "info"

    def files(self, names):
        result = set()
        for name in names:
            list_file, = [path for path in self.info.glob("*.list") if path.name.split(":")[0].removesuffix(".list") == name]
            for line in list_file.read_text().splitlines():
                path = line.strip("/")
                result.add("./usr/" + path if path.split("/")[0] in MERGED and "/" in path else "./" + path)
        return sorted(result - {"./", "./."})

    def unpack(self, names, target):
        chosen = self.directory / "chosen"
        chosen.write_text("\n".join(self.files(names)))
        # Not all of a list is in the bootstrap: mmdebstrap is told to leave nothing out, but directories move.
        subprocess.run(["tar", "-xf", self.archive, "-C", target, "--no-recursion", "-T", chosen], capture_output=True)
        assert (target / "usr").is_dir()


class Maker:
    """A place to make images in, and the registry they go to."""

    def __init__(self, directory, registry):
        self.directory, self.registry = pathlib.Path(directory), registry
        self.packages = Packages(self.directory)
        self.base = self.directory / "base"
        self.base.mkdir(mode=0o755)
        for name in MERGED:
            if name in ("bin", "lib", "lib64", "sbin"):
                (self.base / "usr" / name).mkdir(parents=True, exist_ok=True)
                (self.base / name).symlink_to(f"usr/{name}")
        self.packages.unpack(BASE, self.base)
        self.layers = {}

    def end(self):
        """Removes all of it: `buildah mount` mounts nothing where its storage is plain directories."""
        shutil.rmtree(self.directory)

    @staticmethod
    def skopeo(source, target, *options):
        execute("skopeo", "copy", "-q", "--insecure-policy", "--src-tls-verify=false", "--dest-tls-verify=false", *options, source, target)

    def name(self, repository):
        return f"{self.registry}/{repository}:latest"

    # buildah.

    def buildah(self, *words):
        place = self.directory / "buildah"
        return execute("buildah", "--root", place / "root", "--runroot", place / "run", "--storage-driver", "vfs", *words)

    def step(self, below, change, *options):
        """A layer on an image: what `change` does to its tree. Returns the new image."""
        container = self.buildah("from", below)
        change(pathlib.Path(self.buildah("mount", container)))
        self.buildah("umount", container)
        image = f"localhost/step{len(self.layers)}"
        self.layers[image] = below
        self.buildah("commit", "-q", "--rm", *options, container, image)
        return image

    def first(self):
        """The base as an image of one layer."""
        if not hasattr(self, "first_image"):
            self.first_image = self.step("scratch", lambda tree: execute("cp", "-a", f"{self.base}/.", tree))
        return self.first_image

    def push(self, image, repository, *options):
        self.buildah("push", "-q", "--tls-verify=false", *options, image, f"docker://{self.name(repository)}")
        return self.name(repository)

    # umoci.

    def umoci(self, *words):
        return execute("umoci", *words)

    def first_layout(self):
        if not (self.directory / "first").exists():
            self.buildah("push", "-q", self.first(), f"oci:{self.directory}/first:latest")
        return self.directory / "first"

    def first_tar(self):
        """The base's layer, not compressed."""
        return gzip.decompress(max((self.first_layout() / "blobs/sha256").iterdir(), key=os.path.getsize).read_bytes())

    def layout(self, name):
        """An OCI layout of the base's layer, for umoci to go on with. Returns what it calls the image."""
        shutil.copytree(self.first_layout(), self.directory / name)
        return f"{self.directory / name}:latest"

    def add(self, image, *tars):
        for tar in tars:
            file = self.directory / "layer.tar"
            file.write_bytes(tar)
            self.umoci("raw", "add-layer", "--image", image, file)

    def publish(self, image, repository, *options):
        self.skopeo(f"oci:{image}", f"docker://{self.name(repository)}", *options)
        return self.name(repository)


@kind("one layer, by buildah")
def one_layer(make):
    return make.push(make.first(), "one")


def several(make):
    """Several layers, each a change that somebody's Containerfile could make."""
    if hasattr(make, "several"):
        return make.several

    def install(tree):
        make.packages.unpack(MORE, tree)
        (tree / "srv" / "data").mkdir(parents=True)
        for name in ("kept", "removed", "changed", "linked"):
            (tree / "srv" / "data" / name).write_text(name)
        os.link(tree / "srv/data/linked", tree / "srv/data/linked-too")
        os.setxattr(tree / "srv/data/kept", "user.comment", b"kept")
        os.chown(tree / "srv/data/changed", 1000, 100000)

    def change(tree):
        shutil.rmtree(tree / "usr/share/doc")
        data = tree / "srv/data"
        (data / "removed").unlink()
        (data / "changed").write_text("afterwards")
        (data / "changed").chmod(0o4711)
        # One of two names is another file's now.
        (data / "linked-too").unlink()
        (data / "linked-too").write_text("no longer")
        os.mknod(data / "device", 0o660 | 0o060000, os.makedev(7, 300))
        os.mkfifo(data / "fifo")
        shutil.rmtree(tree / "usr/share/base-files")
        (tree / "usr/share/base-files").write_text("a file where a directory was")

    def back(tree):
        (tree / "usr/share/base-files").unlink()
        (tree / "usr/share/base-files").mkdir(0o750)
        (tree / "usr/share/base-files/again").write_text("a directory again")
        (tree / "srv/data/removed").write_text("back")
        (tree / "usr/share/doc").mkdir()
        os.symlink("../nowhere", tree / "usr/share/doc/dangling")

    image = make.first()
    for each in (install, change, back):
        image = make.step(image, each)
    make.several = image
    return image


@kind("several layers, by buildah")
def several_layers(make):
    return make.push(several(make), "several")


@kind("Docker schema 2, by buildah")
def schema_2(make):
    return make.push(several(make), "schema2", "--format", "v2s2")


@kind("an index, by buildah")
def index(make):
    container = make.buildah("from", "scratch")
    (pathlib.Path(make.buildah("mount", container)) / "foreign").write_text("not for us")
    make.buildah("config", "--arch", "arm64", container)
    make.buildah("commit", "-q", "--rm", container, "localhost/foreign")
    make.buildah("manifest", "create", "localhost/list")
    for image in ("localhost/foreign", several(make)):
        make.buildah("manifest", "add", "localhost/list", f"containers-storage:{image}:latest")
    make.buildah("manifest", "push", "-q", "--all", "--tls-verify=false", "localhost/list", f"docker://{make.name('index')}")
    return make.name("index")


@kind("zstd, by skopeo")
def zstd(make):
    place = make.directory / "several"
    make.buildah("push", "-q", several(make), f"oci:{place}:latest")
    # By way of a layout: a registry that has the layers by gzip is told to use those.
    make.skopeo(f"oci:{place}:latest", f"oci:{place}-zstd:latest", "--dest-compress-format", "zstd")
    return make.publish(f"{place}-zstd:latest", "zstd")


@kind("changes, by umoci")
def repacked(make):
    image, bundle = make.layout("repacked"), make.directory / "bundle"
    make.umoci("unpack", "--image", image, bundle)
    tree = bundle / "rootfs"
    shutil.rmtree(tree / "usr/share/doc")
    (tree / "usr/bin/ls").unlink()
    os.link(tree / "usr/bin/cat", tree / "usr/bin/concatenate")
    os.chown(tree / "usr/bin/tac", 7, 8)
    make.umoci("repack", "--image", image, "--refresh-bundle", bundle)
    (tree / "usr/bin/ls").symlink_to("dir")
    (tree / "usr/bin/concatenate").unlink()
    shutil.rmtree(tree / "usr/share/base-files")
    (tree / "usr/share/base-files").symlink_to("/etc")
    make.umoci("repack", "--image", image, bundle)
    more = make.directory / "more"
    more.mkdir(mode=0o711)
    (more / "inserted").write_text("inserted")
    make.umoci("insert", "--opaque", "--image", image, more, "/usr/lib/mime")
    make.umoci("insert", "--whiteout", "--image", image, "/usr/bin/wc")
    shutil.rmtree(bundle)
    return make.publish(image, "repacked")


def whiteout_layers():
    """Each line of them is a thing that an unpacker of single layers can get wrong where they are stacked."""
    first = ociimage.Layer().directory("srv").directory("srv/w")
    for name in ("opaque", "emptied", "back", "wiped", "deep", "deep/er", "deep/er/and", "order", "link-parent", "swap"):
        first.directory("srv/w/" + name, 0o751, uid=3)
        first.file(f"srv/w/{name}/old", f"old {name}").file(f"srv/w/{name}/older", f"older {name}", 0o600, uid=9)
    first.file("srv/w/again", "first").file("srv/w/file", "first").symlink("srv/w/link", "again").file("srv/w/linked", "one")
    for number in range(3):
        first.hardlink(f"srv/w/name{number}", "srv/w/linked")
    first.file("srv/w/swap-file", "file").symlink("srv/w/to-directory", "deep")
    second = ociimage.Layer().directory("srv").directory("srv/w")
    # Opaque, said before and after what is new; and with nothing new.
    second.directory("srv/w/opaque", 0o700, uid=5).file("srv/w/opaque/.wh..wh..opq").file("srv/w/opaque/new", "new")
    second.directory("srv/w/order").file("srv/w/order/new", "new").file("srv/w/order/.wh..wh..opq")
    second.directory("srv/w/emptied").file("srv/w/emptied/.wh..wh..opq")
    # A directory, then a file, then a directory again; and the other way.
    second.file("srv/w/swap", "a file now").directory("srv/w/swap-file").file("srv/w/swap-file/inside", "inside")
    second.file("srv/w/.wh.again").file("srv/w/.wh.wiped").file("srv/w/.wh.link").file("srv/w/back/.wh.old")
    # One name of four is gone, one is another file, and two are left.
    second.file("srv/w/.wh.name0").file("srv/w/name1", "another")
    # A parent that this layer does not name keeps what it was.
    second.file("srv/w/deep/er/and/.wh.old").file("srv/w/deep/er/new", "new")
    second.file("srv/w/to-directory", "a file where a link to a directory was")
    third = ociimage.Layer().directory("srv").directory("srv/w", 0o755)
    third.file("srv/w/again", "third", 0o640, uid=11).directory("srv/w/wiped", 0o700).file("srv/w/wiped/new", "third")
    third.directory("srv/w/swap", 0o711).file("srv/w/swap/third", "third").file("srv/w/swap-file", "a file again")
    third.symlink("srv/w/link", "linked").file("srv/w/back/old", "back").file("srv/w/opaque/old", "came back")
    third.file("srv/w/linked-third", "three").hardlink("srv/w/linked-third-too", "srv/w/linked-third")
    # Whiteouts of what is not there, of what this layer itself brings, and of a whole tree.
    third.file("srv/w/.wh.never").file("srv/w/emptied/.wh.old").file("srv/w/.wh.deep")
    fourth = ociimage.Layer().directory("srv/w/deep", 0o705).file("srv/w/deep/fourth", "fourth")
    fourth.file("srv/w/.wh.linked-third").file("srv/w/.wh.swap").file("srv/w/order/.wh.new")
    fourth.entry("srv/w/null", b"3", 0o666, device=(1, 3)).file("srv/w/x", "x", xattrs={"user.a": b"1", "user.b": bytes(9)})
    fifth = ociimage.Layer().file("srv/w/.wh.null").file("srv/w/x", "y", xattrs={"user.b": b"2"})
    fifth.directory("srv/w/order").file("srv/w/order/.wh..wh..opq")
    return [layer.finish() for layer in (first, second, third, fourth, fifth)]


@kind("whiteouts over several layers, by umoci")
def whiteouts(make):
    image = make.layout("whiteouts")
    make.add(image, *whiteout_layers())
    return make.publish(image, "whiteouts")


@kind("a layer twice, by umoci")
def twice(make):
    image = make.layout("twice")
    layers = whiteout_layers()
    make.add(image, layers[0], layers[1], layers[0], layers[2])
    return make.publish(image, "twice")


@kind("120 layers, by skopeo")
def many(make):
    image = ociimage.Image("docker.io/library/many:latest")
    image.add_layer(make.first_tar())
    for number in range(1, 120):
        layer = ociimage.Layer().directory("srv").directory("srv/m", 0o700 + number % 64).file(f"srv/m/f{number}", str(number))
        if number % 3 == 0:
            layer.file(f"srv/m/.wh.f{number - 2}")
        image.add_layer(layer.directory(f"srv/d{number % 7}", uid=number).file(f"srv/d{number % 7}/f", str(number)).finish())
    image.write(make.directory / "many.tar")
    make.skopeo(f"oci-archive:{make.directory}/many.tar", f"docker://{make.name('many')}")
    return make.name("many")
