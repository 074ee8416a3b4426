"""Block devices of the host: named as devices, or bound as files"""

import os
import pathlib
import subprocess
import threading

import pytest

import leftovers
from cri import EXITED, NOT_READY, refused, until
from test_pod_kill import find

BLOCKS = 4096


class Loop:
    """A file as a block device."""

    def __init__(self, path, *words):
        self.file = path
        if not path.exists():
            path.write_bytes(b"".join(b"%-511d\n" % number for number in range(BLOCKS)))
        self.device = subprocess.run(
            ["losetup", "-f", "--show", *words, path], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        self.name = os.path.basename(self.device)

    def write(self, block, text):
        with open(self.device, "r+b") as device:
            device.seek(512 * block)
            device.write(b"%-511s\n" % text.encode())

    def read(self, block):
        with open(self.device, "rb") as device:
            device.seek(512 * block)
            return device.read(512).split()[0].decode()

    @property
    def is_attached(self):
        """Whether the file is still in use, which after `detach` it is for as long as anybody has the device open."""
        return pathlib.Path(f"/sys/block/{self.name}/loop/backing_file").exists()

    def detach(self):
        subprocess.run(["losetup", "-d", self.device], check=True)

    def expect_free(self):
        """Nobody has it open: detaching it is not put off."""
        self.detach()
        assert not self.is_attached, f"{self.device} is held"


@pytest.fixture
def loops(tmp_path):
    made = []

    def make(*words):
        made.append(Loop(tmp_path / f"image{len(made)}", *words))
        return made[-1]
    yield make
    for loop in made:
        if loop.is_attached:
            subprocess.run(["losetup", "-d", loop.device])


@pytest.fixture
def loop(loops):
    return loops()


def device(loop, path, permissions="rwm"):
    return {"host_path": loop.device, "container_path": path, "permissions": permissions}


def get(path, block):
    return f"dd if={path} bs=512 skip={block} count=1 2>/dev/null | tr -d ' \\n'"


def put(path, block, text):
    return f"printf '%-511s\\n' {text} | dd of={path} bs=512 seek={block} count=1 conv=notrunc,fsync"


def number(path, between=":"):
    return f"printf '%d{between}%d\\n' 0x$(stat -c %t {path}) 0x$(stat -c %T {path})"


def test_a_device_by_ctr(ctr, loop):
    script = f"set -e; [ -b {loop.device} ]; {get(loop.device, 77)}; {put(loop.device, 78, 'written')}"
    assert ctr.sh(script, flags=["--device", loop.device]) == "77"
    assert loop.read(78) == "written"
    loop.expect_free()


def test_a_device_of_a_running_pod(inside, loop):
    loop.write(5, "ours")
    container = inside.container("sleep 600", devices=[device(loop, "/dev/disk")])
    assert container.sh(get("/dev/disk", 5)) == "ours"
    assert container.sh(f"cat /sys/dev/block/$({number('/dev/disk')})/size") == f"{BLOCKS}\n"
    container.exec_sync(put("/dev/disk", 6, "theirs"))
    assert loop.read(6) == "theirs"
    container.stop()
    container.remove()
    inside.containers.remove(container)
    loop.expect_free()


def test_a_filesystem_on_a_device(inside, loops, tmp_path):
    (tmp_path / "image0").write_bytes(bytes(16 << 20))
    subprocess.run(["mke2fs", "-q", "-t", "ext4", tmp_path / "image0"], check=True)
    loop = loops()
    container = inside.container(
        "mkdir /tmp/m && mount -t ext4 /dev/disk /tmp/m && echo kept > /tmp/m/file", devices=[device(loop, "/dev/disk")],
        security={"capabilities": {"add_capabilities": ["SYS_ADMIN"]}, "apparmor": {"profile_type": 1}})
    assert container.wait() == 0, container.output("stderr")
    container.remove()
    inside.containers.remove(container)
    loop.expect_free()
    content = subprocess.run(["debugfs", "-R", "cat /file", loop.file], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert content.stdout == b"kept\n"


def test_a_device_outside_dev(inside, loop):
    """As Kubernetes' `devicePath` may be."""
    container = inside.container("sleep 600", devices=[device(loop, "/data/block")])
    assert container.sh(get("/data/block", 9)) == "9"
    container.exec_sync(put("/data/block", 9, "changed"))
    assert loop.read(9) == "changed"


@pytest.mark.parametrize("how", ["permissions", "device"])
def test_a_device_to_read(inside, loops, how):
    loop = loops("-r") if how == "device" else loops()
    container = inside.container(
        "sleep 600", devices=[device(loop, "/dev/disk", "r" if how == "permissions" else "rwm")])
    assert container.sh(get("/dev/disk", 3)) == "3"
    container.exec_sync(put("/dev/disk", 3, "written"), check=1)
    assert loop.read(3) == "3"


def test_a_device_that_a_program_makes_a_node_of(inside, loop):
    """What the node's own mode is does not matter: the device may be read, and no more."""
    container = inside.container(
        "sleep 600", devices=[device(loop, "/dev/disk", "rm")],
        security={"capabilities": {"add_capabilities": ["MKNOD"]}})
    container.exec_sync(f"mknod /dev/other b $({number('/dev/disk', ' ')})")
    assert container.sh(get("/dev/other", 3)) == "3"
    container.exec_sync(put("/dev/other", 3, "written"), check=1)
    assert loop.read(3) == "3"


def test_other_devices_of_the_number_stay_out_of_reach(inside, loops):
    """What is allowed of one disk is not of the one beside it."""
    mine, other = loops(), loops()
    inside.container("sleep 600", devices=[device(other, "/dev/disk")])
    container = inside.container(
        "sleep 600", devices=[device(mine, "/dev/disk")], security={"capabilities": {"add_capabilities": ["MKNOD"]}})
    script = ("for n in $(cat /sys/block/*/dev | tr : ,); do mknod /dev/$n b ${n%,*} ${n#*,}; "
              "head -c 1 /dev/$n >/dev/null 2>&1 && echo $n; done; " + number("/dev/disk", ","))
    *opened, own = container.sh(script).split()
    assert opened == [own]


def test_a_device_that_is_bound(inside, loop):
    """A bind mount of a device's node is the device, as far as the container may use that."""
    container = inside.container(
        "sleep 600", devices=[device(loop, "/dev/disk")], mounts=[(loop.device, "/data/disk")])
    assert container.sh("stat -c '%F' /data/disk") == "block special file\n"
    assert container.sh(number("/data/disk")) == container.sh(number("/dev/disk"))
    assert container.sh("stat -c '%a %u %g' /data/disk") == "{:o} {} {}\n".format(
        os.stat(loop.device).st_mode & 0o7777, os.stat(loop.device).st_uid, os.stat(loop.device).st_gid)
    container.exec_sync(put("/data/disk", 11, "bound"))
    assert container.sh(get("/dev/disk", 11)) == "bound"
    assert loop.read(11) == "bound"


def test_a_device_that_is_bound_and_not_allowed(inside, loop):
    container = inside.container("sleep 600", mounts=[(loop.device, "/data/disk")])
    assert container.sh("[ -b /data/disk ] && echo there") == "there\n"
    assert b"not permitted" in container.exec_sync("head -c 1 /data/disk", check=1).stderr
    loop.expect_free()


def test_two_containers_with_a_device(inside, loop):
    """What one writes the other sees; it stays until both have gone."""
    first, second = (inside.container("sleep 600", devices=[device(loop, path)]) for path in ("/dev/one", "/dev/two"))
    assert second.sh(get("/dev/two", 8)) == "8"
    first.exec_sync(put("/dev/one", 8, "new"))
    assert second.sh(get("/dev/two", 8)) == "new"
    first.stop()
    first.remove()
    inside.containers.remove(first)
    second.exec_sync(put("/dev/two", 9, "later"))
    assert loop.read(9) == "later"
    second.stop()
    second.remove()
    inside.containers.remove(second)
    loop.expect_free()


def test_several_devices_at_once(inside, loops):
    """Containers that are made side by side."""
    disks = [loops(), loops(), loops()]
    errors, outputs = [], {}

    def run(number):
        try:
            container = inside.container("sleep 600", devices=[device(disks[number], "/dev/disk")])
            container.exec_sync(put("/dev/disk", 1, f"of{number}"))
            outputs[number] = container.sh(get("/dev/disk", 1))
        except Exception as error:
            errors.append(error)
    threads = [threading.Thread(target=run, args=[number]) for number in range(len(disks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert outputs == {0: "of0", 1: "of1", 2: "of2"}
    assert [disk.read(1) for disk in disks] == ["of0", "of1", "of2"]


def test_devices_again_and_again(inside, loop):
    """More often than fit at a time."""
    for number in range(4):
        container = inside.container("sleep 600", devices=[device(loop, f"/dev/disk{number}")])
        container.exec_sync(put(f"/dev/disk{number}", number, f"round{number}"))
        container.stop()
        container.remove()
        inside.containers.remove(container)
        assert loop.read(number) == f"round{number}"
    loop.expect_free()


def test_a_privileged_container_with_a_device(cri, loop):
    pod = cri.pod(security={"privileged": True})
    container = pod.container("sleep 600", security={"privileged": True}, devices=[device(loop, "/dev/mine")])
    container.exec_sync(put("/dev/mine", 2, "privileged"))
    assert loop.read(2) == "privileged"


def test_a_device_that_has_gone(inside, tmp_path, handler):
    """Its node is there, and nothing behind it."""
    node = tmp_path / "node"
    os.mknod(node, 0o060660, os.makedev(251, 77))
    entry = {"host_path": str(node), "container_path": "/dev/disk", "permissions": "rwm"}
    if handler == "runc":
        # It makes the node, and opening it fails.
        inside.container("sleep 600", devices=[entry]).exec_sync("head -c 1 /dev/disk", check=1)
    else:
        with refused("the host's block device 251:77 cannot become the container's /dev/disk: the host has no block device"):
            inside.container("true", devices=[entry])


def test_what_failed_with_a_device_is_undone(inside, loop):
    with refused():
        inside.container("true", devices=[device(loop, "/dev/disk")], working_dir="/etc/passwd/no")
    loop.expect_free()


def test_the_end_of_the_machine_lets_go_of_devices(cri, loop, handler):
    if handler == "runc":
        pytest.skip("there is no machine")
    before = set(leftovers.processes())
    pod = cri.pod()
    container = pod.container("sleep 600", devices=[device(loop, "/dev/disk")])
    os.kill(find("qemu", before), 9)
    until(lambda: pod.state == NOT_READY and container.state == EXITED, "the end of the pod and its container")
    pod.remove()
    loop.expect_free()
