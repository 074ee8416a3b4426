"""CRI: containers of a pod"""

import json
import os
import re
import threading
import time

from cri import CREATED, EXITED, READY, RUNNING, refused, until
from imagekit import SHAPED


def test_life_cycle(cri):
    pod = cri.pod()
    assert pod.state == READY
    container = pod.container("echo started; while :; do sleep 0.1; done", start=False)
    assert container.state == CREATED
    container.start()
    status = container.status
    assert status.state == RUNNING
    assert 0 < status.created_at <= status.started_at <= time.time_ns()
    container.until_output("started")
    container.stop()
    status = container.status
    assert (status.state, status.exit_code) == (EXITED, 137)
    assert status.finished_at >= status.started_at
    container.remove()
    pod.remove()
    assert not cri.runtime.ListPodSandbox(filter={"id": pod.id}).items


def test_stop_asks_before_it_kills(inside):
    container = inside.container("trap 'echo asked; exit 7' TERM; echo ready; while :; do sleep 0.05; done")
    container.until_output("ready")
    container.stop(timeout=30)
    assert container.status.exit_code == 7
    container.until_output("asked")


def test_exit_codes_and_reasons(inside):
    for code, reason in [(0, "Completed"), (3, "Error")]:
        container = inside.container(f"exit {code}")
        assert container.wait() == code
        assert container.status.reason == reason


def test_a_command_that_does_not_exist(inside):
    container = inside.container("no-such-command", "-x", start=False)
    with refused("no-such-command"):
        container.start()
    until(lambda: container.state == EXITED, "the end")
    assert container.status.exit_code in (127, 128)


def test_logs(inside):
    container = inside.container("echo to out; echo to err >&2; head -c 40000 /dev/zero | tr '\\0' x; echo; printf unfinished")
    assert container.wait() == 0
    assert container.output() == "to out\n" + "x" * 40000 + "\nunfinished"
    assert container.output("stderr") == "to err\n"


def test_log_rotation(inside):
    container = inside.container("echo first; while ! test -e /tmp/go; do sleep 0.05; done; echo second")
    container.until_output("first")
    os.rename(container.log_file, f"{container.log_file}.1")
    container.runtime.ReopenContainerLog(container_id=container.id)
    container.exec_sync("touch /tmp/go")
    assert container.wait() == 0
    assert container.output() == "second\n"


def test_exec_sync(box):
    result = box.exec_sync("echo out; echo err >&2; exit 5", check=5)
    assert (result.stdout, result.stderr) == (b"out\n", b"err\n")


def test_exec_sync_that_takes_too_long(box, nothing_left):
    with refused("timed out", "timeout", "DeadlineExceeded", "deadline"):
        box.exec_sync("sleep 31", timeout=1)
    until(lambda: "sleep 31" not in box.sh("ps"), "the end of what took too long")


def test_exec_sync_of_much_output(box):
    assert len(box.exec_sync("head -c 3000000 /dev/zero").stdout) == 3000000


def test_exec_sync_many_at_once(box):
    results = {}

    def one(number):
        results[number] = box.exec_sync(f"echo {number}").stdout
    threads = [threading.Thread(target=one, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: b"%d\n" % number for number in range(16)}


def test_exec(box):
    session = box.exec("echo out; echo err >&2; exit 3")
    assert session.exit_code() == 3
    assert session.output.read_to_end() == b"out\n"
    assert session.errors.read_to_end() == b"err\n"
    session.close()


def test_exec_with_input_and_its_end(box):
    session = box.exec("wc -c", stdin=True)
    session.input.send(b"x" * 1000000)
    session.input.close()
    assert session.output.read_to_end().strip() == b"1000000"
    assert session.exit_code() == 0
    session.close()


def test_exec_with_a_terminal(box):
    session = box.exec("sh", stdin=True, tty=True)
    session.resize(101, 43)
    session.input.send(b"echo re''ady\n")
    session.output.read_until(b"ready")
    until(lambda: size(session) == b"43 101", "the terminal's size")
    session.input.send(b"exit 4\n")
    assert session.exit_code() == 4
    session.close()


def size(session):
    """Of the terminal. What was typed comes back as well, and is not taken for the answer."""
    session.input.send(b"echo si''ze $(stty size) there\n")
    answer = re.compile(rb"size (\d+ \d+) there")
    return answer.search(session.output.wait(answer.search))[1]


def test_attach(inside):
    container = inside.container("while read word; do echo got $word; test $word = end && exit 6; done", stdin=True,
                                 stdin_once=True)
    session = container.attach(stdin=True)
    session.input.send(b"hello\n")
    session.output.read_until(b"got hello")
    session.input.send(b"end\n")
    session.output.read_until(b"got end")
    assert container.wait() == 6
    session.close()
    assert container.output() == "got hello\ngot end\n"


def test_attach_to_a_terminal(inside):
    container = inside.container("sh", "-i", tty=True, stdin=True)
    session = container.attach(stdin=True, tty=True)
    session.input.send(b"test -t 0 && echo ter''minal\n")
    session.output.read_until(b"terminal")
    session.input.send(b"exit 2\n")
    assert container.wait() == 2
    session.close()


def test_input_ends_with_the_first_attachment(inside):
    container = inside.container("cat; echo ended", stdin=True, stdin_once=True)
    session = container.attach(stdin=True)
    session.input.send(b"some\n")
    session.output.read_until(b"some")
    session.input.close()
    assert container.wait() == 0
    session.close()
    assert container.output() == "some\nended\n"


def test_restart(inside):
    """What the kubelet does with a container that ended: a new attempt in the same pod."""
    for attempt in range(2):
        container = inside.container("test -e /mark && echo stale; touch /mark; exit 9", name="again", attempt=attempt)
        assert container.wait() == 9
        assert container.output() == ""
        container.remove()
        inside.containers.remove(container)


def test_the_last_container_can_be_replaced(cri):
    pod = cri.pod()
    for word in ("one", "two"):
        container = pod.container(f"echo {word}")
        assert container.wait() == 0
        assert container.until_output(word)
        container.remove()


def test_init_container_and_a_shared_directory(cri, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    pod = cri.pod()
    first = pod.container("echo prepared > /shared/state", mounts=[(shared, "/shared")])
    assert first.wait() == 0
    writer = pod.container("echo more >> /shared/state; while :; do sleep 1; done", mounts=[(shared, "/shared")])
    reader = pod.container("until grep -q more /shared/state; do sleep 0.1; done; cat /shared/state; while :; do sleep 1; done",
                           mounts=[(shared, "/shared")])
    third = pod.container("ls /shared; while :; do sleep 1; done", mounts=[(shared, "/shared", True)])
    assert reader.until_output("more") == "prepared\nmore\n"
    third.until_output("state")
    assert third.exec_sync("touch /shared/no", check=1)
    assert (shared / "state").read_text() == "prepared\nmore\n"
    states = {item.id: item.state for item in cri.runtime.ListContainers(filter={"pod_sandbox_id": pod.id}).containers}
    assert states == {first.id: EXITED, writer.id: RUNNING, reader.id: RUNNING, third.id: RUNNING}


def test_an_image_says_what_runs(inside):
    container = inside.container(image=SHAPED)
    container.until_output("image")
    assert container.sh("id -u; id -g; pwd; echo $FROM_IMAGE").split() == ["1000", "44", "/home/demo", "yes"]
    assert container.sh("cat /from-image/seed") == "seed\n"


def test_a_stop_signal_of_the_image(inside):
    container = inside.container("trap 'exit 21' USR1; echo ready; while :; do sleep 0.05; done", image=SHAPED)
    container.until_output("ready")
    container.stop(timeout=30)
    assert container.status.exit_code == 21


def test_environment_and_working_directory(inside):
    container = inside.container("echo $A $B; pwd", envs=[{"key": "A", "value": "one"}, {"key": "B", "value": "two three"}],
                                 working_dir="/var/tmp")
    assert container.wait() == 0
    assert container.output() == "one two three\n/var/tmp\n"


def test_labels_and_annotations_come_back(inside):
    container = inside.container("true", labels={"l": "1"}, annotations={"a": "2"})
    container.wait()
    assert dict(container.status.labels) == {"l": "1"} and dict(container.status.annotations) == {"a": "2"}


def test_stats(inside):
    """CPU, memory and disk of a container: the memory is what the shell keeps, not the file just written."""
    container = inside.container("head -c 8000000 /dev/zero > /file; kept=$(head -c 2000000 /dev/zero | tr '\\0' x); "
                                 "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo ready; sleep 600; echo $kept")
    container.until_output("ready", 60)
    stats = container.stats
    assert stats.attributes.id == container.id
    assert stats.cpu.usage_core_nano_seconds.value > 1_000_000
    # The kernel may be 64 pages behind in counting which files are inactive.
    assert 1500000 < stats.memory.working_set_bytes.value < 512 << 20
    assert container.id in {part.attributes.id for part in
                            container.runtime.ListContainerStats(filter={"pod_sandbox_id": inside.id}).stats}


def test_writable_layer_is_counted(inside):
    container = inside.container("head -c 8000000 /dev/zero > /file; sync; echo ready; sleep 600")
    container.until_output("ready", 60)
    until(lambda: container.stats.writable_layer.used_bytes.value >= 8000000, "8 MB")


def test_limits(inside):
    container = inside.container("sleep 600", resources={"memory_limit_in_bytes": 64 << 20, "cpu_quota": 20000,
                                                         "cpu_period": 100000, "cpu_shares": 300})
    if container.exec_sync("test -e /sys/fs/cgroup/memory/memory.limit_in_bytes", check=None).exit_code == 0:
        assert container.sh("cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/cpu/cpu.cfs_quota_us").split() \
            == [str(64 << 20), "20000"]
    else:
        assert container.sh("cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.max").split() \
            == [str(64 << 20), "20000", "100000"]


def test_limits_can_change(inside):
    container = inside.container("sleep 600", resources={"memory_limit_in_bytes": 64 << 20})
    container.runtime.UpdateContainerResources(
        container_id=container.id, linux={"memory_limit_in_bytes": 96 << 20, "memory_swap_limit_in_bytes": 96 << 20})
    assert container.sh("cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max") \
        == f"{96 << 20}\n"


def test_out_of_memory(inside):
    # Not before it has been started, which is when runc's shim begins to look.
    container = inside.container("until test -e /tmp/go; do sleep 0.05; done; exec tail /dev/zero",
                                 resources={"memory_limit_in_bytes": 32 << 20})
    container.exec_sync("touch /tmp/go")
    assert container.wait(120) == 137
    until(lambda: container.status.reason == "OOMKilled", "its reason")


def test_devices(inside):
    container = inside.container("sleep 600")
    # Docker's and containerd's `/dev/core` is there where the kernel has /proc/kcore.
    assert [name for name in container.sh("ls /dev").split() if name != "core"] == [
        "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty",
        "urandom", "zero"]


def test_status_says_everything(inside):
    container = inside.container("sleep 600")
    answer = container.runtime.ContainerStatus(container_id=container.id, verbose=True)
    info = json.loads(answer.info["info"])
    assert info["pid"] > 0 and info["runtimeType"].startswith("io.containerd.")
    assert answer.status.image.image
