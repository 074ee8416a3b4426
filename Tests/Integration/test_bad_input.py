"""What bad input gets: a sentence that names the thing and the remedy, the exit status that says whose failure it is, and
nothing left behind."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

#: Of this machine.
MEBIBYTES = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGESIZE") >> 20

import measured
from conftest import DEMO, ROOT

HARDWARE = re.search(r"\b(vmx|svm)\b", pathlib.Path("/proc/cpuinfo").read_text())
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")
# What a person should never meet in a message.
INNARDS = ("Error(", "Optional(", "errno:", "Fatal error", "Swift.")


def sentence(result, *names, status=125):
    """Checks that a refusal is one sentence, or one and a console's lines, and names what it should. Returns it."""
    text = result.stderr.decode()
    assert result.returncode == status, (result.returncode, text, result.stdout[-500:])
    own = [line for line in text.splitlines() if "slow software emulation" not in line]
    assert own and own[0].startswith("cloister: "), text
    assert len(own) == 1 or "console" in text or "cloister: waiting" in text, text
    for name in names:
        assert str(name) in text, (name, text)
    assert not any(word in text for word in INNARDS), text
    return text


def contents(space):
    """The store's files; locks and templates apart, which are no trace of anything."""
    files = {}
    for path in sorted(space.images.rglob("*")):
        if path.is_file() and not path.name.endswith("lock") and path.relative_to(space.images).parts[0] not in ("qemu", "scratch"):
            files[str(path.relative_to(space.images))] = path.stat().st_mtime_ns
    return files


def unchanged(space, *words, names=(), status=125, **options):
    before = contents(space)
    result = space(*words, **options)
    text = sentence(result, *names, status=status)
    assert contents(space) == before
    return text


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    directory = tmp_path_factory.mktemp("bad")
    names = ["not-an-archive", "truncated", "truncated-gzip", "corrupt", "digest-mismatch", "size-mismatch",
             "layer-missing", "no-layers", "other-architecture", "other-system", "unknown-layer-type",
             "index-is-not-json", "manifest-of-a-gigabyte", "compressed-manifest-of-a-gigabyte", "layer-is-not-a-tar",
             "gzip-bomb"]
    subprocess.run([sys.executable, ROOT / "Tests" / "Integration" / "hostile_images.py", directory, *names], check=True)
    return json.loads((directory / "cases.json").read_text())


# Images.

def test_an_unknown_image(cloister):
    unchanged(cloister, "run", "--rm", "no-such-image", "true", names=["no-such-image", "cloister image load"])


@pytest.mark.parametrize("name", ["no/such/tag:1", "localhost:5000/x", "0123456789ab", "sha256:" + "0" * 64])
def test_unknown_images_of_every_spelling(cloister, name):
    for words in (["run", "--rm", name], ["image", "inspect", name], ["image", "remove", name]):
        unchanged(cloister, *words, names=[name])


@pytest.mark.parametrize("name", ["UPPER", "a b", "", "a::b", "../etc", "-", "x" * 300])
def test_what_is_no_image_name(cloister, name):
    unchanged(cloister, "run", "--rm", "--", name)


def test_an_image_of_another_architecture(cloister, cases):
    unchanged(cloister, "image", "load", "-i", cases["other-architecture"]["file"], names=["s390x", os.uname().sysname.lower()])


@pytest.mark.parametrize("case", [
    "not-an-archive", "truncated", "truncated-gzip", "corrupt", "digest-mismatch", "size-mismatch", "layer-missing",
    "no-layers", "other-architecture", "other-system", "unknown-layer-type", "index-is-not-json", "manifest-of-a-gigabyte",
    "compressed-manifest-of-a-gigabyte"])
@pytest.mark.parametrize("way", ["file", "standard input"])
def test_an_archive_that_cannot_be_loaded(cloister, cases, case, way):
    path = pathlib.Path(cases[case]["file"])
    if way == "file":
        unchanged(cloister, "image", "load", "-i", path, names=cases[case]["words"])
    else:
        with open(path, "rb") as file:
            reader = subprocess.Popen(["cat"], stdin=file, stdout=subprocess.PIPE)
        unchanged(cloister, "image", "load", names=cases[case]["words"], stdin=reader.stdout)
        reader.stdout.close()
        reader.wait()


@pytest.mark.parametrize("case", ["manifest-of-a-gigabyte", "compressed-manifest-of-a-gigabyte"])
def test_a_manifest_of_a_gigabyte_takes_no_memory(cloister, cases, case):
    status, _, _, peak = measured.run(cloister, "image", "load", "-i", cases[case]["file"], seconds=60)
    assert status == 125
    assert peak < 200 << 20


def test_files_that_are_not_there(cloister, tmp_path):
    unchanged(cloister, "image", "load", "-i", tmp_path / "nowhere", names=[tmp_path / "nowhere", "No such file"])
    unchanged(cloister, "image", "load", "-i", tmp_path, names=[tmp_path])
    unchanged(cloister, "image", "load", names=["standard input", "not an image archive"])


def test_a_layer_that_is_not_a_tar(cloister, cases):
    case = cases["layer-is-not-a-tar"]
    cloister("image", "load", "-i", case["file"], check=0)
    unchanged(cloister, "run", "--rm", case["image"], "true", names=["layer sha256:", "tar"])
    cloister("image", "remove", case["image"], check=0)


def test_a_gzip_bomb(cloister, cases):
    case = cases["gzip-bomb"]
    cloister("image", "load", "-i", case["file"], check=0)
    unchanged(cloister, "run", "--rm", case["image"], "true", names=["layer sha256:", "unpacks to more than the disk's size"])
    cloister("image", "remove", case["image"], check=0)


def test_commands_that_are_not_in_the_image(cloister):
    sentence(cloister("run", "--rm", DEMO, "no-such-command"), "no-such-command", status=127)
    sentence(cloister("run", "--rm", DEMO, "/no/such/path"), "/no/such/path", status=127)
    sentence(cloister("run", "--rm", DEMO, "/etc/passwd"), "/etc/passwd", status=126)
    sentence(cloister("run", "--rm", "--entrypoint", "gone", DEMO), "gone", status=127)


# Full disks.

@pytest.fixture
def small_store(other):
    """A store on a filesystem of a size given in KiB, and what removes it."""
    other.images.mkdir()
    mounted = []

    def mount(kibibytes):
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k,mode=755", "cloister-small", other.images], check=True)
        mounted.append(True)
        return other
    yield mount
    if mounted:
        subprocess.run(["umount", other.images], check=True)


@needs_root
@pytest.mark.parametrize("way", ["file", "standard input"])
def test_a_disk_that_is_full_while_loading(small_store, demo_archive, way):
    space = small_store(600)
    if way == "file":
        text = sentence(space("image", "load", "-i", demo_archive), "no space left", space.images, "free space")
    else:
        text = sentence(space("image", "load", input=demo_archive.read_bytes()), "no space left", space.images, "free space")
    assert "ENOSPC" not in text
    assert not [name for name in contents(space) if name.startswith(("blobs", "tmp"))]
    assert json.loads(space("image", "list", "--format", "json", check=0).stdout) == []


@needs_root
def test_a_disk_that_is_full_while_unpacking(small_store, demo_archive):
    space = small_store(2048)
    space("image", "load", "-i", demo_archive, check=0)
    sentence(space("run", "--rm", DEMO, "true"), "space", space.images)
    assert not list((space.images / "layers").glob("*.img")) and not list((space.images / "layers").glob("*.building"))


@needs_root
def test_a_disk_that_is_full_while_running(small_store, demo_archive):
    space = small_store(24 << 10)
    space("image", "load", "-i", demo_archive, check=0)
    space("run", "--rm", DEMO, "true", check=0)
    script = "dd if=/dev/zero of=/big bs=1M count=64 conv=fsync 2>&1; echo status $?; echo still here"
    result = space("run", "--rm", DEMO, "sh", "-c", script)
    # The container is told, and its sandbox lives on to say so; so is the person.
    assert result.returncode == 0 and b"status 1\nstill here\n" in result.stdout, (result.stdout, result.stderr)
    assert b"space" in result.stderr and str(space.images).encode() in result.stderr, result.stderr
    # The store is as it was: the next one runs.
    space("run", "--rm", DEMO, "true", check=0)


# The machine.

def without(tmp_path, script):
    """What to put before a command so that it runs where `script` has changed the mounts. T is a directory to use."""
    return ["unshare", "-m", "--propagation", "private", "sh", "-ec", f"T={tmp_path}; {script}; exec \"$@\"", "sh"]


NO_KVM = """mkdir $T/dev; mount -t tmpfs -o mode=755 none $T/dev
for node in null zero full random urandom tty; do touch $T/dev/$node; mount --bind /dev/$node $T/dev/$node; done
for place in pts shm; do mkdir $T/dev/$place; mount --rbind /dev/$place $T/dev/$place; done
ln -s pts/ptmx $T/dev/ptmx; ln -s /proc/self/fd $T/dev/fd; mount --rbind $T/dev /dev"""
NO_QEMU = """mkdir $T/o; mount -t tmpfs none $T/o; mkdir $T/o/up $T/o/work
mount -t overlay -o lowerdir=/usr/bin,upperdir=$T/o/up,workdir=$T/o/work none /usr/bin; rm /usr/bin/qemu-system-x86_64"""


def run_without(space, tmp_path, script, *words):
    return subprocess.run(without(tmp_path, script) + space.command(*words), env=space.environment, capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=120)


@needs_root
def test_kvm_that_is_not_there(cloister, tmp_path):
    result = run_without(cloister, tmp_path, NO_KVM, "run", "--rm", "--accelerator", "kvm", DEMO, "true")
    sentence(result, "/dev/kvm", "emulation")


@needs_root
def test_a_kvm_device_that_is_none(cloister, tmp_path):
    result = run_without(cloister, tmp_path, "mount --bind /dev/null /dev/kvm", "run", "--rm", "--accelerator", "kvm", "--boot-timeout",
                         "5s", DEMO, "true")
    sentence(result, "KVM")


@needs_root
def test_without_kvm_auto_takes_emulation(cloister, tmp_path):
    result = run_without(cloister, tmp_path, NO_KVM, "run", "--rm", DEMO, "echo", "works")
    assert result.returncode == 0 and result.stdout == b"works\n", result.stderr
    assert b"/dev/kvm" in result.stderr and b"emulation" in result.stderr


@needs_root
@pytest.mark.parametrize("store", ["seen before", "never seen"])
def test_qemu_that_is_not_there(cloister, other, tmp_path, demo_archive, store):
    space = cloister
    if store == "never seen":
        space = other
        space("image", "load", "-i", demo_archive, check=0)
    result = run_without(space, tmp_path, NO_QEMU, "run", "--rm", "--accelerator", "emulation", DEMO, "true")
    sentence(result, "qemu-system-x86_64", "install")


def test_a_kvm_that_runs_no_kernel_ends_in_the_boot_timeout(cloister):
    if HARDWARE:
        pytest.skip("this machine has hardware virtualisation, so its KVM runs kernels")
    if not os.path.exists("/dev/kvm"):
        pytest.skip("this machine has no /dev/kvm at all")
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("this user may not open /dev/kvm")
    result = cloister("run", "--rm", "--accelerator", "kvm", "--boot-timeout", "5s", DEMO, "true")
    text = sentence(result, "5 s", "console", "likely cause", "--accelerator emulation")
    assert "printed nothing" in text or "\n  | " in text


def test_a_boot_timeout_that_is_too_short(cloister):
    result = cloister("run", "--rm", "--accelerator", "emulation", "--boot-timeout", "1ms", DEMO, "true")
    sentence(result, "within 1 ms", "--boot-timeout")


# Kernels.

def kernel_files(directory):
    """Files that are no kernel, by what is the matter with them."""
    vmlinux = (ROOT / "bin" / "vmlinux").read_bytes()
    setup = bytearray(4096)
    setup[0x1fe:0x200], setup[0x202:0x206] = b"\x55\xaa", b"HdrS"
    files = {
        "empty": (b"", "not a kernel"), "text": (b"root:x:0:0\n" * 100, "not a kernel"),
        "bzImage": (bytes(setup), "bzImage"), "program": (pathlib.Path("/bin/true").read_bytes(), "PVH"),
        "half an ELF header": (vmlinux[:40], "not a kernel"), "other machine": (vmlinux[:18] + b"\xb7" + vmlinux[19:4096], "x86-64"),
        "header alone": (vmlinux[:64], "headers"),
    }
    for name, (data, word) in files.items():
        path = directory / name.replace(" ", "-")
        path.write_bytes(data)
        yield name, path, word


def test_files_that_are_no_kernel(cloister, tmp_path):
    for name, path, word in kernel_files(tmp_path):
        unchanged(cloister, "run", "--rm", "--kernel", path, DEMO, "true", names=[path, word, "vmlinux"])
    unchanged(cloister, "run", "--rm", "--kernel", "/etc/passwd", DEMO, "true", names=["/etc/passwd", "not a kernel"])
    unchanged(cloister, "run", "--rm", "--kernel", tmp_path, DEMO, "true", names=[tmp_path])
    unchanged(cloister, "run", "--rm", "--kernel", tmp_path / "gone", DEMO, "true", names=[tmp_path / "gone"])


def test_a_kernel_that_was_cut_off(cloister, tmp_path):
    whole = (ROOT / "bin" / "vmlinux").read_bytes()
    (tmp_path / "vmlinux").write_bytes(whole[:len(whole) // 2])
    os.chmod(tmp_path / "vmlinux", 0o644)
    # Whether it is refused at sight or does not boot: in a sentence.
    sentence(cloister("run", "--rm", "--accelerator", "emulation", "--boot-timeout", "10s", "--kernel", tmp_path / "vmlinux", DEMO,
                      "true"))


# Configuration and directories.

@pytest.mark.parametrize("what, text, names", [
    ("path too long", {"state_directory": "/tmp/" + "x" * 120}, ["state_directory", "/tmp/xxx"]),
    ("relative path", {"state_directory": "here"}, ["state_directory"]),
    ("below a file", {"state_directory": "/etc/passwd/s"}, ["/etc/passwd/s", "state_directory"]),
    ("a file", {"state_directory": "/etc/passwd"}, ["/etc/passwd", "state_directory"]),
    ("everyone's", {"state_directory": "/tmp"}, ["/tmp"]),
    ("unknown key", {"memroy": "1g"}, ["memroy", "memory"]),
    ("bad size", {"memory": "lots"}, ["memory", "line 4", "128m"]),
    ("bad time", {"boot_timeout": "soon"}, ["boot_timeout", "line 3", "30s"]),
    ("bad accelerator", {"accelerator": "steam"}, ["accelerator", "line 4", "emulation"]),
    ("no kernel", {"kernel": "/no/such/vmlinux"}, ["/no/such/vmlinux"]),
    ("no initramfs", {"initramfs": "/no/such/initramfs"}, ["/no/such/initramfs"]),
])
def test_a_configuration_that_cannot_be(other, workspace, what, text, names):
    other.configure(**{"image_directory": workspace.images} | text)
    sentence(other("run", "--rm", "--accelerator", "emulation", DEMO, "true"), *names)
    if what == "path too long":
        assert not os.path.exists(text["state_directory"])


def test_a_configuration_that_is_no_toml(other):
    other.configuration.write_text("memory = [1\n")
    sentence(other("run", "--rm", DEMO, "true"), other.configuration)
    other.configuration.unlink()
    sentence(other("run", "--rm", DEMO, "true"), other.configuration)


# Flags.

BAD_FLAGS = {
    "unknown flag": (["--no-such-flag"], "--no-such-flag"),
    "misspelt flag": (["--memroy", "1g"], "--memory"),
    "unknown letter": (["-Z"], "-Z"),
    "value of a switch": (["--rm=maybe"], "--rm"),
    "memory too small": (["--memory", "4m"], "--memory"),
    "memory of nothing": (["--memory", "0"], "--memory"),
    "memory below nothing": (["--memory=-1"], "--memory"),
    "memory in words": (["--memory", "lots"], "lots"),
    "memory of an exabyte": (["--memory", "1000000t"], "--memory"),
    "memory twice what there is": (["--memory", f"{2 * MEBIBYTES}m"], f"{MEBIBYTES} MiB"),
    "memory of a hundred tebibytes": (["--memory", "100t"], f"{MEBIBYTES} MiB"),
    "cpus of nothing": (["--cpus", "0"], "--cpus"),
    "cpus below nothing": (["--cpus=-1"], "--cpus"),
    "cpus in words": (["--cpus", "many"], "many"),
    "more cpus than there are": (["--cpus", "900"], "--cpus"),
    "pids limit in words": (["--pids-limit", "few"], "few"),
    "name with a slash": (["--name", "a/b"], "a/b"),
    "name of dots": (["--name", ".."], ".."),
    "name that is long": (["--name", "x" * 65], "--name"),
    "name of nothing": (["--name", ""], "--name"),
    "env without a name": (["-e", "=x"], "=x"),
    "env file that is not there": (["--env-file", "/no/such/file"], "/no/such/file"),
    "env file that is a directory": (["--env-file", "/etc"], "/etc"),
    "workdir that is relative": (["-w", "here"], "here"),
    "user that is not there": (["-u", "stranger"], "stranger"),
    "group that is not there": (["-u", "0:strangers"], "strangers"),
    "user below nothing": (["-u", "-1"], "-1"),
    "user beyond numbers": (["-u", "99999999999"], "99999999999"),
    "hostname with a space": (["--hostname", "a b"], "a b"),
    "hostname that is long": (["--hostname", "x" * 65], "--hostname"),
    "tmpfs that is relative": (["--tmpfs", "tmp"], "tmp"),
    "tmpfs on everything": (["--tmpfs", "/"], "--tmpfs"),
    "tmpfs upwards": (["--tmpfs", "/a/../../b"], "--tmpfs"),
    "tmpfs with a strange option": (["--tmpfs", "/tmp:color=red"], "color"),
    "tmpfs with a bad size": (["--tmpfs", "/tmp:size=big"], "/tmp"),
    "ulimit without a value": (["--ulimit", "nofile"], "nofile"),
    "ulimit that is not there": (["--ulimit", "patience=1"], "patience"),
    "ulimit upside down": (["--ulimit", "nofile=10:5"], "nofile"),
    "ulimit in words": (["--ulimit", "nofile=many"], "many"),
    "capability that is not there": (["--cap-add", "FLY"], "FLY"),
    "capability not there to drop": (["--cap-drop", "FLY"], "FLY"),
    "security option that is not there": (["--security-opt", "trust=me"], "trust=me"),
    "seccomp profile that is not there": (["--security-opt", "seccomp=/no/such/profile"], "/no/such/profile"),
    "seccomp profile that is no JSON": (["--security-opt", "seccomp=/etc/passwd"], "/etc/passwd"),
    "network that is not there": (["--network", "host"], "host"),
    "accelerator that is not there": (["--accelerator", "steam"], "steam"),
    "timeout in words": (["--timeout", "soon"], "soon"),
    "timeout of nothing": (["--timeout", "0"], "--timeout"),
    "boot timeout of nothing": (["--boot-timeout", "0s"], "--boot-timeout"),
    "timings as what is not there": (["--timings=xml"], "xml"),
    "terminal without one": (["-i", "-t"], "TTY"),
}


@pytest.mark.parametrize("name", BAD_FLAGS)
def test_a_flag_that_cannot_be(cloister, name):
    words, named = BAD_FLAGS[name]
    sentence(cloister("run", "--rm", "--accelerator", "emulation", *words, DEMO, "true"), named)


@pytest.mark.parametrize("words", [
    ["run"], ["run", "--memory"], ["image"], ["image", "load", "--no-such"], ["image", "load", "extra"], ["image", "frobnicate"],
    ["image", "inspect"], ["image", "remove"], ["image", "list", "--format", "xml"], ["image", "list", "--filter", "x"], ["frobnicate"],
    ["version", "extra"], ["doctor", "--no-such"], [],
], ids=lambda words: " ".join(words) or "nothing")
def test_commands_that_cannot_be(cloister, words):
    result = cloister(*words, check=125)
    assert result.stderr.decode().splitlines()[-1].startswith("cloister: ") and result.stdout == b""
