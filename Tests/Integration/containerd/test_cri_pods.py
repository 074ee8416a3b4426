"""CRI: pods"""

import signal
import threading

from cri import EXITED, NOT_READY, READY, RUNNING, until


def test_twenty_pods_at_once(cri):
    """They come, run something, and go; the check after the test sees whether anything is left."""
    failures, outputs = [], {}

    def one(number):
        try:
            pod = cri.pod(f"many{number}")
            container = pod.container(f"echo I am {number}; sleep 600")
            outputs[number] = container.until_output("I am", 120)
            pod.remove()
        except Exception as error:
            failures.append(error)
    threads = [threading.Thread(target=one, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    assert outputs == {number: f"I am {number}\n" for number in range(20)}


def test_containerd_restarted_under_a_pod(daemon, cri, pod, box):
    other = cri.pod()
    container = other.container("while :; do date +%s%N; sleep 0.1; done")
    container.until_output("1")
    for number in (signal.SIGTERM, signal.SIGKILL):
        daemon.stop(number)
        daemon.start()
        assert other.state == READY and container.state == RUNNING
        assert container.sh("echo still here") == "still here\n"
        assert box.sh("echo this too") == "this too\n"
    lines = container.output().count("\n")
    until(lambda: container.output().count("\n") > lines, "the log to go on")
    later = other.container("echo new")
    assert later.wait() == 0
    container.stop()
    assert container.state == EXITED


def test_a_container_that_ends_while_containerd_is_away(daemon, cri, tmp_path):
    pod = cri.pod()
    container = pod.container("echo ready; while ! test -e /volume/end; do sleep 0.05; done; touch /volume/ended; exit 5",
                              mounts=[(tmp_path, "/volume")])
    container.until_output("ready")
    daemon.stop()
    (tmp_path / "end").touch()
    until((tmp_path / "ended").exists, "the end")
    daemon.start()
    assert container.wait() == 5


def test_stop_of_a_pod_stops_its_containers(cri):
    pod = cri.pod()
    containers = [pod.container("sleep 600") for _ in range(3)]
    pod.stop()
    pod.stop()
    assert pod.state == NOT_READY
    assert [container.state for container in containers] == [EXITED] * 3


def test_a_pod_is_removed_with_running_containers(cri):
    pod = cri.pod()
    pod.container("sleep 600")
    cri.runtime.RemovePodSandbox(pod_sandbox_id=pod.id)
    cri.pods.remove(pod)
    assert not cri.runtime.ListContainers(filter={"pod_sandbox_id": pod.id}).containers


def test_a_pod_without_containers(cri):
    pod = cri.pod()
    assert pod.ip
    pod.remove()


def test_pod_status_and_lists(cri):
    pod = cri.pod("listed", labels={"app": "x"}, annotations={"note": "y"})
    status = pod.status.status
    assert status.metadata.name == "listed" and dict(status.labels) == {"app": "x"}
    assert dict(status.annotations) == {"note": "y"} and status.runtime_handler == cri.handler
    listed = cri.runtime.ListPodSandbox(filter={"label_selector": {"app": "x"}}).items
    assert [item.id for item in listed] == [pod.id]


def test_pod_stats(cri):
    pod = cri.pod()
    pod.container("sleep 600")
    stats = cri.runtime.PodSandboxStats(pod_sandbox_id=pod.id).stats
    assert stats.linux.memory.working_set_bytes.value > 0
    assert stats.linux.cpu.usage_core_nano_seconds.value > 0
    assert len(stats.linux.containers) == 1
    assert stats.linux.network.default_interface.name == "eth0"


def test_calls_at_once_on_one_container(cri):
    """Whatever comes first: each call ends, and the container is gone."""
    pod = cri.pod()
    container = pod.container("sleep 600")

    def quietly(call):
        try:
            call()
        except Exception:  # Some must lose.
            pass
    calls = [container.stop, container.stop, lambda: container.exec_sync("true", check=None), lambda: container.stats,
             lambda: container.state, container.remove, container.stop]
    threads = [threading.Thread(target=quietly, args=(call,)) for call in calls * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    quietly(container.remove)
    assert not cri.runtime.ListContainers(filter={"id": container.id}).containers


def test_images(cri):
    listed = {tag for image in cri.images.ListImages().images for tag in image.repo_tags}
    assert "docker.io/library/cloister-demo:latest" in listed
    status = cri.images.ImageStatus(image={"image": "docker.io/library/cloister-demo:latest"}, verbose=True).image
    assert status.size > 0
