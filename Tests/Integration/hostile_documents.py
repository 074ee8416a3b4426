"""Archives and documents that are damaged or made to do harm."""

import gzip
import json
import os
import tarfile

from hostilekit import ARCHITECTURE, CASES, GIB, case, name_of, ociimage, on_base, small, zeros

INDEX = "application/vnd.oci.image.index.v1+json"


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


# Documents that are large, many, or name what they should not.

@case("refused", words=["no image's is larger than 4.0 MiB"])
def configuration_too_large(path):
    small("configuration-too-large", config={"Cmd": ["/bin/sh"], "Labels": {"long": "x" * (5 << 20)}}).write(path)


@case("refused", words=["no image's is larger than 4.0 MiB"])
def manifest_too_large(path):
    image = small("manifest-too-large")
    image.layers[0]["annotations"] = {"long": "x" * (5 << 20)}
    image.write(path)


@case("refused", words=["is the most that can be stacked"])
def too_many_layers(path):
    image = small("too-many-layers")
    image.layers *= 300
    image.diff_ids *= 300
    image.write(path)


@case("refused", words=["is inconsistent"])
def layers_and_diff_ids_that_differ(path):
    image = small("layers-and-diff-ids-that-differ")
    image.layers *= 2
    image.write(path)


def with_index(path, image, manifests):
    """An image whose index.json lists these instead."""
    files = image.files()
    files["index.json"] = ociimage.to_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})
    files |= {"blobs/" + key.replace(":", "/"): data for key, data in image.blobs.items()}
    ociimage.write_tar(path, files)


@case("refused", words=["too deeply"])
def indexes_in_indexes(path):
    image = small("indexes-in-indexes")
    inner = image.manifest()
    for _ in range(50):
        data = ociimage.to_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": [inner]})
        inner = {"mediaType": INDEX, "digest": image.put(data), "size": len(data)}
    with_index(path, image, [inner])


@case("refused")
def index_within_itself(path):
    """It cannot have the digest it is named by, which is to be noticed before it is followed for ever."""
    image = small("index-within-itself")
    key = ociimage.digest(b"any")
    inner = {"mediaType": INDEX, "digest": key, "size": 0}
    for _ in range(5):
        data = ociimage.to_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": [inner]})
        inner["size"] = len(data)
    image.blobs[key] = data
    with_index(path, image, [inner])


def named_by(function_name, key, words=("not a sha256 digest",)):
    """A case of an image whose layer has another kind of digest."""
    def write(path):
        image = small(function_name)
        image.layers[0]["digest"] = key
        image.write(path)
    CASES[function_name] = (write, "refused", None, list(words), None)


named_by("digest-too-short", "sha256:abc")
named_by("digest-in-capitals", "sha256:" + "A" * 64)
named_by("digest-that-is-a-path", "sha256:../../../../../../etc/passwd")
named_by("digest-of-another-algorithm", "sha512:" + "0" * 128)
named_by("digest-without-algorithm", "0" * 64)


@case("refused", words=["not a container image"])
def artifact(path):
    """Of the kind that registries keep beside images."""
    image = small("artifact")
    descriptor = image.manifest()
    manifest = json.loads(image.blobs[descriptor["digest"]])
    manifest["config"]["mediaType"] = "application/vnd.example+json"
    data = ociimage.to_json(manifest)
    with_index(path, image, [descriptor | {"digest": image.put(data), "size": len(data)}])


@case("refused", words=["lacks layer sha256:"])
def layer_of_somebody_else(path):
    """One that may not be passed on, is not there, and would be at a place that must not be read."""
    image = small("layer-of-somebody-else")
    image.layers[0] |= {"mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "urls": ["file:///etc/passwd"]}
    files = image.files()
    del files["blobs/" + image.layers[0]["digest"].replace(":", "/")]
    ociimage.write_tar(path, files)
