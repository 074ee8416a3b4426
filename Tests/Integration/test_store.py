"""The image store: what it says of itself, and that many may change it at once."""

import hashlib
import json
import os
import subprocess
import threading

import pytest

from conftest import DEMO
from storekit import another_archive, blobs, kept, listed_id, names, registry, rows, verify  # noqa: F401


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
    assert b"Nothing" in kept("image", "verify", "--repair", "--format", "{{.Nothing}}", check=125).stderr
    assert disk.exists() and layer.exists()
    report = verify(kept, "--repair", check=1)
    assert {row["kind"]: row["state"] for row in report["findings"]} == {"content": "repaired", "disk": "repaired", "image": "damaged"}
    assert not disk.exists() and not layer.exists()
    kept("image", "load", "-i", demo_archive, check=0)
    assert verify(kept)["findings"] == []
    assert kept.run("kept", "echo", "back") == "back\n"


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
