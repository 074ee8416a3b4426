"""containerd's Sandbox service, asked of the shim itself as containerd 2 does: Debian's containerd does not know it yet."""

import concurrent.futures
import json
import os
import signal
import subprocess

import pytest

import leftovers
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

    def open(self, bundle, name, verb, **options):
        bundle.mkdir(exist_ok=True)
        environment = self.daemon.environment | {"MAX_SHIM_VERSION": "3", "TTRPC_ADDRESS": ""}
        return subprocess.Popen(
            [SHIM, "-namespace", "sandboxes", "-address", "/nowhere", "-id", name, "-bundle", str(bundle), verb],
            cwd=bundle, env=environment, stdin=subprocess.DEVNULL, **options)

    def run(self, bundle, name, verb):
        process = self.open(bundle, name, verb, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        output, error = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, output, error)

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


def test_two_first_containers_at_once(shim, rootfs, tmp_path):
    call = shim.start(tmp_path / "pod", "pod")
    call(SANDBOX, "CreateSandbox", (1, "pod"), (2, str(tmp_path / "pod")),
         (4, [(1, "runtime.v1.PodSandboxConfig"), (2, [(2, "podhost")])]))
    server = call(SANDBOX, "StartSandbox", (1, "pod"))[1]
    names = ["one", "two", "three"]
    places = {name: bundle(tmp_path / name, rootfs, server, "hostname; exec sleep 1000") for name in names}
    clients = {name: shim.start(places[name], name) for name in names}

    def make(name):
        clients[name](TASK, "Create", (1, name), (2, str(places[name])), (6, f"file://{tmp_path}/{name}.log"))
        clients[name](TASK, "Start", (1, name))
    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(make, names))
    for name in names:
        until(lambda: (tmp_path / f"{name}.log").read_text() == "podhost\n", "the container's output")
        call(TASK, "Kill", (1, name), (3, signal.SIGKILL))
        assert call(TASK, "Wait", (1, name))[1] == 137
        call(TASK, "Delete", (1, name))
    call(SANDBOX, "ShutdownSandbox", (1, "pod"))
    until(lambda: not os.path.exists(f"/proc/{server}"), "the server's end")


@pytest.mark.parametrize("what", ["sandbox", "container"])
def test_a_start_that_is_killed_before_it_answers(shim, rootfs, tmp_path, what):
    """Then containerd knows of no server."""
    place = tmp_path / "pod"
    if what == "container":
        config = bundle(place, rootfs, 1, "true") / "config.json"
        config.write_text(config.read_text().replace(', "path": "/pods/network"', ""))
    before = set(leftovers.processes())

    def servers():
        return [pid for pid, line in leftovers.processes().items() if pid not in before and "serve" in line.split()]
    reader, full = os.pipe()
    os.set_blocking(full, False)
    while True:
        try:
            os.write(full, bytes(4096))
        except BlockingIOError:
            break
    os.set_blocking(full, True)
    process = shim.open(place, "pod", "start", stdout=full)
    # What it does last before it answers, which it cannot now.
    until((place / "address").exists, "the server's start")
    assert servers()
    process.kill()
    process.wait()
    until(lambda: not servers(), "the server's end")
    os.close(reader)
    os.close(full)
