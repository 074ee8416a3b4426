"""What tests of the image store stand on: a store with an image whose loss would be noticed, another image, a registry that stops
where a test wants, and what a store has to be at every moment."""

import contextlib
import fcntl
import http.server
import json
import os
import random
import subprocess
import threading
import time

import pytest


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


def expect_whole(space, *expected):
    report = verify(space)
    assert report["whole"] and all(row["kind"] == "leftover" for row in report["findings"]), report
    assert set(expected) <= set(names(space))


@pytest.fixture(scope="session")
def demo_layout(tmp_path_factory, demo_archive):
    """The demonstration image as a directory, for a registry to serve."""
    layout = tmp_path_factory.mktemp("demo") / "layout"
    subprocess.run(["tar", "-xf", demo_archive, f"--one-top-level={layout}", "--no-same-owner"], check=True)
    return layout


def expect_nothing_runs(space):
    """What a killed command started ends by itself. Of one killed before it could start anything a directory may be left, whose
    lock nobody holds; the next sandbox sweeps it away."""
    deadline = time.monotonic() + 30
    while space.processes() or any(is_held(path) for path in space.state.glob("*/lock")):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_held(path):
    try:
        with open(path) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


class Registry:
    """A registry as small as can be, which stops where a test wants, and pauses for so many seconds between pieces."""

    def __init__(self, layout, pause=0):
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
                            time.sleep(pause)
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
