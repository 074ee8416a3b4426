"""CRI: volumes"""

import os
import pathlib
import subprocess

import pytest

from cri import PRIVATE, RSLAVE, until


@pytest.fixture
def volume(tmp_path):
    path = tmp_path / "volume"
    path.mkdir()
    yield path
    # What a failed test left mounted.
    for line in reversed(open("/proc/self/mountinfo").readlines()):
        if line.split()[4].startswith(str(path)):
            subprocess.run(["umount", "-l", line.split()[4]])


def mount(*words):
    subprocess.run(["mount", *map(str, words)], check=True)


def test_files_and_directories(inside, volume):
    (volume / "file").write_text("a file\n")
    (volume / "directory").mkdir()
    container = inside.container("sleep 600", mounts=[
        (volume / "file", "/etc/some/file"), (volume / "directory", "/data"), (volume / "file", "/readonly", True)])
    assert container.sh("cat /etc/some/file /readonly") == "a file\na file\n"
    container.exec_sync("echo guest > /etc/some/file; mkdir /data/sub; echo x > /data/sub/y; ln -s sub/y /data/link")
    assert (volume / "file").read_text() == "guest\n"
    assert (volume / "directory" / "link").read_text() == "x\n"
    assert b"Read-only" in container.exec_sync("echo no > /readonly", check=1).stderr


def test_owners_and_modes(inside, volume):
    container = inside.container("sleep 600", mounts=[(volume, "/data")])
    container.exec_sync("touch /data/f; chown 1000:44 /data/f; chmod 4751 /data/f; mkfifo /data/pipe")
    status = os.stat(volume / "f")
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (1000, 44, 0o4751)
    os.chown(volume / "f", 7, 8)
    until(lambda: container.sh("stat -c '%u %g' /data/f") == "7 8\n", "the host's change of owner")


def test_device_nodes_on_a_volume(inside, volume, handler):
    container = inside.container("sleep 600", mounts=[(volume, "/data")])
    result = container.exec_sync("mknod /data/null c 1 3", check=None)
    if handler != "runc":
        assert b"not permitted" in result.stderr
    else:
        assert result.exit_code == 0


def test_a_user_writes_to_a_volume(inside, volume):
    volume.chmod(0o777)
    container = inside.container("echo mine > /data/file && mkdir /data/sub && touch /data/sub/x", mounts=[(volume, "/data")],
                                 security={"run_as_user": {"value": 1000}})
    assert container.wait() == 0, container.output("stderr")
    assert os.stat(volume / "file").st_uid == 1000 and os.stat(volume / "sub" / "x").st_uid == 1000


def test_a_configuration_map_changes(inside, volume):
    """As the kubelet does it: `..data` is a symbolic link, replaced by one to the new directory."""
    def write(version):
        directory = volume / f"..{version}"
        directory.mkdir()
        (directory / "key").write_text(version + "\n")
        os.symlink(directory.name, volume / "..data_tmp")
        os.rename(volume / "..data_tmp", volume / "..data")
    write("first")
    os.symlink("..data/key", volume / "key")
    container = inside.container("sleep 600", mounts=[(volume, "/config", True)])
    assert container.sh("cat /config/key") == "first\n"
    write("second")
    until(lambda: container.sh("cat /config/key") == "second\n", "the new value")


def test_a_file_that_the_host_writes_again(inside, volume):
    (volume / "file").write_text("one\n")
    container = inside.container("sleep 600", mounts=[(volume, "/data")])
    assert container.sh("cat /data/file") == "one\n"
    (volume / "file").write_text("two, and longer\n")
    until(lambda: container.sh("cat /data/file") == "two, and longer\n", "what the host wrote")
    (volume / "new").write_text("new\n")
    until(lambda: "new" in container.sh("ls /data"), "the new file")


@pytest.mark.parametrize("propagation", [PRIVATE, RSLAVE], ids=["private", "rslave"])
def test_propagation_of_later_mounts(inside, volume, propagation):
    (volume / "sub").mkdir()
    mount("--bind", volume, volume)
    mount("--make-shared", volume)
    container = inside.container("sleep 600", mounts=[(volume, "/data", False, propagation)])
    mount("-t", "tmpfs", "tmpfs", volume / "sub")
    (volume / "sub" / "file").write_text("later\n")
    if propagation == RSLAVE:
        until(lambda: container.exec_sync("cat /data/sub/file", check=None).stdout == b"later\n", "the host's later mount")
        subprocess.run(["umount", volume / "sub"], check=True)
        until(lambda: container.sh("ls /data/sub") == "", "its end")
    else:
        assert container.sh("ls /data/sub") == ""


def test_mounts_below_a_volume(inside, volume):
    """They come along, and a read-only mount does not make them read-only."""
    (volume / "sub").mkdir()
    mount("-t", "tmpfs", "tmpfs", volume / "sub")
    container = inside.container("sleep 600", mounts=[(volume, "/data", True)])
    assert container.exec_sync("touch /data/no", check=1)
    container.exec_sync("touch /data/sub/yes")
    assert (volume / "sub" / "yes").exists()


def test_a_link_as_a_volume(inside, volume):
    (volume / "real").mkdir()
    (volume / "real" / "file").write_text("through the link\n")
    os.symlink("real", volume / "link")
    container = inside.container("cat /data/file", mounts=[(volume / "link", "/data")])
    assert container.wait() == 0
    assert container.output() == "through the link\n"


def test_a_volume_that_is_not_there_is_made(inside, volume):
    """As with runc's CRI: the directory is created."""
    container = inside.container("touch /data/file", mounts=[(volume / "missing" / "deep", "/data")])
    assert container.wait() == 0
    assert (volume / "missing" / "deep" / "file").exists()


def test_memory_behind_dev_shm(cri):
    pod = cri.pod()
    container = pod.container("sleep 600")
    assert container.sh("df -k /dev/shm | tail -n 1").split()[1] == "65536"
    assert "tmpfs" in container.sh("grep /dev/shm /proc/mounts")


def test_hosts_and_resolver(cri):
    pod = cri.pod("resolving", dns_config={"servers": ["10.9.8.7"], "searches": ["cluster.local"], "options": ["ndots:5"]})
    container = pod.container("sleep 600")
    assert container.sh("cat /etc/resolv.conf").split() == [
        "search", "cluster.local", "nameserver", "10.9.8.7", "options", "ndots:5"]
    assert container.sh("cat /etc/hostname") == "resolving\n"
    assert "localhost" in container.sh("cat /etc/hosts")


def test_hard_links_renames_and_writes_in_place(inside, volume):
    container = inside.container("sleep 600", mounts=[(volume, "/data")])
    container.exec_sync("echo x > /data/a; ln /data/a /data/b; truncate -s 1m /data/big; sync; "
                        "mv /data/b /data/c; dd if=/dev/zero of=/data/big bs=4k count=10 conv=notrunc,fsync 2>/dev/null")
    assert os.stat(volume / "c").st_nlink == 2


def test_a_program_runs_from_a_volume(inside, volume):
    (volume / "program").write_text("#!/bin/sh\necho ran\n")
    (volume / "program").chmod(0o755)
    container = inside.container("/data/program", "x", mounts=[(volume, "/data", True)])
    assert container.wait() == 0
    assert container.output() == "ran\n"


def test_many_small_files(inside, volume):
    container = inside.container("sleep 600", mounts=[(volume, "/data")])
    container.exec_sync("cd /data; for i in $(seq 200); do echo $i > f$i; done; ls | wc -l")
    assert len(list(pathlib.Path(volume).iterdir())) == 200
