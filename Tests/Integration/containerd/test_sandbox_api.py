"""containerd's Sandbox service, asked of the shim itself as containerd 2 does: Debian's containerd does not know it yet."""

import json
import os
import subprocess

import pytest

from cri import until
from daemon import ROOT
from ttrpc import Client, Refused

SHIM = str(ROOT / "bin" / "containerd-shim-cloister-v2")
SANDBOX, TASK = "containerd.runtime.sandbox.v1.Sandbox", "containerd.task.v3.Task"
POD = "io.kubernetes.cri.sandbox-id"


@pytest.fixture(autouse=True)
def ours_alone(handler):
    if handler != "cloister":
        pytest.skip("runc's shim has no sandboxes")


class Shim:
    def __init__(self, daemon, directory):
        self.daemon, self.directory = daemon, directory

    def run(self, bundle, name, verb):
        bundle.mkdir(exist_ok=True)
        environment = self.daemon.environment | {"MAX_SHIM_VERSION": "3", "TTRPC_ADDRESS": ""}
        return subprocess.run(
            [SHIM, "-namespace", "sandboxes", "-address", "/nowhere", "-id", name, "-bundle", str(bundle), verb],
            cwd=bundle, env=environment, capture_output=True, stdin=subprocess.DEVNULL, timeout=60)

    def start(self, bundle, name):
        result = self.run(bundle, name, "start")
        assert result.returncode == 0, result.stderr
        parameters = json.loads(result.stdout)
        assert parameters["version"] == 3 and parameters["protocol"] == "ttrpc"
        return Client(parameters["address"].removeprefix("unix://"))


@pytest.fixture
def shim(daemon, tmp_path, nothing_left):
    shim = Shim(daemon, tmp_path)
    yield shim
    shim.run(tmp_path / "pod", "pod", "delete")


def bundle(directory, rootfs, server, command):
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps({
        "ociVersion": "1.0.2", "annotations": {POD: "pod"}, "root": {"path": str(rootfs)},
        "process": {"args": ["sh", "-c", command], "env": ["PATH=/usr/bin:/bin"], "cwd": "/"},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
        "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "network", "path": "/pods/network"}] + [
            {"type": kind, "path": f"/proc/{server}/ns/{kind}"} for kind in ("ipc", "uts")]}}))
    return directory


def test_a_pod_and_two_containers(shim, rootfs, tmp_path):
    call = shim.start(tmp_path / "pod", "pod")
    with pytest.raises(Refused, match="not been created"):
        call(SANDBOX, "StartSandbox", (1, "pod"))
    # PodSandboxConfig: its hostname.
    call(SANDBOX, "CreateSandbox", (1, "pod"), (2, str(tmp_path / "pod")),
         (4, [(1, "runtime.v1.PodSandboxConfig"), (2, [(2, "podhost")])]))
    assert call(SANDBOX, "SandboxStatus", (1, "pod"))[3] == b"SANDBOX_NOTREADY"
    server = call(SANDBOX, "StartSandbox", (1, "pod"))[1]
    status = call(SANDBOX, "SandboxStatus", (1, "pod"))
    assert (status[1], status[2], status[3]) == (b"pod", server, b"SANDBOX_READY")
    call(SANDBOX, "PingSandbox", (1, "pod"))
    assert call(SANDBOX, "Platform", (1, "pod"))[1].startswith(b"\x0a\x05linux")

    for name in ("one", "two"):
        output = tmp_path / f"{name}.log"
        place = bundle(tmp_path / name, rootfs, server, "hostname; exit 3")
        call(TASK, "Create", (1, name), (2, str(place)), (6, f"file://{output}"))
        call(TASK, "Start", (1, name))
        assert call(TASK, "Wait", (1, name))[1] == 3
        assert call(TASK, "Delete", (1, name))[2] == 3
        # The second shares what the first made for the pod.
        assert output.read_text() == "podhost\n"
        # The pod outlives its containers.
        call(TASK, "Shutdown", (1, name))
        assert call(SANDBOX, "SandboxStatus", (1, "pod"))[3] == b"SANDBOX_READY"

    call(SANDBOX, "StopSandbox", (1, "pod"))
    assert call(SANDBOX, "WaitSandbox", (1, "pod")).get(1, 0) == 0
    assert call(SANDBOX, "SandboxStatus", (1, "pod"))[3] == b"SANDBOX_NOTREADY"
    call(SANDBOX, "ShutdownSandbox", (1, "pod"))
    until(lambda: not os.path.exists(f"/proc/{server}"), "the server's end")


def test_a_pod_that_is_given_up_before_it_is_made(shim, tmp_path):
    call = shim.start(tmp_path / "pod", "pod")
    with pytest.raises((Refused, AssertionError, ConnectionError)):
        call(SANDBOX, "ShutdownSandbox", (1, "pod"))


def test_the_hosts_network_is_refused(shim, tmp_path):
    call = shim.start(tmp_path / "pod", "pod")
    # linux.security_context.namespace_options.network is NODE.
    with pytest.raises(Refused, match="host's network"):
        call(SANDBOX, "CreateSandbox", (1, "pod"), (2, str(tmp_path / "pod")),
             (4, [(1, "runtime.v1.PodSandboxConfig"), (2, [(8, [(2, [(1, [(1, 2)])])])])]))
