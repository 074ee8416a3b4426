"""The sandbox of a pod: its size, its place among the host's cgroups, its configuration. With Cloister alone."""

import contextlib
import os
import pathlib
import re

import pytest

import leftovers
from cri import CGROUP, refused

MIB = 1 << 20


@pytest.fixture(scope="module")
def handler():
    """In place of that for both."""
    return "cloister"


@contextlib.contextmanager
def configured(daemon, text):
    """Cloister's configuration with these lines too, in place of those of the same keys."""
    path = daemon.directory / "cloister.toml"
    before = path.read_text()
    keys = {line.partition("=")[0].strip() for line in text.splitlines()}
    kept = [line for line in before.splitlines() if line.partition("=")[0].strip() not in keys]
    path.write_text("\n".join([*kept, text, ""]))
    try:
        yield
    finally:
        path.write_text(before)


def memory(text):
    """MiB of a guest, by its /proc/meminfo. Its kernel keeps some 18 of them to itself."""
    return int(re.search(r"MemTotal: *(\d+) kB", text)[1]) / 1024


def fits(text, mebibytes):
    assert mebibytes * 0.85 - 10 < memory(text) < mebibytes, text


class TestSize:
    def test_a_pod_is_sized_by_its_limits(self, cri):
        pod = cri.pod(linux={"resources": {
            "memory_limit_in_bytes": 256 * MIB, "cpu_quota": 150000, "cpu_period": 100000}})
        box = pod.container("sleep 1000")
        fits(box.sh("cat /proc/meminfo"), 256 + 64)
        assert int(box.sh("nproc")) == min(2, os.cpu_count())

    def test_a_pod_without_limits_is_as_configured(self, daemon, cri):
        with configured(daemon, 'memory = "200m"\ncpus = 1'):
            box = cri.pod().container("sleep 1000")
        fits(box.sh("cat /proc/meminfo"), 200)
        assert int(box.sh("nproc")) == 1

    def test_a_container_of_its_own_is_sized_by_its_limits(self, ctr):
        flags = ["--memory-limit", str(256 * MIB), "--cpus", "1.5"]
        text = ctr.run("cat /proc/meminfo; nproc", flags=flags).stdout.decode()
        fits(text, 256 + 64)
        assert int(text.split()[-1]) == min(2, os.cpu_count())


def hierarchies(pid):
    """The paths of a process's cgroups, by hierarchy."""
    lines = pathlib.Path(f"/proc/{pid}/cgroup").read_text().split()
    return {line.split(":")[1]: line.split(":", 2)[2] for line in lines}


def test_the_sandbox_is_in_the_pods_cgroup(daemon, cri):
    """Limits that the kubelet sets on a pod's cgroup hold for all that the pod costs the host, and nothing of it is left."""
    before = set(leftovers.processes())
    pod = cri.pod()
    box = pod.container("sleep 1000")
    mine = {pid: line for pid, line in leftovers.processes().items() if pid not in before}
    guardian, = {int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) for pid, line in mine.items()
                 if "containerd-shim-cloister-v2 serve" in line} & set(mine)
    inside = {pid: line for pid, line in mine.items() if pid != guardian}
    assert len([line for line in inside.values() if "qemu-system" in line]) == 1
    assert any("virtiofsd" in line for line in inside.values())
    for pid, line in inside.items():
        # As seen from this process's own place, whatever hierarchies there are.
        for path in hierarchies(pid).values():
            assert path.endswith(f"{CGROUP}/{pod.id}"), (line, hierarchies(pid))
    assert not any(CGROUP in path for path in hierarchies(guardian).values())
    assert box.sh("echo fine") == "fine\n"
    pod.remove()
    trees = pathlib.Path("/sys/fs/cgroup")
    assert not [path for path in [*trees.glob(f"*{CGROUP}/{pod.id}"), *trees.glob(f".{CGROUP}/{pod.id}")] if path.exists()]


class TestConfiguration:
    ALLOWED = 'pod_annotations = ["io.cloister.memory", "io.cloister.cpus"]'

    def test_annotations_are_refused_unless_allowed(self, cri):
        with refused("annotation io.cloister.memory is not allowed"):
            cri.pod(annotations={"io.cloister.memory": "200m"})

    def test_annotations_that_are_allowed_are_taken(self, daemon, cri):
        with configured(daemon, self.ALLOWED):
            box = cri.pod(annotations={"io.cloister.memory": "200m"}).container("sleep 1000")
        fits(box.sh("cat /proc/meminfo"), 200)

    @pytest.mark.parametrize("key", ["kernel", "initramfs", "accelerator", "state_directory", "virtiofsd"])
    def test_annotations_that_nobody_can_allow(self, daemon, cri, key):
        with configured(daemon, self.ALLOWED), refused(f"annotation io.cloister.{key} is none that a pod may have"):
            cri.pod(annotations={f"io.cloister.{key}": "/etc/passwd"})

    def test_values_of_annotations_are_checked(self, daemon, cri):
        with configured(daemon, self.ALLOWED), refused('annotation io.cloister.memory must be a size from "128m" to "1t"'):
            cri.pod(annotations={"io.cloister.memory": "1k"})

    def test_unknown_keys_are_errors(self, daemon, cri):
        with configured(daemon, 'memry = "1g"'), refused('there is no key "memry"; did you mean memory?'):
            cri.pod()

    def test_a_runtime_class_may_have_a_file_of_its_own(self, daemon, ctr, tmp_path):
        path = tmp_path / "class.toml"
        own = (daemon.directory / "cloister.toml").read_text()
        # What all classes have in common is set in one place.
        with configured(daemon, 'memory = "300m"'):
            lines = [line for line in own.splitlines() if "state_directory" not in line]
            path.write_text("\n".join([*lines, 'memory = "200m"', ""]))
            result = ctr.run("cat /proc/meminfo", flags=["--runtime-config-path", str(path)], check=None)
        assert result.returncode == 0, result.stderr
        fits(result.stdout.decode(), 200)

    def test_emulation_is_never_a_surprise(self, daemon, cri):
        if re.search(r"^flags.*\b(vmx|svm)\b", open("/proc/cpuinfo").read(), re.M) and os.access("/dev/kvm", os.W_OK):
            pytest.skip("KVM works on this machine")
        with configured(daemon, 'accelerator = "auto"'), refused("KVM cannot be used"):
            cri.pod()
