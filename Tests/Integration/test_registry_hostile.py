"""Registries that mean harm: each can fail its own pull, and nothing else, within little memory and in little time."""

import json
import time

import pytest

import measured
from registrykit import Answer, INDEX, MANIFEST, Image, digest
from test_registry import home, say, small  # noqa: F401

#: Of the whole program, whatever the registry sends.
MEMORY_IN_BYTES = 120 << 20
SECONDS = 20


def endless(head=b""):
    yield head
    while True:
        yield b" " * 65536


def with_document(change):
    """An image whose manifest is changed."""
    def prepare(registry):
        image = Image([say("x")])
        change(image.document)
        return registry.add(image)
    return prepare


def elsewhere(address):
    """An image whose layer may not be passed on, and is to be had at an address alone."""
    def prepare(registry):
        image = Image([say("x")])
        kind = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
        image.document["layers"][0] |= {"mediaType": kind, "urls": [address(registry)]}
        name = registry.add(image)
        del registry.blobs[digest(image.layers[0][0])]
        return name
    return prepare


def with_config(change):
    def prepare(registry):
        image = Image([say("x")])
        config = json.loads(image.config)
        change(config)
        data = json.dumps(config).encode()
        image.blobs[digest(data)] = data
        image.document["config"] |= {"digest": digest(data), "size": len(data)}
        return registry.add(image)
    return prepare


def answering(part, answer):
    """An image of which requests with a part in their path are answered otherwise."""
    def prepare(registry):
        image = Image([say("x"), say("y")])
        name = registry.add(image)
        registry.intercept = lambda request: answer(image, registry, request) if part(image) in request.path else None
        return name
    return prepare


def document(data, kind=MANIFEST):
    return lambda registry: registry.add_document(data if isinstance(data, bytes) else json.dumps(data).encode(), kind)


def descriptor(data, kind=MANIFEST, **more):
    return {"mediaType": kind, "digest": digest(data), "size": len(data), **more}


def nested(depth):
    def prepare(registry):
        image = Image([say("x")])
        registry.add(image)
        data, kind = image.manifest, MANIFEST
        for _ in range(depth):
            data = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor(data, kind)]}).encode()
            kind = INDEX
            registry.add_document(data, kind)
        return registry.add_document(data, INDEX, tag="deep")
    return prepare


manifest = lambda image: "/manifests/"  # noqa: E731
layer = lambda image: digest(image.layers[0][0])  # noqa: E731
config = lambda image: digest(image.config)  # noqa: E731

CASES = {
    "endless manifest": (answering(manifest, lambda *_: Answer(body=endless(b"{"), fields={"Content-Type": MANIFEST})), "more than 4 MiB"),
    "manifest of a gigabyte": (answering(manifest, lambda *_: Answer(body=b"{", fields={"Content-Type": MANIFEST}, length=1 << 30)), "more than 4 MiB"),
    "endless configuration": (answering(config, lambda *_: Answer(body=endless())), "more than 4 MiB"),
    "endless layer": (answering(layer, lambda *_: Answer(body=endless())), "is longer than"),
    "layer cut short for ever": (answering(layer, lambda image, *_: Answer(body=image.layers[0][0][:10])), "ended after 10 of"),
    "another layer": (answering(layer, lambda image, *_: Answer(body=bytes(len(image.layers[0][0])))), "is damaged in"),
    "another part": (answering(layer, lambda image, *_: Answer(
        206, image.layers[0][0], {"Content-Range": "bytes 500-900/1000"})), "with a gap"),
    "a part of no place": (answering(layer, lambda image, *_: Answer(206, image.layers[0][0])), "does not say which part"),
    "another configuration": (answering(config, lambda *_: Answer(body=b"{}")), "is damaged"),
    "no JSON": (document(b"<html>"), "cannot be understood"),
    "JSON of another kind": (document(b"[1, 2]"), "cannot be understood"),
    "deep JSON": (document(b'{"mediaType": "' + MANIFEST.encode() + b'", "config":' + b'[' * 200_000), "cannot be understood"),
    "another media type": (document(b"{}", "text/html"), 'is a "text/html"'),
    "schema 1": (document({"schemaVersion": 1, "fsLayers": []}, "application/vnd.docker.distribution.manifest.v1+prettyjws"),
                 "which is not known here"),
    "an artifact": (with_document(lambda m: m["config"].update(mediaType="application/vnd.example+json")),
                    "which is not a container image"),
    "an index within itself": (lambda registry: registry.add_document(json.dumps(
        {"schemaVersion": 2, "mediaType": INDEX, "manifests": [
            {"mediaType": INDEX, "digest": "sha256:" + "0" * 64, "size": 10}]}).encode(), INDEX), "has no image"),
    "indexes in indexes": (nested(50), "too deeply"),
    "a short digest": (with_document(lambda m: m["layers"][0].update(digest="sha256:abc")), "not a sha256 digest"),
    "a digest that is a path": (with_document(lambda m: m["layers"][0].update(digest="sha256:../../../../etc/passwd")),
                                "not a sha256 digest"),
    "a digest in capitals": (with_document(lambda m: m["layers"][0].update(digest=m["layers"][0]["digest"].upper())),
                             "not a sha256 digest"),
    "another algorithm": (with_document(lambda m: m["layers"][0].update(digest="sha512:" + "0" * 128)), "not a sha256 digest"),
    "a negative size": (with_document(lambda m: m["layers"][0].update(size=-1)), "no image's is larger"),
    "a huge size": (with_document(lambda m: m["layers"][0].update(size=1 << 62)), "no image's is larger"),
    "a size beyond numbers": (with_document(lambda m: m["layers"][0].update(size=1 << 70)), "cannot be understood"),
    "a size too small": (with_document(lambda m: m["layers"][0].update(size=10)), "is longer than the 10 bytes"),
    "a size too large": (with_document(lambda m: m["layers"][0].update(size=m["layers"][0]["size"] + 1)), "ended after"),
    "more than the disk holds": (with_document(lambda m: m["layers"][0].update(size=60 << 30)), ""),
    "no layers": (with_document(lambda m: m.update(layers=[])), "has no layers"),
    "layers without number": (with_document(lambda m: m.update(layers=m["layers"] * 10_000)), "is the most that can be stacked"),
    "layers and diffIDs that differ": (with_document(lambda m: m.update(layers=m["layers"] * 2)), "is inconsistent"),
    "a layer that is no layer": (with_document(lambda m: m["layers"][0].update(mediaType="text/plain")), "which is not known here"),
    "a layer at a file's address": (elsewhere(lambda registry: "file:///etc/passwd"), "has no sha256:"),
    "a layer elsewhere without TLS": (elsewhere(lambda registry: f"{registry.url}/v2/test/image/manifests/latest"), "has no sha256:"),
    "another machine's": (with_config(lambda c: c.update(architecture="s390x")), "this machine runs"),
    "a diffID that is none": (with_config(lambda c: c["rootfs"].update(diff_ids=["sha256:1"])), "not a sha256 digest"),
    "a configuration of another shape": (with_config(lambda c: c.update(rootfs=3)), "cannot be understood"),
    "redirects in circles": (answering(manifest, lambda image, registry, request: Answer(
        302, b"", {"Location": request.path})), "more than 10 times"),
    "a redirect to a file": (answering(manifest, lambda *_: Answer(302, b"", {"Location": "file:///etc/passwd"})), "which is no address"),
    "a redirect to nowhere": (answering(manifest, lambda *_: Answer(302, b"", {"Location": "http://127.0.0.1:1/x"})), "cannot be reached"),
    "a head without end": (answering(manifest, lambda *_: Answer(
        fields={f"X-{number}": "y" * 8000 for number in range(80)})), "cannot be asked"),
    "a token from a file": (answering(manifest, lambda *_: Answer(
        401, b"", {"WWW-Authenticate": 'Bearer realm="file:///etc/passwd"'})), "not to be trusted"),
    "a token without end": (answering(lambda image: "/", lambda image, registry, request: (
        Answer(body=endless()) if "/token" in request.path else
        Answer(401, b"", {"WWW-Authenticate": f'Bearer realm="{registry.url}/token"'}))), "more than a token"),
    "a token with a line end": (answering(lambda image: "/", lambda image, registry, request: (
        Answer(body=b'{"token": "a\\r\\nX-Evil: 1"}') if "/token" in request.path else
        Answer(401, b"", {"WWW-Authenticate": f'Bearer realm="{registry.url}/token"'}))), "without a token"),
    "refusals for ever": (answering(lambda image: "/", lambda image, registry, request: (
        Answer(body=b'{"token": "a"}') if "/token" in request.path else
        Answer(401, b"", {"WWW-Authenticate": f'Bearer realm="{registry.url}/token"'}))), "refuses"),
    "an error without end": (answering(manifest, lambda *_: Answer(404, endless())), ""),
    "an error that steers the terminal": (answering(manifest, lambda *_: Answer(
        404, b'{"errors": [{"message": "\\u001b]0;evil\\u0007"}]}')), "has no image"),
}


@pytest.mark.parametrize("case", CASES)
def test_hostile_registry(home, small, case):
    prepare, expected = CASES[case]
    name = prepare(small)
    home("image", "list", check=0)
    status, _, errors, peak = measured.run(home, "pull", name, seconds=SECONDS)
    assert status == 125, errors
    assert expected in errors, errors
    assert "\x1b" not in errors and "\x07" not in errors
    assert peak < MEMORY_IN_BYTES
    # Nothing has a name that should not, and what has one is what it is called.
    assert home("image", "list", "-q", check=0).stdout == b""
    for path in (home.images / "blobs" / "sha256").iterdir():
        assert digest(path.read_bytes()) == "sha256:" + path.name


def test_a_layer_that_is_not_what_the_image_promises(home, small):
    """Found by the guest that unpacks it; no disk is kept under a false name."""
    image, other_image = Image([say("x")]), Image([say("y")])
    lie = json.loads(image.config)
    lie["rootfs"]["diff_ids"] = [other_image.layers[0][1]]
    data = json.dumps(lie).encode()
    image.blobs[digest(data)] = data
    image.document["config"] |= {"digest": digest(data), "size": len(data)}
    name = small.add(image)
    result = home("run", "--rm", "--accelerator", "emulation", name, "true", check=125)
    assert b"the image is damaged or forged" in result.stderr
    assert list((home.images / "layers").glob("*.img")) == []
    # The layer whose name it took is none the worse.
    right = small.add(other_image, tag="right")
    home("run", "--rm", "--accelerator", "emulation", right, "/bin/say", check=126)
