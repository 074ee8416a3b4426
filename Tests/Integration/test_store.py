"""The image store: what it says of itself, and that no crash and no full disk takes anything that was whole."""

import contextlib
import hashlib
import http.server
import json
import os
import random
import subprocess
import threading
import time

import pytest

from conftest import DEMO

FULL = b"no space left"


def rows(space):
    return json.loads(space("image", "list", "--format", "json", check=0).stdout)


def names(space):
    return sorted(row["name"] for row in rows(space))


def listed_id(space):
    return space("images", "-q", "another", check=0).stdout.strip()


def verify(space, *words, check=0):
    return json.loads(space("image", "verify", "--format", "json", *words, check=check).stdout)


def blobs(space):
    return set(os.listdir(space.images / "blobs" / "sha256"))


@pytest.fixture
def kept(other, demo_archive):
    """A store with an image whose loss would be noticed."""
    other("image", "load", "-i", demo_archive, "--name", "kept", check=0)
    return other


@pytest.fixture(scope="session")
def another_archive(tmp_path_factory, demo_archive):
    """An image that shares nothing with the demonstration's."""
    layout = tmp_path_factory.mktemp("another") / "layout"
    work = layout.parent / "root"
    work.mkdir()
    (work / "data").write_bytes(random.Random(1).randbytes(2 << 20))
    for words in (["init", "--layout", layout], ["new", "--image", f"{layout}:one"],
                  ["insert", "--rootless", "--image", f"{layout}:one", work, "/"],
                  ["config", "--image", f"{layout}:one", "--config.label", "kind=another", "--created", "2020-01-01T00:00:00Z"]):
        subprocess.run(["umoci", *map(str, words)], check=True)
    return layout


def test_names_come_and_go(kept, another_archive):
    kept("image", "tag", "kept", "quay.io/some/thing:2", check=0)
    kept("image", "load", "-q", "-i", another_archive, "--name", "another:1", check=0)
    assert names(kept) == ["another:1", "kept:latest", "quay.io/some/thing:2"]
    for words, expected in [(["-f", "reference=quay.io/*/thing"], 1), (["another"], 1), (["-f", "label=kind=another"], 1),
                            (["-f", "label=other"], 0), (["-f", "dangling=true"], 0), (["-f", "since=kept"], 1),
                            (["-f", "before=another:1"], 2), (["-f", "until=2019-06-01", "another"], 0),
                            (["k*"], 1), (["--filter", "reference=*:1", "--filter", "reference=kept"], 2)]:
        assert len(kept("images", "-q", *words, check=0).stdout.splitlines()) == expected, words
    assert b"sha256:" in kept("images", "--digests", "--no-trunc", check=0).stdout
    listed = kept("images", "--format", "{{.Repository}}|{{.Tag}}", check=0).stdout.decode().splitlines()
    assert sorted(listed) == ["another|1", "kept|latest", "quay.io/some/thing|2"]
    assert kept("images", "--format", "table {{.ID}}\\t{{.Tag}}", "another", check=0).stdout.split()[::2] == [b"ID", listed_id(kept)]
    assert b"there are .CreatedAt, " in kept("images", "--format", "{{.Colour}}", check=125).stderr
    assert b"do not repeat" in kept("images", "--format", "{{range .ID}}", check=125).stderr
    inspect = ["image", "inspect", "another:1", "--format"]
    assert kept(*inspect, '{{json .RepoTags}} {{index .Config.Labels "kind"}} {{.Config.Labels.kind}} {{.Os}}', check=0).stdout \
        == b'["another:1"] another another linux\n'
    document = json.loads(kept(*inspect, "{{json .}}", check=0).stdout)
    assert document["Created"] == "2020-01-01T00:00:00Z" and len(document["RootFS"]["Layers"]) == 1
    assert b"there are .Config.Cmd, .Config.Entrypoint" in kept(*inspect, "{{.Config.Colour}}", check=125).stderr
    assert b"no tables" in kept(*inspect, "table {{.Id}}", check=125).stderr
    assert b"Images" in kept("system", "df", "--format", "{{.Type}} {{.Reclaimable}}", check=0).stdout.title()
    layers = kept("image", "history", "--no-trunc", "-q", "another:1", check=0).stdout
    assert b"sha256:" in layers
    assert kept("image", "history", "--no-trunc", "--format", "{{.ID}}", "another:1", check=0).stdout == layers
    assert kept("image", "verify", "--format", "{{.Name}}", check=0).stdout == b""
    kept("rmi", "-f", "not-there", "quay.io/some/thing:2", check=0)
    kept("rmi", "not-there", check=125)
    assert names(kept) == ["another:1", "kept:latest"]
    history = json.loads(kept("image", "history", "--format", "json", "another:1", check=0).stdout)
    assert [step["size"] > 2 << 20 for step in history if "layer" in step] == [True]


def test_what_is_saved_keeps_its_digests(kept, other, another_archive, tmp_path):
    kept("image", "load", "-i", another_archive, "--name", "another:1", check=0)
    digests = {row["name"]: row["digest"] for row in rows(kept)}
    file = tmp_path / "saved.tar"
    kept("image", "save", "-o", file, "kept", "another:1", check=0)
    assert kept("image", "save", "kept", "another:1", check=0).stdout == file.read_bytes()
    for name, full in [("kept:latest", "docker.io/library/kept:latest"), ("another:1", "docker.io/library/another:1")]:
        raw = subprocess.run(["skopeo", "inspect", "--raw", f"oci-archive:{file}:{full}"], check=True, capture_output=True).stdout
        assert "sha256:" + hashlib.sha256(raw).hexdigest() == digests[name]
        subprocess.run(["skopeo", "copy", "-q", "--insecure-policy", f"docker-archive:{file}:{name}", f"dir:{tmp_path}/{name[0]}"],
                       check=True)
    kept("image", "prune", "-a", "-f", check=0)
    assert rows(kept) == [] and blobs(kept) == set()
    kept("image", "load", "-i", file, check=0)
    assert {row["name"]: row["digest"] for row in rows(kept)} == digests
    result = kept("image", "save", "-o", tmp_path / "none.tar", "not-there", check=125)
    assert b"not-there" in result.stderr and os.listdir(tmp_path).count("none.tar") == 0


def test_podman_reads_what_is_saved_and_we_what_it_saves(kept, another_archive, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("podman wants a user namespace that not everybody has")
    podman = ["podman", "--root", kept.directory / "p", "--runroot", kept.directory / "r", "--storage-driver", "vfs"]
    kept("image", "load", "-i", another_archive, "--name", "another:1", check=0)
    digests = {f"docker.io/library/{row['name']}": row["digest"] for row in rows(kept)}
    # One it takes as OCI layout; several by manifest.json, where it knows their manifests from before.
    for images in (["kept"], ["another:1"], ["kept", "another:1"]):
        kept("image", "save", "-o", tmp_path / "saved.tar", *images, check=0)
        output = subprocess.run([*podman, "load", "-q", "-i", tmp_path / "saved.tar"], check=True, capture_output=True).stdout
        assert len(output.splitlines()) == len(images)
    listed = subprocess.run([*podman, "images", "--format", "{{.Repository}}:{{.Tag}} {{.Digest}}"], check=True,
                            capture_output=True, text=True).stdout
    assert dict(line.split() for line in listed.splitlines()) == digests
    for form in ("oci-archive", "docker-archive"):
        subprocess.run([*podman, "save", "-q", "--format", form, "-o", tmp_path / form, "another:1"], check=True)
        kept("image", "load", "-i", tmp_path / form, "--name", form, check=0)
    assert verify(kept)["findings"] == []


def test_df_and_prune(kept, another_archive):
    kept("image", "load", "-i", another_archive, "--name", "another", check=0)
    kept.run("kept", "true")
    usage = {row["type"]: row for row in json.loads(kept("system", "df", "--format", "json", check=0).stdout)}
    assert usage["Images"]["total"] == 2 and usage["Layer disks"]["total"] == 1
    process = kept.start("run", "-i", "--rm", "kept", "sh", "-c", "echo up; read line", stdin=subprocess.PIPE)
    assert process.stdout.readline() == b"up\n"
    assert b"say -f" in kept("image", "prune", "-a", check=125).stderr
    assert b"Removed: another:latest" in kept("image", "prune", "-a", "-f", check=0).stdout
    assert names(kept) == ["kept:latest"]
    process.communicate(b"\n", timeout=60)


def test_a_limit_is_kept(other, demo_archive, registry):
    other.configure(image_store_limit="100k")
    registry.go.set()
    assert b"image_store_limit" in other("pull", "--plain-http", registry.image, check=125).stderr
    assert b"image_store_limit" in other("image", "load", "-i", demo_archive, check=125).stderr
    assert blobs(other) == set()


def damage(path):
    info = path.stat()
    os.chmod(path, 0o644)
    with open(path, "r+b") as file:
        file.seek(info.st_size // 2)
        file.write(b"rotten")
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


def test_verify_finds_and_repairs(kept, demo_archive):
    kept.run("kept", "true")
    assert verify(kept) == {"images": 1, "blobs": 3, "disks": 1, "whole": True, "findings": []}
    disk, = (kept.images / "layers").glob("*.img")
    os.chmod(disk, 0o644)
    with open(disk, "r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)
    layer = max((kept.images / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
    damage(layer)
    assert sorted(row["kind"] for row in verify(kept, check=1)["findings"]) == ["content", "disk", "image"]
    assert b"damaged" in kept("image", "verify", check=1).stdout
    report = verify(kept, "--repair", check=1)
    assert {row["kind"]: row["state"] for row in report["findings"]} == {"content": "repaired", "disk": "repaired", "image": "damaged"}
    assert not disk.exists() and not layer.exists()
    kept("image", "load", "-i", demo_archive, check=0)
    assert verify(kept)["findings"] == []
    assert kept.run("kept", "echo", "back") == "back\n"


# A registry as small as can be, which stops where a test wants.

class Registry:
    def __init__(self, layout):
        self.blobs = layout / "blobs" / "sha256"
        self.manifest = json.loads((layout / "index.json").read_text())["manifests"][0]
        self.go = threading.Event()
        self.asked = threading.Event()
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                body, kind = b"{}", "application/json"
                if "/manifests/" in self.path:
                    kind = registry.manifest["mediaType"]
                    body = (registry.blobs / registry.manifest["digest"].partition(":")[2]).read_bytes()
                elif "/blobs/" in self.path:
                    body = (registry.blobs / self.path.rpartition(":")[2]).read_bytes()
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(OSError):
                    for start in range(0, len(body), 1 << 16):
                        if start:
                            registry.asked.set()
                            registry.go.wait(60)
                        self.wfile.write(body[start:start + (1 << 16)])

            do_HEAD = do_GET

            def log_message(self, *words):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.image = f"127.0.0.1:{self.server.server_port}/another:1"

    def close(self):
        self.go.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def registry(another_archive):
    server = Registry(another_archive)
    yield server
    server.close()


def test_removal_waits_for_nobodys_pull(kept, registry):
    before = blobs(kept)
    pull = kept.start("pull", "--plain-http", registry.image)
    assert registry.asked.wait(60)
    kept("image", "remove", "kept", check=0, timeout=30)
    assert rows(kept) == [] and before <= blobs(kept) and pull.poll() is None
    registry.go.set()
    _, error = pull.communicate(timeout=60)
    assert pull.returncode == 0, error
    # Who added takes what nobody needs any more.
    assert names(kept) == [registry.image] and not before & blobs(kept)


def test_everything_at_once(kept, another_archive, demo_archive):
    """Whatever many do to the store at the same time, it is whole at every moment and in the end."""
    work = [["image", "load", "-q", "-i", another_archive, "--name", "one"], ["image", "load", "-q", "-i", another_archive, "--name", "two"],
            ["image", "load", "-q", "-i", demo_archive, "--name", "one"], ["image", "tag", "kept", "two"], ["rmi", "-f", "one"],
            ["rmi", "-f", "two"], ["image", "prune", "-f"], ["image", "verify"], ["image", "verify", "--repair"], ["system", "df"]]
    failures = []

    def repeat(words):
        for _ in range(10):
            result = kept(*words)
            if result.returncode != 0 and words[0] != "rmi":
                failures.append((words, result.stdout, result.stderr))

    threads = [threading.Thread(target=repeat, args=[words]) for words in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    kept("image", "remove", "-f", "one", "two", check=0)
    assert names(kept) == ["kept:latest"] and len(blobs(kept)) == 3 and verify(kept)["findings"] == []


# Crashes.

def kill_at_random(space, words, count):
    """Runs a command `count` times, killed each time at another moment of the time that it takes; yields after each."""
    seed = int.from_bytes(os.urandom(4), "little")
    print("seed", seed)
    choose = random.Random(seed)
    start = time.monotonic()
    process = space.start(*words)
    process.communicate(timeout=300)
    length = time.monotonic() - start
    yield process.returncode
    for _ in range(count):
        process = space.start(*words)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(choose.uniform(0, length * 1.2))
        process.kill()
        process.communicate(timeout=60)
        yield None


def expect_whole(space, *expected):
    report = verify(space)
    assert report["whole"] and all(row["kind"] == "leftover" for row in report["findings"]), report
    assert set(expected) <= set(names(space))


def test_kills_of_a_load(kept, another_archive):
    for _ in kill_at_random(kept, ["image", "load", "-i", another_archive, "--name", "another"], 20):
        expect_whole(kept, "kept:latest")
        kept("image", "remove", "another")
    kept("image", "load", "-i", another_archive, "--name", "another", check=0)
    assert verify(kept)["findings"] == []


def test_kills_of_a_pull(kept, registry):
    registry.go.set()
    for _ in kill_at_random(kept, ["pull", "--plain-http", registry.image], 20):
        expect_whole(kept, "kept:latest")
        kept("image", "remove", registry.image)
    kept("pull", "--plain-http", registry.image, check=0)
    assert [row for row in verify(kept)["findings"] if "pull" not in row["problem"]] == []


@pytest.mark.parametrize("words", ["remove another", "prune -a -f --filter label=kind=another", "tag kept another", "verify --repair"])
def test_kills_of_what_changes_the_store(kept, another_archive, words):
    def load():
        kept("image", "load", "-i", another_archive, "--name", "another", check=0)

    load()
    for _ in kill_at_random(kept, ["image", *words.split()], 20):
        expect_whole(kept, "kept:latest")
        load()
    assert verify(kept)["findings"] == [] and names(kept) == ["another:latest", "kept:latest"]


def test_kills_of_an_unpack(kept):
    words = ["run", "--rm", "--accelerator", "emulation", "kept", "true"]
    for _ in kill_at_random(kept, words, 20):
        deadline = time.monotonic() + 30
        while kept.processes() or os.listdir(kept.state):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        expect_whole(kept, "kept:latest")
        for path in (kept.images / "layers").iterdir():
            if path.suffix in (".img", ".json"):
                path.unlink()
    assert kept.run("kept", "echo", "whole") == "whole\n"
    assert verify(kept)["findings"] == []


# Full disks.

@pytest.fixture
def small(other, demo_archive):
    """A store on a file system of its own, as small as a test makes it."""
    if os.geteuid() != 0:
        pytest.skip("an ordinary user cannot mount")
    other.images.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m,mode=755", "none", other.images], check=True)
    other("image", "load", "-i", demo_archive, "--name", "kept", check=0)
    other.filler = other.images / "filler"
    yield other
    other.kill_started()
    subprocess.run(["umount", "-l", other.images], check=True)


def leave(space, kibibytes):
    """Fills the file system up to so much."""
    space.filler.unlink(missing_ok=True)
    info = os.statvfs(space.images)
    with open(space.filler, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(info.f_bavail * info.f_frsize - (kibibytes << 10), 1))


@pytest.mark.parametrize("way", ["load", "pull"])
def test_a_full_disk_while_content_comes(small, another_archive, registry, way):
    registry.go.set()
    words = ["pull", "-q", "--plain-http", registry.image] if way == "pull" else ["image", "load", "-i", another_archive, "--name", "another"]
    name = registry.image if way == "pull" else "another:latest"
    outcomes = set()
    for room in (0, 4, 1000, 2052, 2056, 2060, 2064, 2068, 2072, 2080, 2100):
        leave(small, room)
        result = small(*words)
        outcomes.add(result.returncode)
        assert result.returncode == 0 or FULL in result.stderr and result.stderr.count(b"\n") == 1, (room, result)
        expect_whole(small, "kept:latest")
        assert (name in names(small)) == (result.returncode == 0)
        small("image", "remove", "-f", name, check=0)
        small("image", "prune", "-a", "-f", "--filter", "label=none", check=0)
        for path in (small.images / "partial").iterdir():
            path.unlink()
    small.filler.unlink()
    small(*words, check=0)
    assert outcomes == {0, 125} and verify(small)["findings"] == []


def test_a_full_disk_does_not_keep_an_image(small, another_archive):
    small("image", "load", "-i", another_archive, "--name", "another", check=0)
    leave(small, 0)
    for words in (["tag", "kept", "third"], ["save", "-o", small.images / "saved.tar", "kept"]):
        error = small("image", *words, check=125).stderr
        assert FULL in error and error.count(b"\n") == 1, error
    assert not list(small.images.glob("saved.tar*"))
    small("image", "remove", "another", check=0)
    expect_whole(small, "kept:latest")
    assert names(small) == ["kept:latest"]


def test_a_full_disk_while_a_layer_is_unpacked(small):
    outcomes = set()
    for room in (0, 64, 400, 1200):
        leave(small, room)
        result = small("run", "--rm", "--accelerator", "emulation", "kept", "echo", "ran", timeout=120)
        outcomes.add(result.returncode)
        assert result.stdout == b"ran\n" or FULL in result.stderr.lower(), (room, result)
        expect_whole(small, "kept:latest")
    small.filler.unlink()
    assert small.run("kept", "echo", "ran") == "ran\n"
    assert 125 in outcomes and verify(small)["findings"] == []
