"""What the guest is given of the host's files: shared between containers, kept from a hostile guest, and given back"""

import os
import pathlib
import socket
import subprocess
import tarfile

import pytest

import imagekit
import ociimage
from cri import refused, until
from daemon import has_open

#: Listens at a path for one client, or connects to it, and says what came; holds a lock, or tries to get it.
PROGRAM = r"""
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
int main(int count, char **words) {
    if (words[1][0] == 'h' || words[1][0] == 't') {
        int hold = words[1][0] == 'h';
        if (flock(open(words[2], O_RDWR | O_CREAT, 0666), hold ? LOCK_EX : LOCK_EX | LOCK_NB)) return 1;
        puts("locked"); fflush(stdout);
        if (hold) pause();
        return 0;
    }
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, words[2]);
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    if (words[1][0] == 'l') {
        if (bind(s, (void *)&address, sizeof address) || listen(s, 1)) return perror("listen"), 1;
        puts("listening"); fflush(stdout);
        return write(accept(s, 0, 0), "hello\n", 6) != 6;
    }
    char text[16];
    if (connect(s, (void *)&address, sizeof address)) return perror("connect"), 1;
    return write(1, text, read(s, text, sizeof text)) != 6;
}
"""


@pytest.fixture
def empty_dir(tmp_path):
    """Where the kubelet makes an emptyDir."""
    path = tmp_path / "pods" / "uid" / "volumes" / "kubernetes.io~empty-dir" / "data"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def tools(tmp_path):
    """The program above, as a volume."""
    directory = tmp_path / "tools"
    directory.mkdir()
    (directory / "talk").write_bytes(imagekit.compiled(PROGRAM, tmp_path))
    (directory / "talk").chmod(0o755)
    return directory, "/tools", True


def test_a_socket_between_containers(inside, empty_dir, tools):
    server = inside.container("/tools/talk", "listen", "/data/socket", mounts=[tools, (empty_dir, "/data")])
    server.until_output("listening")
    # Read-only for this one; connecting is not writing to the directory.
    client = inside.container("/tools/talk", "connect", "/data/socket", mounts=[tools, (empty_dir, "/data", True)])
    assert client.wait() == 0, client.output("stderr")
    assert client.output() == "hello\n"
    assert server.wait() == 0


def test_locks_between_containers(inside, empty_dir, tools):
    first = inside.container("/tools/talk", "hold", "/data/lock", mounts=[tools, (empty_dir, "/data")])
    first.until_output("locked")
    second = inside.container("sleep 600", mounts=[tools, (empty_dir, "/data")])
    second.exec_sync("/tools/talk try /data/lock", check=1)
    first.stop()
    second.exec_sync("/tools/talk try /data/lock")


def test_writes_between_containers_are_seen_at_once(inside, empty_dir):
    first, second = (inside.container("sleep 600", mounts=[(empty_dir, "/data", only)]) for only in (False, True))
    for number in range(5):
        first.exec_sync(f"echo {number} > /data/file")
        assert second.sh("cat /data/file") == f"{number}\n"
    assert b"Read-only" in second.exec_sync("touch /data/no", check=1).stderr


@pytest.fixture
def shared(cri, daemon, handler):
    """A privileged pod, the directory it shares with its guest, and the process that serves it."""
    if handler == "runc":
        pytest.skip("there is no share")
    before = set((daemon.directory / "s").glob("*/share"))
    pod = cri.pod(security={"privileged": True})
    share, = set((daemon.directory / "s").glob("*/share")) - before
    server, = (pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if serves(pid, share))
    return pod, share, server


def serves(pid, share):
    """Whether a process is the one that serves a directory: the second of its name, the child of the first."""
    try:
        words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        parent = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
        parents = pathlib.Path(f"/proc/{parent}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return words == parents and any(str(share).encode() in word for word in words) and b"virtiofsd" in words[0]


def test_a_hostile_guest_stays_in_what_it_was_given(shared, tmp_path):
    """Root in the guest, with every capability there."""
    pod, share, server = shared
    secret, given, fixed = (tmp_path / name for name in ("secret", "given", "fixed"))
    for directory in (secret, given, fixed):
        directory.mkdir()
        (directory / "file").write_text(directory.name + "\n")
    os.symlink(secret / "file", given / "absolute")
    os.symlink("../secret/file", given / "relative")
    os.symlink("../" * 20 + "etc/shadow", given / "up")
    container = pod.container(
        "sleep 600", security={"privileged": True}, mounts=[(given, "/given"), (fixed, "/fixed", True)])
    # The links lead to the container's own files.
    for name in ("absolute", "relative", "up"):
        assert b"No such file" in container.exec_sync(f"cat /given/{name}", check=1).stderr
    container.exec_sync("mkdir -p /share && mount -t virtiofs share /share")
    assert "secret" not in container.sh("find /share /given/.. /fixed/.. -xdev -name file -exec cat {} \\;")
    # What was given read-only is so on the host, whatever the guest's kernel thinks.
    container.exec_sync("mount -o remount,rw,bind /fixed; mount -o remount,rw /fixed", check=None)
    for command in ("touch /fixed/x", "echo no > /fixed/file", "chmod 777 /fixed/file", "rm /fixed/file", "mv /fixed/file /fixed/f"):
        assert b"Read-only" in container.exec_sync(command, check=None).stderr, command
    assert (fixed / "file").read_text() == "fixed\n" and os.listdir(fixed) == ["file"]
    # A directory that becomes a link.
    container.exec_sync("mkdir /given/sub && rmdir /given/sub && ln -s / /given/sub")
    assert container.sh("cat /given/sub/given/file") == "given\n"


def test_the_file_server_has_no_right_on_the_host(shared, tmp_path):
    pod, share, server = shared
    pod.container("sleep 600", mounts=[(tmp_path, "/data", True)])
    status = pathlib.Path(f"/proc/{server}/status").read_text()
    assert "Seccomp:\t2" in status and "NoNewPrivs:\t1" in status
    for namespace in ("user", "mnt", "pid", "net", "ipc", "uts"):
        assert os.readlink(f"/proc/{server}/ns/{namespace}") != os.readlink(f"/proc/self/ns/{namespace}"), namespace
    mounts = [line.split() for line in pathlib.Path(f"/proc/{server}/mountinfo").read_text().splitlines()]
    # Its root is the share, which it cannot write to, and below it is what the pod was given: two roots and a volume, and
    # what containerd gives every container.
    assert mounts[0][4] == "/" and mounts[0][5].split(",")[0] == "ro"
    places = {words[4] for words in mounts[1:]}
    assert all(place[1] in "rv" and place[2:].isdigit() for place in places), places
    assert sorted(os.listdir(f"/proc/{server}/root")) == sorted(place[1:] for place in places)
    assert {words[5].split(",")[0] for words in mounts if words[3] == str(tmp_path)} == {"ro"}


def test_what_a_container_was_given_goes_with_it(shared, tmp_path):
    pod, share, server = shared
    source = tmp_path / "device"
    source.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", source], check=True)
    before = sorted(os.listdir(share))
    for _ in range(3):
        container = pod.container("touch /data/x; sleep 600", mounts=[(source, "/data")])
        assert len(os.listdir(share)) > len(before)
        device = os.stat(source).st_dev
        container.remove()
        assert sorted(os.listdir(share)) == before
    # Nor does the server keep anything of it open.
    until(lambda: not has_open(server, lambda descriptor: os.stat(descriptor).st_dev == device), "the end of what was open")
    subprocess.run(["umount", source], check=True)


def test_sources_that_mean_nothing_in_a_guest(ctr, handler, tmp_path):
    if handler == "runc":
        pytest.skip("they are the kernel's own there")
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        result = ctr.run("true", flags=["--mount", f"type=bind,src={path},dst=/s,options=rbind"], check=None)
        assert result.returncode and b"only programs on the host can reach" in result.stderr
    result = ctr.run("true", flags=["--mount", f"type=bind,src={tmp_path}/none,dst=/s,options=rbind"], check=None)
    assert result.returncode and b"does not exist; create it first" in result.stderr


def test_devices_of_the_kernel_are_the_guests(ctr):
    flags = [word for name in ("null", "zero") for word in (
        "--mount", f"type=bind,src=/dev/{name},dst=/given/{name},options=bind")]
    assert ctr.sh("echo x > /given/null; head -c 3 /given/zero | tr '\\0' 0", flags=flags) == "000"


def test_more_layers_than_fit_in_one_mount_option(ctr, daemon, tmp_path):
    """An overlay of 90 layers, whose names make more text than mount(2) takes."""
    name, path = "docker.io/library/cloister-deep:1", tmp_path / "deep.tar"
    image = ociimage.Image(name, config={"Env": ["PATH=/bin"]})
    with tarfile.open(daemon.directory / "tools.tar") as archive:
        base = max((member for member in archive if member.isfile()), key=lambda member: member.size)
        image.add_layer(subprocess.run(
            ["gzip", "-dc"], input=archive.extractfile(base).read(), stdout=subprocess.PIPE, check=True).stdout)
    for number in range(90):
        image.add_layer(ociimage.Layer().file(f"layer/{number}", f"{number}\n").finish())
    image.write(path)
    ctr("images", "import", path)
    assert ctr.sh("cat /layer/0 /layer/89; echo x > /layer/7; ls /layer | wc -l", image=name) == "0\n89\n90\n"


@pytest.fixture
def disk(daemon, tmp_path):
    """The tools image's root as an ext4 filesystem in a file."""
    root, path = tmp_path / "root", tmp_path / "root.ext4"
    root.mkdir()
    with tarfile.open(daemon.directory / "tools.tar") as archive:
        base = max((member for member in archive if member.isfile()), key=lambda member: member.size)
        subprocess.run(["tar", "-xzC", root], input=archive.extractfile(base).read(), check=True)
    with open(path, "w") as file:
        file.truncate(64 << 20)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", root, path], check=True)
    return path


@pytest.mark.parametrize("first", [True, False], ids=["of the first container", "of a later one"])
@pytest.mark.parametrize("device", [False, True], ids=["file", "device"])
def test_a_filesystem_as_root(ctr, disk, device, first):
    """As the blockfile and devicemapper snapshotters give it."""
    source, pod = disk, None if first else ctr.task("sleep 600")
    group = [] if first else ["--annotation", f"io.kubernetes.cri.sandbox-id={pod.id}"]
    if device:
        source = subprocess.run(
            ["losetup", "-f", "--show", disk], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    try:
        script = "grep -q ' / ext4 rw' /proc/mounts && echo written > /made"
        ctr("containers", "create", "--runtime", ctr.runtime, *group, "--", imagekit.TOOLS, "filesystem", "sh", "-c",
            script)
        ctr.started.append("filesystem")
        mount = {"type": "ext4", "source": str(source), "options": [] if device else ["loop"]}
        ctr.tasks.Create(container_id="filesystem", rootfs=[mount], _timeout=60)
        ctr.tasks.Start(container_id="filesystem")
        assert ctr.tasks.Wait(container_id="filesystem", _timeout=60).exit_status == 0
        ctr.tasks.Delete(container_id="filesystem")
    finally:
        if device:
            subprocess.run(["losetup", "-d", source], check=True)
    def loops():
        return subprocess.run(["losetup", "-j", disk], stdout=subprocess.PIPE, check=True).stdout
    until(lambda: not loops(), "the end of the loop device")
    content = subprocess.run(["debugfs", "-R", "cat /made", disk], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert content.stdout == b"written\n"
    subprocess.run(["e2fsck", "-fn", disk], check=True, stdout=subprocess.DEVNULL)


def test_the_native_snapshotter(ctr):
    assert ctr.sh("echo x > /file; cat /file", flags=["--snapshotter", "native"]) == "x\n"


def test_a_missing_source_is_undone(inside, empty_dir):
    """Half of what a container needs was there when the rest turned out to be missing."""
    link = empty_dir / "link"
    link.symlink_to("/dev/kmsg")
    with refused():
        inside.container("true", mounts=[(empty_dir, "/data"), ("/proc/version_nothing/x", "/never")])
    container = inside.container("ls -d /data", mounts=[(empty_dir, "/data")])
    assert container.wait() == 0
