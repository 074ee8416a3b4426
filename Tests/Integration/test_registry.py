"""Pulling, from Debian's docker-registry and from one that misbehaves."""

import json
import os
import random
import shutil
import subprocess
import threading

import pytest

import registrykit
from registrykit import Answer, Image, SmallRegistry, digest, docker_registry


def say(text):
    return {"bin/say": b"", "text": text.encode()}


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    with docker_registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture
def small():
    registry = SmallRegistry()
    yield registry
    registry.close()


@pytest.fixture
def home(other, tmp_path):
    """The other store, with a home of its own for passwords and certificates."""
    other.environment |= {"HOME": str(tmp_path), "DOCKER_CONFIG": str(tmp_path / "docker")}
    for name in ["REGISTRY_AUTH_FILE", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"]:
        other.environment.pop(name, None)
    other.home = tmp_path
    return other


def blob(space, name):
    return space.images / "blobs" / "sha256" / name.removeprefix("sha256:")


def expect_whole(space, image):
    for name, data in image.blobs.items():
        assert blob(space, name).read_bytes() == data
    assert blob(space, digest(image.manifest)).read_bytes() == image.manifest


def refused(space, *words, say):
    result = space(*words, check=125)
    text = result.stderr.decode()
    assert say in text, text
    assert "\n" not in text.strip().removeprefix("cloister: ").replace("\ncloister: ", " "), text
    return text


def test_pull_and_run_the_demonstration_image(home, registry, demo_archive):
    name = f"{registry}/demo"
    subprocess.run(["skopeo", "copy", "-q", "--dest-tls-verify=false", f"oci-archive:{demo_archive}",
                    f"docker://{name}:latest"], check=True)
    raw = subprocess.run(["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{name}:latest"], check=True,
                         capture_output=True).stdout
    # Nothing prepared: `run` brings it.
    assert home.run(name, "echo", "hello") == "hello\n"
    rows = json.loads(home("image", "list", "--format", "json", check=0).stdout)
    assert [(row["name"], row["digest"]) for row in rows] == [(f"{name}:latest", digest(raw))]
    assert blob(home, digest(raw)).read_bytes() == raw
    assert home("pull", name, check=0).stdout.decode() == f"{name}:latest: up to date, {digest(raw)}\n"
    assert home("image", "pull", "-q", name, check=0).stdout.decode() == f"{name}:latest\n"
    assert home.run("--pull", "never", f"{name}@{digest(raw)}", "echo", "again") == "again\n"


def test_when_run_pulls(home, small):
    image = Image([say("first")])
    name = small.add(image)
    refused(home, "run", "--pull", "never", name, "true", say=f'there is no image "{name}" here')
    home("pull", name, check=0)
    small.requests.clear()
    # It is here: nobody is asked. (What it would run is no program.)
    home("run", "--rm", "--accelerator", "emulation", name, "/bin/say", check=126)
    assert small.requests == []
    second = Image([say("second")])
    small.add(second)
    home("run", "--rm", "--accelerator", "emulation", "--pull", "always", name, "/bin/say", check=126)
    assert json.loads(home("image", "inspect", name, "--format", "json", check=0).stdout)[0]["image"]["digest"] \
        == digest(second.manifest)


def test_a_list_of_platforms(home, small):
    image, foreign = Image([say("ours")]), Image([say("theirs")])
    small.add(image, tag="amd64")
    small.add(foreign, tag="arm64")
    index = json.dumps({
        "schemaVersion": 2, "mediaType": registrykit.INDEX, "manifests": [
            {"mediaType": registrykit.MANIFEST, "digest": digest(each.manifest), "size": len(each.manifest),
             "platform": {"architecture": architecture, "os": "linux"}}
            for architecture, each in [("arm64", foreign), ("amd64", image)]]}).encode()
    name = small.add_document(index, registrykit.INDEX)
    assert digest(index) in home("pull", name, check=0).stdout.decode()
    expect_whole(home, image)
    assert not blob(home, digest(foreign.manifest)).exists()
    by_digest = f"{small.address}/test/image@{digest(index)}"
    home("pull", by_digest, check=0)
    home("image", "inspect", by_digest, check=0)
    only = json.loads(index)
    only["manifests"] = only["manifests"][:1]
    name = small.add_document(json.dumps(only).encode(), registrykit.INDEX, tag="foreign")
    refused(home, "pull", name, say="is for linux/arm64; this machine runs linux/amd64")


def test_short_names(home, small):
    """What short names mean is configured; every command reads them so."""
    one, other = Image([say("one")]), Image([say("other")])
    small.add(one, name="plain", tag="1")
    small.add(other, name="deep/inside", tag="1")

    home.configure(default_registry=small.address)
    with open(home.configuration, "a") as file:
        file.write(f'[aliases]\nshort = "{small.address}/deep/inside"\n')
    home("pull", "plain:1", check=0)
    assert small.paths("/manifests/") == ["/v2/plain/manifests/1"]
    assert home("image", "pull", "-q", "short:1", check=0).stdout.decode() == f"{small.address}/deep/inside:1\n"
    # `run` finds them, and asks nobody. (What it would run is no program.)
    small.requests.clear()
    home("run", "--rm", "--accelerator", "emulation", "short:1", "/bin/say", check=126)
    assert small.requests == []
    home("image", "tag", "short:1", "mine:2", check=0)
    home("image", "history", "mine:2", check=0)
    home("image", "inspect", "short:1", f"{small.address}/mine:2", check=0)
    rows = json.loads(home("images", "--format", "json", "short", check=0).stdout)
    assert [row["name"] for row in rows] == [f"{small.address}/deep/inside:1"]
    home("image", "save", "-o", home.home / "both.tar", "short:1", "plain:1", check=0)
    home("rmi", "short:1", "mine:2", "plain:1", check=0)
    assert json.loads(home("images", "--format", "json", check=0).stdout) == []
    home("image", "load", "-q", "-i", home.home / "both.tar", check=0)
    home("image", "tag", "short:1", "docker.io/library/short:1", check=0)
    home("rmi", "short:1", check=0)
    refused(home, "run", "--pull", "never", "short:1", say=f'there is no image "{small.address}/deep/inside:1" here')
    # Without the rules, it is Docker's.
    home.configure()
    home("image", "inspect", "short:1", "docker.io/library/short:1", check=0)
    home.configure(default_registry="quay")
    text = refused(home, "images", say='default_registry: "quay" is not a registry\'s address; one looks like')
    assert f"{home.configuration}, line 4: " in text
    assert 'default_registry: "quay"' in home("doctor", check=125).stdout.decode()
    home.configure()
    with open(home.configuration, "a") as file:
        file.write('[aliases]\nshort = "inside"\n')
    refused(home, "pull", "short", say='line 5: aliases.short: "inside" is not a whole name without a tag; one looks like')


def test_images_for_other_machines(home, small):
    """They can be pulled, saved, loaded and pushed, and are not run."""
    wanted = [("amd64", None), ("arm64", "v8"), ("arm", "v6"), ("arm", "v7")]
    images = [Image([say(f"{architecture}{variant}"), say("common")]) for architecture, variant in wanted]
    for image, (architecture, _) in zip(images, wanted):
        name = small.add(image.for_platform(architecture), tag="old")
    index = json.dumps({
        "schemaVersion": 2, "mediaType": registrykit.INDEX, "manifests": [
            {"mediaType": registrykit.MANIFEST, "digest": digest(image.manifest), "size": len(image.manifest),
             "platform": {"architecture": architecture, "os": "linux"} | ({"variant": variant} if variant else {})}
            for image, (architecture, variant) in zip(images, wanted)]}).encode()
    name = small.add_document(index, registrykit.INDEX)

    def here():
        rows = json.loads(home("image", "list", "--format", "json", check=0).stdout)
        return [(row.get("name"), row["platform"], row["digest"]) for row in rows]

    home("pull", "--platform", "linux/arm/v7", name, check=0)
    assert here() == [(name, "linux/arm", digest(images[3].manifest))]
    expect_whole(home, images[3])
    text = refused(home, "run", name, "true", say=f"image {name} is here for linux/arm, and this machine runs linux/amd64")
    assert f'"cloister pull {name}"' in text
    refused(home, "run", "--platform", "linux/arm/v7", name, "true", say="--platform: this machine runs linux/amd64, not linux/arm/v7")
    refused(home, "pull", "--platform", "linux/s390x", name, say="is for linux/amd64, linux/arm64/v8, linux/arm/v6, linux/arm/v7, not")
    refused(home, "pull", "--platform", "linux/", name, say="is not a platform")
    # The name is that of what came last; what it was before stays, until it is pruned.
    home("pull", "--platform", "arm64", name, check=0)
    assert here() == [(name, "linux/arm64", digest(images[1].manifest)), (None, "linux/arm", digest(images[3].manifest))]
    # Saved, loaded elsewhere, and stored in a registry, byte for byte.
    saved = home.home / "arm64.tar"
    refused(home, "image", "save", "--platform", "linux/amd64", "-o", saved, name, say="is here for linux/arm64; \"cloister pull")
    home("image", "save", "--platform", "linux/arm64", "-o", saved, name, check=0)
    subprocess.run(["skopeo", "inspect", "--raw", f"oci-archive:{saved}"], check=True, capture_output=True)
    # `run` brings this machine's when asked for it. (What it would run is no program.)
    home("run", "--rm", "--accelerator", "emulation", "--platform", "linux/amd64", name, "/bin/say", check=126)
    assert here()[0] == (name, "linux/amd64", digest(images[0].manifest))
    home("image", "prune", "-f", check=0)
    assert len(here()) == 1
    assert not blob(home, digest(images[3].manifest)).exists()
    refused(home, "image", "load", "-i", saved, say="is for linux/arm64; this machine runs linux/amd64")
    home("image", "load", "--platform", "linux/arm64", "-i", saved, check=0)
    assert here()[0] == (name, "linux/arm64", digest(images[1].manifest))
    expect_whole(home, images[1])
    # It can be kept beside this machine's under a name of its own.
    home("image", "tag", name, f"{name}-arm64", check=0)
    home("pull", name, check=0)
    assert [row[1] for row in here()] == ["linux/amd64", "linux/arm64"]
    assert b"whole" in home("image", "verify", check=0).stdout


def test_another_machines_image_is_pushed(home, small, registry):
    image = Image([say("arm64")]).for_platform("arm64")
    name = small.add(image)
    home("pull", "--platform", "linux/arm64", name, check=0)
    home("push", name, f"{registry}/arm64", check=0)
    raw = subprocess.run(["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{registry}/arm64:latest"],
                         check=True, capture_output=True).stdout
    assert raw == image.manifest


@pytest.mark.parametrize("options", [["--format", "v2s2"], ["--dest-compress-format", "zstd"]])
def test_other_forms(home, registry, demo_archive, options):
    name = f"{registry}/form{len(options[1])}"
    subprocess.run(["skopeo", "copy", "-q", "--dest-tls-verify=false", *options, f"oci-archive:{demo_archive}",
                    f"docker://{name}:a"], check=True)
    assert home.run(f"{name}:a", "echo", "hello") == "hello\n"


def test_what_is_not_there(home, registry, small):
    refused(home, "pull", f"{registry}/none", say=f"has no image {registry}/none:latest")
    refused(home, "run", f"127.0.0.1:{registrykit.free_port()}/none", say="cannot be reached")
    image = Image([say("x")])
    small.add(image)
    del small.blobs[digest(image.config)]
    refused(home, "pull", f"{small.address}/test/image", say=f"has no {digest(image.config)}")


def test_a_name_and_a_password(home, tmp_path_factory):
    image = Image([say("secret")])
    directory = tmp_path_factory.mktemp("private")
    with docker_registry(directory, {"anna": "pass:word"}) as address:
        name = f"{address}/private"
        refused(home, "pull", name, say=f'needs a login: "cloister login {address}"')
        refused(home, "login", "-u", "anna", "--password-stdin", address, say="standard input")
        wrong = home("login", "-u", "anna", "--password-stdin", address, input=b"wrong", check=125)
        assert b"does not take this name and password" in wrong.stderr
        assert not (home.home / "docker" / "config.json").exists()
        (home.home / "docker").mkdir()
        kept = {"HttpHeaders": {"X": "y"}, "auths": {"example.com": {"auth": "YTpi"}}, "n": [1, 2.5, None, True]}
        (home.home / "docker" / "config.json").write_text(json.dumps(kept))
        home("login", "-u", "anna", "--password-stdin", f"http://{address}/", input=b"pass:word\n", check=0)
        file = home.home / "docker" / "config.json"
        written = json.loads(file.read_text())
        assert written["auths"].pop(address) == {"auth": "YW5uYTpwYXNzOndvcmQ="}
        assert written == kept
        assert file.stat().st_mode & 0o777 == 0o600
        # Others read it, and put an image there by it.
        subprocess.run(
            ["skopeo", "copy", "-q", "--dest-tls-verify=false", "--authfile", file, f"dir:{layout(image, tmp_path_factory)}",
             f"docker://{name}:latest"], check=True)
        home("pull", name, check=0)
        home("logout", address, check=0)
        assert json.loads(file.read_text()) == kept
        refused(home, "logout", address, say="nobody is logged in")
        refused(home, "pull", name, say="needs a login")
        home.environment["REGISTRY_AUTH_FILE"] = str(home.home / "auth.json")
        subprocess.run(["skopeo", "login", "--tls-verify=false", "--authfile", home.home / "auth.json", "-u", "anna", "-p",
                        "pass:word", address], check=True, capture_output=True)
        home("pull", name, check=0)


def layout(image, factory):
    """skopeo's `dir:` form."""
    directory = factory.mktemp("dir")
    (directory / "version").write_text("Directory Transport Version: 1.1\n")
    (directory / "manifest.json").write_bytes(image.manifest)
    for name, data in image.blobs.items():
        (directory / name.removeprefix("sha256:")).write_bytes(data)
    return directory


def test_a_credential_helper(home, tmp_path_factory, tmp_path):
    programs = tmp_path / "programs"
    programs.mkdir()
    helper = programs / "docker-credential-test"
    helper.write_text(f"""#!/bin/sh
case $1 in
store) cat > {tmp_path}/kept ;;
get) read registry
     if grep -qs "\\"$registry\\"" {tmp_path}/kept; then cat {tmp_path}/kept; else echo "credentials not found in native keychain"; exit 1; fi ;;
erase) rm {tmp_path}/kept ;;
esac
""")
    helper.chmod(0o755)
    (home.home / "docker").mkdir()
    (home.home / "docker" / "config.json").write_text('{"credsStore": "test"}')
    with docker_registry(tmp_path_factory.mktemp("private"), {"anna": "secret"}) as address:
        refused(home, "login", "-u", "anna", "-p", "secret", address, say="docker-credential-test is not on PATH")
        home.environment["PATH"] = f"{programs}:{os.environ['PATH']}"
        home("login", "-u", "anna", "-p", "secret", address, check=0)
        assert json.loads((tmp_path / "kept").read_text())["Secret"] == "secret"
        assert json.loads((home.home / "docker" / "config.json").read_text()) == {"credsStore": "test"}
        refused(home, "pull", f"{address}/none", say="has no image")
        home("logout", address, check=0)
        refused(home, "pull", f"{address}/none", say="needs a login")


def test_tokens(home, small):
    """The registry sends us to another place for a token, which is for this repository alone."""
    image = Image([say("x"), say("y")])
    name = small.add(image)
    auth = SmallRegistry()
    asked = []

    def issue(request):
        asked.append((request.path, request.headers.get("Authorization")))
        return Answer(body=json.dumps({"token": f"t{len(asked)}"}).encode())

    def guard(request):
        token = request.headers.get("Authorization", "")
        if not token.startswith("Bearer t"):
            return Answer(401, b"{}", {"WWW-Authenticate":
                          f'Bearer realm="{auth.url}/token",service="small",scope="repository:test/image:pull"'})

    auth.intercept, small.intercept = issue, guard
    home("pull", name, check=0)
    expect_whole(home, image)
    assert {path for path, _ in asked} == {"/token?service=small&scope=repository%3Atest%2Fimage%3Apull"}
    assert {word for _, word in asked} == {None}
    # With a password, which the token's issuer is shown, and nobody else.
    small.requests.clear()
    (home.home / "docker").mkdir()
    (home.home / "docker" / "config.json").write_text(json.dumps({"auths": {small.address: {"auth": "YTpi"}}}))
    home("pull", name, check=0)
    assert asked[-1][1] == "Basic YTpi"
    assert all("Basic" not in headers.get("Authorization", "") for _, headers in small.requests)
    # An identity token is exchanged.
    (home.home / "docker" / "config.json").write_text(json.dumps({"auths": {small.address: {"identitytoken": "id+/"}}}))
    auth.intercept = lambda request: asked.append(getattr(request, "form", "")) or Answer(body=b'{"access_token": "tx"}')
    home("pull", name, check=0)
    assert "grant_type=refresh_token&refresh_token=id%2B%2F" in asked[-1]
    auth.close()


def test_redirects_show_the_password_to_nobody_else(home, small):
    image = Image([say("x")])
    name = small.add(image)
    elsewhere = SmallRegistry()
    elsewhere.blobs = small.blobs

    def guard(request):
        if request.headers.get("Authorization") != "Basic YTpi":
            return Answer(401, b"{}", {"WWW-Authenticate": "Basic realm=small"})
        if "/blobs/" in request.path:
            return Answer(307, b"", {"Location": f"{elsewhere.url}{request.path}"})

    small.intercept = guard
    (home.home / "docker").mkdir()
    (home.home / "docker" / "config.json").write_text(json.dumps({"auths": {small.address: {"auth": "YTpi"}}}))
    home("pull", name, check=0)
    expect_whole(home, image)
    assert len(elsewhere.requests) == len(image.blobs)
    assert all("Authorization" not in headers for _, headers in elsewhere.requests)
    elsewhere.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return registrykit.certificates(tmp_path_factory.mktemp("certificates"))


def test_certificates(home, tmp_path_factory, authority):
    image = Image([say("x")])
    directory = tmp_path_factory.mktemp("tls")
    with docker_registry(directory, tls=authority, client_authority=authority / "ca.crt") as address:
        refused(home, "pull", f"{address}/x", say=f"put the certificate of its authority at /etc/cloister/certs.d/{address}/ca.crt")
        place = home.home / ".config" / "cloister" / "certs.d" / address
        place.mkdir(parents=True)
        shutil.copy(authority / "ca.crt", place)
        # Trusted now, but it wants to know us too.
        home("pull", f"{address}/x", check=125)
        shutil.copy(authority / "client.cert", place)
        refused(home, "pull", f"{address}/x", say="without its key")
        shutil.copy(authority / "client.key", place)
        subprocess.run(["skopeo", "copy", "-q", "--dest-cert-dir", place, f"dir:{layout(image, tmp_path_factory)}",
                        f"docker://{address}/x:latest"], check=True)
        home("pull", f"{address}/x", check=0)
        expect_whole(home, image)


def test_mirrors(home, small, authority):
    """A mirror is asked first; what it lacks comes from the registry."""
    image = Image([say("x"), say("y")])
    mirror = SmallRegistry(tls=authority)
    mirror.add(image)
    lacking = digest(image.layers[1][0])
    small.blobs[lacking] = mirror.blobs.pop(lacking)
    place = home.home / ".config" / "cloister" / "certs.d" / "registry.example"
    place.mkdir(parents=True)
    (place / "hosts.toml").write_text(f"""
server = "{small.url}"
[host."http://127.0.0.1:{registrykit.free_port()}"]
  capabilities = ["pull", "resolve"]
[host."{mirror.url}"]
  capabilities = ["pull", "resolve"]
  ca = "{authority}/ca.crt"
  [host."{mirror.url}".header]
    x-test = "yes"
""")
    result = home("pull", "registry.example/test/image", check=0)
    expect_whole(home, image)
    assert mirror.paths("/manifests/latest") == ["/v2/test/image/manifests/latest?ns=registry.example"]
    assert all(headers["x-test"] == "yes" for _, headers in mirror.requests)
    assert small.paths() == [f"/v2/test/image/blobs/{lacking}"]
    assert b"asking the next" in result.stderr
    (place / "hosts.toml").write_text("servre = 1\n")
    refused(home, "pull", "registry.example/test/image", say="hosts.toml, line 1: servre is not known here")
    mirror.close()


def big(count=3, size=3 << 20):
    noise = random.Random(4)
    return Image([{f"file{number}": noise.randbytes(size)} for number in range(count)])


def rot(path):
    """Changes a byte, and neither size nor time."""
    info = path.stat()
    with open(path, "r+b") as file:
        file.seek(info.st_size // 2)
        byte = file.read(1)[0]
        file.seek(info.st_size // 2)
        file.write(bytes([byte ^ 0xff]))
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


def test_a_layer_that_rotted(home, small, registry):
    """No disk is made of it; `run` fetches it once more, the same by its digest, or says what to do."""
    image = Image([say("x"), {"noise": random.Random(7).randbytes(1 << 20)}])
    name = small.add(image)
    layer = digest(image.layers[1][0])
    home("pull", name, check=0)
    rot(blob(home, layer))
    refused(home, "push", name, f"{registry}/rotten", say=f'{layer} is damaged in the store; "cloister image verify --repair"')
    command = ["run", "--rm", "--accelerator", "emulation"]
    text = refused(home, *command, "--pull", "never", name, "/bin/say", say=f"{layer} was damaged in the store and is removed")
    assert '"cloister image verify"' in text
    assert not (home.images / "layers" / f"{image.layers[1][1].removeprefix('sha256:')}.img").exists()
    # It is fetched, and nothing else is; not even the name is asked for, which may be another image's by now.
    small.requests.clear()
    small.add(Image([say("another")]))
    result = home(*command, name, "/bin/say", check=126)
    assert b"fetched again" in result.stderr
    assert small.paths() == [f"/v2/test/image/blobs/{layer}"]
    expect_whole(home, image)
    assert b"whole" in home("image", "verify", check=0).stdout
    # Found and fetched in one.
    for path in (home.images / "layers").iterdir():
        path.unlink()
    for each, _ in image.layers:
        rot(blob(home, digest(each)))
    home(*command, name, "/bin/say", check=126)
    assert b"whole" in home("image", "verify", check=0).stdout
    # The registry has it no more.
    for path in (home.images / "layers").iterdir():
        path.unlink()
    rot(blob(home, layer))
    del small.blobs[layer]
    refused(home, *command, name, "/bin/say", say=f"{layer} was damaged in the store and is removed")


def test_a_cut_connection_is_taken_up_where_it_broke(home, small):
    image = big(count=1)
    name = small.add(image)
    layer = digest(image.layers[0][0])
    cuts = []

    def cut(request):
        if layer in request.path and len(cuts) < 3:
            answer = request.standard()
            cuts.append(request.headers.get("Range"))
            answer.cut = 800_000
            return answer

    small.intercept = cut
    result = home("pull", name, check=0)
    expect_whole(home, image)
    assert cuts[0] is None
    starts = [int(text.removeprefix("bytes=").rstrip("-")) for text in cuts[1:]]
    assert starts[0] > 0 and starts[1] > starts[0], starts
    assert b"trying again" in result.stderr


def test_a_server_without_ranges(home, small):
    image = big(count=1)
    name = small.add(image)
    layer = digest(image.layers[0][0])
    seen = []

    def cut(request):
        if layer in request.path:
            seen.append(request.headers.get("Range"))
            return Answer(body=image.layers[0][0], cut=700_000 if len(seen) == 1 else None)

    small.intercept = cut
    home("pull", name, check=0)
    expect_whole(home, image)
    assert len(seen) == 2 and seen[1]


@pytest.mark.parametrize("status,fields", [(429, {"Retry-After": "1"}), (500, {}), (503, {}), (502, {})])
def test_a_busy_registry(home, small, status, fields):
    image = Image([say("x")])
    name = small.add(image)
    failed = set()

    def busy(request):
        if request.path not in failed:
            failed.add(request.path)
            return Answer(status, b'{"errors": [{"code": "BUSY", "message": "not\\u001b[31m now"}]}', fields)

    small.intercept = busy
    result = home("pull", name, check=0)
    expect_whole(home, image)
    assert len(failed) == 3
    assert b"\x1b[31m" not in result.stderr


def test_a_registry_that_stays_broken(home, small):
    name = small.add(Image([say("x")]))
    small.intercept = lambda request: Answer(500, b"oh")
    refused(home, "pull", name, say="answered 500")
    assert len(small.requests) == 5
    small.intercept = lambda request: Answer(429, b"", {"Retry-After": "3600"})
    refused(home, "pull", name, say="too many requests")


def test_corrupted_on_the_way(home, small):
    image = big(count=2, size=1 << 20)
    name = small.add(image)
    layer = digest(image.layers[1][0])
    good = small.blobs[layer]
    small.blobs[layer] = good[:5000] + bytes([good[5000] ^ 1]) + good[5001:]
    # One after the other: what fails ends the others where they are.
    refused(home, "pull", "--parallel", "1", name, say=f"layer {layer} is damaged in")
    assert not blob(home, layer).exists()
    assert home("image", "list", "-q", check=0).stdout == b""
    small.blobs[layer] = good
    small.requests.clear()
    home("pull", name, check=0)
    expect_whole(home, image)
    # The other layer was whole, and nobody was asked for it again.
    assert small.paths(digest(image.layers[0][0])) == []


def test_killed_and_resumed(home, small):
    image = big(count=1, size=8 << 20)
    name = small.add(image)
    layer = digest(image.layers[0][0])
    data = image.layers[0][0]
    reached, go_on = threading.Event(), threading.Event()

    def halves(request):
        if layer in request.path and not request.headers.get("Range"):
            def pieces():
                yield data[:4 << 20]
                reached.set()
                go_on.wait(60)
            return Answer(body=pieces())

    small.intercept = halves
    pull = home.start("pull", name)
    assert reached.wait(60)
    partial = home.images / "partial" / layer.removeprefix("sha256:")
    while partial.stat().st_size < 1 << 20:
        pass
    pull.kill()
    pull.wait()
    go_on.set()
    home("pull", name, check=0)
    expect_whole(home, image)
    assert [headers["Range"] for path, headers in small.requests if layer in path and "Range" in headers] != []
    assert list((home.images / "partial").iterdir()) == []


def test_what_was_left_is_damaged(home, small):
    image = big(count=1, size=1 << 20)
    name = small.add(image)
    home("image", "list", check=0)
    layer = digest(image.layers[0][0])
    (home.images / "partial" / layer.removeprefix("sha256:")).write_bytes(b"\0" * 5000)
    home("pull", name, check=0)
    expect_whole(home, image)


def test_one_pull_serves_all(home, small):
    image = big()
    name = small.add(image)
    arrived = threading.Barrier(2)
    seen = set()

    def together(request):
        # Both ask for the manifest before either may have a layer.
        if "/manifests/" in request.path and len(seen) < 2:
            seen.add(request.client_address)
            arrived.wait(60)

    small.intercept = together
    pulls = [home.start("pull", name) for _ in range(2)]
    assert [process.wait(120) for process in pulls] == [0, 0]
    expect_whole(home, image)
    for data, _ in image.layers:
        assert len(small.paths(digest(data))) == 1


def test_progress(home, small):
    image = big(count=2, size=200_000)
    name = small.add(image)
    events = [json.loads(line) for line in home("pull", "--progress", "json", name, check=0).stderr.splitlines()]
    assert events[0] == {"event": "resolved", "digest": digest(image.manifest), "layers": 2}
    assert {event["digest"] for event in events if event["event"] == "done"} == {digest(data) for data, _ in image.layers}
    lines = home("pull", name, check=0).stderr.decode().splitlines()
    assert sorted(line.split(": ")[1].split(" (")[0] for line in lines) == ["is here", "is here"]
    assert home("pull", "--progress", "none", name, check=0).stderr == b""
    assert b"\x1b[" in subprocess.run(
        ["script", "-qec", " ".join(map(str, home.command("pull", name))), "/dev/null"], env=home.environment,
        capture_output=True, stdin=subprocess.DEVNULL, check=True).stdout


def test_layers_from_elsewhere(home, small, authority):
    """A layer that may not be passed on is where its maker has it."""
    image = Image([say("x"), say("y")])
    maker = SmallRegistry(tls=authority)
    layer = digest(image.layers[0][0])
    maker.blobs[layer] = image.layers[0][0]
    kind = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    image.document["layers"][0] |= {"mediaType": kind, "urls": [f"{maker.url}/v2/any/blobs/{layer}"]}
    name = small.add(image)
    del small.blobs[layer]
    home.environment["SSL_CERT_FILE"] = str(authority / "ca.crt")
    home("pull", name, check=0)
    expect_whole(home, image)
    maker.close()


def raw(name, *options):
    return subprocess.run(["skopeo", "inspect", "--raw", "--tls-verify=false", *options, f"docker://{name}"], check=True,
                          capture_output=True).stdout


def test_push_and_pull_elsewhere(home, registry, small, tmp_path_factory):
    """Digests stay what they were, wherever the image goes."""
    image = big(count=3, size=300_000)
    home("pull", small.add(image), check=0)
    name = f"{registry}/pushed/there:v1"
    assert home("image", "push", f"{small.address}/test/image", name, check=0).stdout.decode() \
        == f"{name}: pushed, {digest(image.manifest)}\n"
    assert raw(name) == image.manifest
    # Again: the layers are there.
    lines = home("push", f"{small.address}/test/image", name, check=0).stderr.decode().splitlines()
    assert sorted(line.split(": ")[1].split(" (")[0] for line in lines) == ["is here"] * 3
    home("image", "remove", f"{small.address}/test/image", check=0)
    assert not blob(home, digest(image.manifest)).exists()
    home("pull", name, check=0)
    expect_whole(home, image)
    refused(home, "push", "nothing/here", say="there is no image")
    refused(home, "push", name, f"{registry}/x@sha256:{'0' * 64}", say="cannot be stored as")
    place = tmp_path_factory.mktemp("private")
    with docker_registry(place, {"anna": "secret"}) as address:
        refused(home, "push", name, f"{address}/a", say=f'"cloister login {address}"')
        home("login", "-u", "anna", "-p", "secret", address, check=0)
        home("push", "-q", name, f"{address}/a", check=0)
        assert raw(f"{address}/a:latest", "--creds", "anna:secret") == image.manifest
