"""The kill matrix of pods: whichever process of a pod is killed, at whatever moment"""

import os
import pathlib
import signal
import threading

import grpc
import pytest

import leftovers
from cri import EXITED, NOT_READY, until

#: How long containerd may take to notice.
NOTICE_SECONDS = 20
PROCESSES = {"runc": ["server"], "cloister": ["server", "guardian", "qemu", "virtiofsd"]}


def parent(pid):
    return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def find(which, before):
    """The pid of such a process that was not there before, or None. runc's shim stands for the server."""
    found = {pid: line for pid, line in leftovers.processes().items() if pid not in before}
    servers = [pid for pid, line in found.items()
               if os.path.basename(line.split(" ")[0]).startswith("containerd-shim") and "start" not in line.split()
               and "delete" not in line.split()]
    for pid, line in found.items():
        name = os.path.basename(line.split(" ")[0])
        if which == "qemu" and name.startswith("qemu-system") and " -S " in line or which == name:
            return pid
        try:
            if pid in servers and "serve" in line.split():
                is_server = parent(pid) in servers
                if is_server == (which == "server") and which in ("server", "guardian"):
                    return pid
            elif pid in servers and which == "server" and "-runc-" in name:
                return pid
        except OSError:
            continue
    return None


@pytest.fixture
def victim(handler, which):
    if which not in PROCESSES[handler]:
        pytest.skip("runc has no such process")
    before = set(leftovers.processes())
    return lambda: find(which, before)


def quietly(call, errors):
    try:
        call()
    except (grpc.RpcError, OSError, AssertionError) as error:
        errors.append(error)


def strike(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


which = pytest.mark.parametrize("which", PROCESSES["cloister"])


@which
def test_while_it_is_made(cri, victim, which):
    if cri.handler == "runc":
        pytest.skip("runc may leave a control group then")
    errors, pods = [], []
    thread = threading.Thread(target=quietly, args=(lambda: pods.append(cri.pod("made")), errors))
    thread.start()
    strike(until(lambda: victim() or not thread.is_alive(), which))
    thread.join(120)
    assert not thread.is_alive()
    # The pod may have been ready first. What is left of one that failed can be removed.
    assert pods or errors
    for item in cri.runtime.ListPodSandbox(filter={"label_selector": {}}).items:
        if item.metadata.name == "made" and not pods:
            cri.runtime.StopPodSandbox(pod_sandbox_id=item.id)
            cri.runtime.RemovePodSandbox(pod_sandbox_id=item.id)


@pytest.mark.parametrize("which", ["guardian"])
def test_the_guardian_has_one_thread(cri, victim):
    """With another, the server could hear of its death while a part of it lives, and leave the pod's files to it."""
    cri.pod()
    assert len(os.listdir(f"/proc/{victim()}/task")) == 1


@which
def test_while_it_runs(cri, victim, which):
    pod = cri.pod()
    container = pod.container("sleep 600")
    strike(victim())
    until(lambda: container.state == EXITED, "the container's end", NOTICE_SECONDS)
    assert container.status.exit_code != 0
    if cri.handler != "runc":
        until(lambda: pod.state == NOT_READY, "the pod's end", NOTICE_SECONDS)
    container.remove()
    pod.remove()


@which
def test_while_something_executes(cri, victim, which):
    pod = cri.pod()
    container = pod.container("sleep 600")
    session = container.exec("echo started; sleep 600")
    session.output.read_until(b"started")
    strike(victim())
    session.output.read_to_end(NOTICE_SECONDS)
    until(lambda: container.state == EXITED, "the container's end", NOTICE_SECONDS)
    session.close()
    pod.remove()


@which
def test_while_it_stops(cri, victim, which):
    pod = cri.pod()
    container = pod.container("trap 'echo asked' TERM; echo ready; while :; do sleep 0.1; done")
    container.until_output("ready")
    errors = []
    thread = threading.Thread(target=quietly, args=(lambda: container.stop(timeout=8), errors))
    thread.start()
    container.until_output("asked")
    strike(victim())
    thread.join(60)
    assert not thread.is_alive()
    until(lambda: container.state == EXITED, "the container's end", NOTICE_SECONDS)
    pod.remove()


def test_a_panic_of_the_guest(cri, handler):
    """The kernel of the pod, with its agent, ends."""
    if handler == "runc":
        pytest.skip("it would be the host's kernel")
    pod = cri.pod(security={"privileged": True})
    container = pod.container("sleep 600", security={"privileged": True}, resources={"memory_limit_in_bytes": 64 << 20})
    session = container.exec("echo 2 > /proc/sys/vm/panic_on_oom; tail /dev/zero; echo no panic; sleep 600")
    until(lambda: container.state == EXITED, "the container's end", NOTICE_SECONDS)
    assert b"no panic" not in session.output.read_to_end(NOTICE_SECONDS)
    session.close()
    until(lambda: pod.state == NOT_READY, "the pod's end", NOTICE_SECONDS)
    pod.remove()
