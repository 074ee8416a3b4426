"""A small CRI client: what the kubelet does, as objects. Requests are dictionaries in the shape of CRI's messages."""

import contextlib
import itertools
import pathlib
import secrets
import time

import grpc

from imagekit import TOOLS
from spdy import PortForward, Session

CREATED, RUNNING, EXITED = 0, 1, 2
READY, NOT_READY = 0, 1
#: NamespaceMode
POD, CONTAINER, NODE, TARGET = 0, 1, 2, 3
PRIVATE, RSLAVE, RSHARED = 0, 1, 2
#: All cgroups of the tests hang below this one.
CGROUP = f"/crt{secrets.token_hex(4)}"
counter = itertools.count(1)


def until(condition, what, seconds=30):
    """Waits for what no event tells of. `what` is that in words, or something that says it when it did not come."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what() if callable(what) else what}: not within {seconds} s"
        time.sleep(0.03)
    return value


class CRI:
    """The runtime and image services, for pods of one runtime handler."""

    def __init__(self, daemon, handler, directory):
        self.daemon, self.handler, self.directory = daemon, handler, pathlib.Path(directory)
        self.runtime = daemon.service("runtime.v1.RuntimeService")
        self.images = daemon.service("runtime.v1.ImageService")
        self.pods = []

    def pod(self, name=None, linux=None, namespaces=None, security=None, **config):
        """Runs a pod sandbox. `namespaces` and `security` go into its security context."""
        name = name or f"pod{next(counter)}"
        logs = self.directory / name
        logs.mkdir(parents=True, exist_ok=True)
        security = dict(security or {})
        # The kubelet's usual wish: each container has processes of its own.
        security["namespace_options"] = {"pid": CONTAINER, **(namespaces or {})}
        config = {
            "metadata": {"name": name, "uid": f"uid-{name}", "namespace": "tests"}, "hostname": name,
            "log_directory": str(logs),
            "linux": {"cgroup_parent": CGROUP, "security_context": security, **(linux or {})}, **config}
        return Pod(self, config)

    def remove_pods(self):
        for pod in self.pods[:]:
            pod.remove()


class Pod:
    def __init__(self, cri, config):
        self.cri, self.config, self.containers = cri, config, []
        self.id = cri.runtime.RunPodSandbox(config=config, runtime_handler=cri.handler).pod_sandbox_id
        cri.pods.append(self)

    @property
    def status(self):
        return self.cri.runtime.PodSandboxStatus(pod_sandbox_id=self.id, verbose=True)

    @property
    def state(self):
        return self.status.status.state

    @property
    def ip(self):
        return self.status.status.network.ip

    def container(self, *command, start=True, **more):
        """Creates a container of the tools image, and starts it. `command` is run by `sh -c` if it is one word."""
        container = Container(self, command, **more)
        if start:
            container.start()
        return container

    def port_forward(self):
        return PortForward(self.cri.runtime.PortForward(pod_sandbox_id=self.id).url)

    def stop(self):
        self.cri.runtime.StopPodSandbox(pod_sandbox_id=self.id)

    def remove(self):
        self.stop()
        self.cri.runtime.RemovePodSandbox(pod_sandbox_id=self.id)
        if self in self.cri.pods:
            self.cri.pods.remove(self)


class Container:
    def __init__(self, pod, command, name=None, image=TOOLS, attempt=0, mounts=(), security=None, resources=None,
                 namespaces=None, linux=None, **config):
        self.pod, self.runtime = pod, pod.cri.runtime
        if len(command) == 1:
            command = ["sh", "-c", *command]
        security = dict(security or {})
        # As the kubelet does: every container is told about its pod's namespaces.
        pods = pod.config["linux"]["security_context"]["namespace_options"]
        security["namespace_options"] = {**pods, **(namespaces or {})}
        name = name or f"c{next(counter)}"
        self.log = f"{name}_{attempt}.log"
        self.config = {
            "metadata": {"name": name, "attempt": attempt}, "image": {"image": image}, "log_path": self.log,
            "mounts": [self.mount(*mount) for mount in mounts],
            "linux": {"security_context": security, "resources": resources or {}, **(linux or {})}, **config}
        if command:
            self.config.setdefault("command", list(command))
        self.id = self.runtime.CreateContainer(
            pod_sandbox_id=pod.id, config=self.config, sandbox_config=pod.config).container_id
        pod.containers.append(self)

    @staticmethod
    def mount(host, guest, readonly=False, propagation=PRIVATE):
        return {"host_path": str(host), "container_path": guest, "readonly": readonly, "propagation": propagation}

    def start(self):
        self.runtime.StartContainer(container_id=self.id)
        return self

    @property
    def status(self):
        return self.runtime.ContainerStatus(container_id=self.id, verbose=True).status

    @property
    def state(self):
        return self.status.state

    def wait(self, seconds=60):
        """Waits for its end, and that of its log, which containerd finishes by the way; returns the exit code."""
        until(lambda: self.state == EXITED, f"the end of {self.config['command']}", seconds)
        until(lambda: not self.pod.cri.daemon.has_open(self.log_file), f"the end of {self.log}", seconds)
        return self.status.exit_code

    def exec_sync(self, *command, timeout=60, check=0):
        if len(command) == 1:
            command = ["sh", "-c", *command]
        result = self.runtime.ExecSync(container_id=self.id, cmd=command, timeout=timeout)
        if check is not None:
            assert result.exit_code == check, (command, result.exit_code, result.stdout, result.stderr)
        return result

    def sh(self, script):
        """The output of a script that succeeds, as text."""
        return self.exec_sync(script).stdout.decode()

    def exec(self, *command, stdin=False, tty=False):
        if len(command) == 1:
            command = ["sh", "-c", *command]
        return Session(self.runtime.Exec(
            container_id=self.id, cmd=command, stdin=stdin, stdout=True, stderr=not tty, tty=tty).url, stdin, tty)

    def attach(self, stdin=False, tty=False):
        return Session(self.runtime.Attach(
            container_id=self.id, stdin=stdin, stdout=True, stderr=not tty, tty=tty).url, stdin, tty)

    @property
    def log_file(self):
        return pathlib.Path(self.pod.config["log_directory"]) / self.log

    def log_lines(self):
        """Pairs of stream and text, from the log as the kubelet reads it."""
        lines = []
        # What follows the last line's end is being written.
        for line in self.log_file.read_text(errors="replace").split("\n")[:-1] if self.log_file.exists() else []:
            _, stream, tag, text = line.split(" ", 3)
            lines.append((stream, tag, text))
        return lines

    def output(self, stream="stdout"):
        """What it wrote, with lines that were split joined again."""
        return "".join(text + ("\n" if tag == "F" else "") for name, tag, text in self.log_lines() if name == stream)

    def until_output(self, text, seconds=30):
        return until(lambda: text in self.output() and self.output(), f"output {text!r}", seconds)

    def stop(self, timeout=0):
        self.runtime.StopContainer(container_id=self.id, timeout=timeout)

    def remove(self):
        self.runtime.RemoveContainer(container_id=self.id)

    @property
    def stats(self):
        return self.runtime.ContainerStats(container_id=self.id).stats


@contextlib.contextmanager
def refused(*words):
    """The call inside must be refused, in a sentence with one of these words."""
    try:
        yield
    except grpc.RpcError as error:
        assert not words or any(word in error.details() for word in words), error.details()
    else:
        raise AssertionError("it was not refused")
