"""`ctr run`: one container"""

import hashlib
import json
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

from cri import until
from ctrkit import Events, Terminal
from streams import held


@pytest.mark.parametrize("code", [0, 1, 42, 255])
def test_exit_codes(ctr, code):
    assert ctr.run(f"exit {code}", check=None).returncode == code


def test_a_command_that_does_not_exist_is_an_error(ctr):
    result = ctr.run("no-such-command", "-x", check=None)
    assert result.returncode == 1
    assert b"no-such-command" in result.stderr


def test_output_and_errors_are_apart(ctr):
    result = ctr.run("echo to out; echo to err >&2")
    assert (result.stdout, result.stderr) == (b"to out\n", b"to err\n")


def test_input(ctr):
    """Without its end: this version of `ctr run` never closes it, only `ctr tasks exec` does."""
    assert ctr.run("head -n 1; echo end", input=b"through the pipe\n").stdout == b"through the pipe\nend\n"


def test_last_words_are_not_lost(ctr):
    """A process that writes and exits at once."""
    assert ctr.run_to_the_end("head -c 300000 /dev/zero; echo last") == (0, b"\0" * 300000 + b"last\n", b"")


def test_environment_and_working_directory(ctr):
    assert ctr.sh('echo "$GREETING $PWD"', flags=["--env", "GREETING=hello", "--cwd", "/home"]) == "hello /home\n"


def test_hostname_and_process_ids(ctr):
    """A container without a name of its own has its host's."""
    assert ctr.sh("echo $$; hostname") == f"1\n{socket.gethostname()}\n"


class TestInOne:
    """Much about one container, so that it need not be started again."""

    @pytest.fixture(scope="class")
    def task(self, daemon, handler):
        from conftest import CGROUP, TYPES, Ctr
        client = Ctr(daemon, TYPES[handler], CGROUP.strip("/"))
        yield client.task("tail", "-f", "/dev/null", flags=["--memory-limit", str(128 << 20)])
        client.clean_up()

    @pytest.fixture(autouse=True)
    def check(self, task, nothing_left):
        pass

    def test_exec_exit_codes(self, task):
        for code in (0, 7, 255):
            task.ctr_exec(f"exit {code}", check=code)

    def test_exec_stdio(self, task):
        result = task.exec("cat; echo error >&2", input=b"some input")
        assert (result.stdout, result.stderr) == (b"some input", b"error\n")

    def test_exec_user_and_directory(self, task):
        assert task.exec("id -u; id -g; pwd", user={"uid": 1000, "gid": 44}, cwd="/tmp").stdout == b"1000\n44\n/tmp\n"

    def test_exec_of_what_does_not_exist(self, task):
        result = task.ctr_exec("no-such-command", "-x", check=1)
        assert b"no-such-command" in result.stderr

    def test_exec_with_a_terminal(self, task):
        terminal = Terminal(task.ctr.daemon.ctr_words(
            "tasks", "exec", "-t", "--exec-id", "term", "--fifo-dir", task.ctr.daemon.directory / "fifo", task.id, "sh",
            namespace=task.ctr.namespace), task.ctr.daemon.environment)
        terminal.write(b"test -t 0 && test -t 1 && echo is a term''inal\n")
        terminal.expect(b"is a terminal")
        terminal.write(b"exit 5\n")
        assert terminal.wait() == 5

    def test_exec_many_at_once(self, task):
        results = {}

        def one(number):
            results[number] = task.exec(f"printf {number}; exit {number}", check=None)
        threads = [threading.Thread(target=one, args=(number,)) for number in range(1, 21)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {number: (result.returncode, result.stdout) for number, result in results.items()} == {
            number: (number, b"%d" % number) for number in range(1, 21)}, results

    def test_processes(self, task):
        task.exec("sleep 123456 & sleep 123456 & true")
        listed = task.tasks.ListPids(container_id=task.id).processes
        assert len(listed) >= 3, listed
        assert all(process.pid > 0 for process in listed)
        until(lambda: len(task.exec("pidof sleep", check=None).stdout.split()) == 2, "both programs")
        task.exec("killall sleep")

    def test_pause_and_resume(self, task):
        task.exec("touch /tmp/run; (while test -e /tmp/run; do date +%s%N > /tmp/ticks; usleep 20000; done) & true")
        task.tasks.Pause(container_id=task.id)
        try:
            assert task.status() == "PAUSED"
            with pytest.raises(Exception, match="(?i)paused"):
                task.tasks.Exec(container_id=task.id, exec_id="while-paused", spec={
                    "type_url": "types.containerd.io/opencontainers/runtime-spec/1/Process",
                    "value": json.dumps({"args": ["true"], "cwd": "/", "user": {"uid": 0, "gid": 0}}).encode()})
        finally:
            task.tasks.Resume(container_id=task.id)
        assert task.status() == "RUNNING"
        first = task.sh("cat /tmp/ticks")
        until(lambda: task.sh("cat /tmp/ticks") != first, "ticks after resuming")
        task.exec("rm /tmp/run")

    def test_metrics(self, task):
        task.exec("head -c 20000000 /dev/zero | tail -c 1 >/dev/null; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done")
        metrics = task.metrics()
        assert metrics.pids.current >= 1
        if hasattr(metrics.memory.usage, "limit"):
            assert 100 << 10 < metrics.memory.usage.usage < 128 << 20
            assert metrics.memory.usage.limit == 128 << 20
            assert metrics.cpu.usage.total > 10_000_000
        else:
            assert 100 << 10 < metrics.memory.usage < 128 << 20
            assert metrics.memory.usage_limit == 128 << 20
            assert metrics.cpu.usage_usec > 10_000

    def test_update_of_limits(self, task):
        task.update(memory={"limit": 96 << 20}, pids={"limit": 17}, cpu={"shares": 512, "quota": 50000, "period": 100000})
        metrics = task.metrics()
        assert metrics.pids.limit == 17
        assert (metrics.memory.usage.limit if hasattr(metrics.memory.usage, "limit") else metrics.memory.usage_limit) \
            == 96 << 20
        # 17 processes may be, so this many cannot.
        assert task.exec("for i in $(seq 40); do sleep 5 & done", check=None).returncode != 0
        task.update(pids={"limit": 1000})
        task.exec("killall sleep", check=None)

    def test_a_signal_to_an_exec(self, task):
        spec = json.dumps({"args": ["sleep", "600"], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}}).encode()
        task.tasks.Exec(container_id=task.id, exec_id="victim", spec={
            "type_url": "types.containerd.io/opencontainers/runtime-spec/1/Process", "value": spec})
        assert task.tasks.Start(container_id=task.id, exec_id="victim").pid > 0
        task.kill(signal.SIGTERM, exec_id="victim")
        assert task.tasks.Wait(container_id=task.id, exec_id="victim").exit_status == 128 + signal.SIGTERM
        task.tasks.DeleteProcess(container_id=task.id, exec_id="victim")
        assert task.status() == "RUNNING"

    def test_an_exec_that_is_not_started_can_be_deleted(self, task):
        task.tasks.Exec(container_id=task.id, exec_id="never", spec={
            "type_url": "types.containerd.io/opencontainers/runtime-spec/1/Process",
            "value": json.dumps({"args": ["true"], "cwd": "/", "user": {"uid": 0, "gid": 0}}).encode()})
        task.tasks.DeleteProcess(container_id=task.id, exec_id="never")

    def test_a_terminal_of_an_exec_can_be_resized(self, task):
        terminal = Terminal(task.ctr.daemon.ctr_words(
            "tasks", "exec", "-t", "--exec-id", "size", "--fifo-dir", task.ctr.daemon.directory / "fifo", task.id, "sh",
            namespace=task.ctr.namespace), task.ctr.daemon.environment, rows=33, columns=111)
        # `ctr` sets its own terminal's size once the shell runs.
        terminal.write(b"until [ \"$(stty size)\" = '33 111' ]; do sleep 0.05; done; echo re''ady\n")
        terminal.expect(b"ready")
        task.tasks.ResizePty(container_id=task.id, exec_id="size", width=123, height=45)
        terminal.write(b"stty size\n")
        terminal.expect(b"45 123")
        terminal.write(b"exit\n")
        terminal.wait()


def test_a_terminal(ctr):
    words, _ = ctr.words("sh", "-c", "test -t 0; until [ \"$(stty size)\" = '33 111' ]; do sleep 0.05; done; stty size; read word; echo got $word; read end; exit 3", flags=["--rm", "-t"])
    terminal = Terminal(words, ctr.daemon.environment, rows=33, columns=111)
    terminal.expect(b"33 111")
    terminal.write(b"hello\n")
    terminal.expect(b"got hello")
    terminal.write(b"end\n")
    assert terminal.wait() == 3


def test_control_c_on_a_terminal(ctr):
    words, _ = ctr.words("sh", "-c", "trap 'echo trapped; read end; exit 9' INT; echo ready; while :; do sleep 1; done",
                         flags=["--rm", "-t"])
    terminal = Terminal(words, ctr.daemon.environment)
    terminal.expect(b"ready")
    terminal.write(b"\x03")
    terminal.expect(b"trapped")
    terminal.write(b"end\n")
    assert terminal.wait() == 9


CATCHABLE = sorted(number for number in signal.valid_signals() if number not in (
    signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, 32, 33))


def test_kill_with_every_signal(ctr):
    """Those that can be caught, to one process that counts them."""
    task = ctr.task("for s in %s; do trap \"echo $s >> /tmp/got\" $s; done; touch /tmp/ready; while :; do sleep 0.1; done"
                    % " ".join(str(int(number)) for number in CATCHABLE))
    until(lambda: task.exec("test -e /tmp/ready", check=None).returncode == 0, "ready")
    for number in CATCHABLE:
        task.kill(number)
    expected = "\n".join(str(int(number)) for number in CATCHABLE)
    until(lambda: task.sh("sort -n /tmp/got | uniq").strip() == expected, "every signal")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP, signal.SIGUSR1], ids=lambda n: n.name)
def test_kill_ends_with_128_and_the_signal(ctr, number):
    # `sleep` as first process has no handlers, and a first process of a namespace ignores such signals, SIGKILL aside.
    task = ctr.task("trap 'exit %d' TERM HUP USR1; while :; do sleep 0.1; done" % (128 + number))
    # A shell has one of its own before.
    wanted = sum(1 << each - 1 for each in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1))
    until(lambda: int(task.sh("grep SigCgt /proc/1/status").split()[1], 16) & wanted == wanted, "handlers")
    task.kill(number)
    assert task.wait() == 128 + number
    assert task.status() == "STOPPED"


def test_kill_all_processes(ctr):
    task = ctr.task("sleep 600 & sleep 600 & trap : TERM; wait; wait; wait")
    until(lambda: len(task.exec("pidof sleep", check=None).stdout.split()) == 2, "two processes")
    task.kill(signal.SIGKILL, all=True)
    assert task.wait() == 137


def test_kill_of_an_ended_task_is_not_found(ctr):
    task = ctr.task("exit 0")
    assert task.wait() == 0
    with pytest.raises(Exception, match="(?i)not found|already finished|NOT_FOUND"):
        task.kill(signal.SIGTERM)


def test_the_order_of_events(ctr):
    events = Events(ctr.daemon, ctr.namespace)
    try:
        task = ctr.task("trap 'exit 3' TERM; touch /tmp/ready; while :; do sleep 0.05; done")
        task.exec("while ! test -e /tmp/ready; do sleep 0.05; done; exit 4", check=4)
        ctr.tasks.Pause(container_id=task.id)
        ctr.tasks.Resume(container_id=task.id)
        task.exec("true")
        task.kill(signal.SIGTERM)
        first = events.wait("exit", task.id, exit_status=3)
        assert first.pid > 0
        ctr.clean_up()
        events.wait("delete", task.id)
        topics = events.topics(task.id)
        executed = ["exec-added", "exec-started", "exit"]
        assert topics == ["create", "start", *executed, "paused", "resumed", *executed, "exit", "delete"]
    finally:
        events.close()


def test_out_of_memory_is_an_event_and_137(ctr):
    events = Events(ctr.daemon, ctr.namespace)
    try:
        # Not before it has been started, which is when runc's shim begins to look.
        task = ctr.task("until test -e /tmp/go; do sleep 0.05; done; exec tail /dev/zero", flags=["--memory-limit", str(64 << 20)])
        task.exec("touch /tmp/go")
        assert task.wait(120) == 137
        events.wait("oom", task.id)
    finally:
        events.close()


def test_read_only(ctr):
    result = ctr.run("touch /file", flags=["--read-only"], check=1)
    assert b"Read-only" in result.stderr


def test_mounts(ctr, tmp_path):
    (tmp_path / "file").write_text("from the host\n")
    (tmp_path / "directory").mkdir()
    flags = ["--mount", f"type=bind,src={tmp_path}/directory,dst=/data,options=rbind:rw",
             "--mount", f"type=bind,src={tmp_path}/file,dst=/etc/file,options=rbind:ro",
             "--mount", "type=tmpfs,src=tmpfs,dst=/scratch,options=size=1m:mode=1777"]
    output = ctr.sh("cat /etc/file; echo written > /data/answer; echo no > /etc/file; "
                    "grep -c '/scratch tmpfs.*size=1024k' /proc/mounts", flags=flags)
    assert output == "from the host\n1\n"
    assert (tmp_path / "directory" / "answer").read_text() == "written\n"
    assert (tmp_path / "file").read_text() == "from the host\n"


CAPABILITIES = "grep CapEff /proc/self/status | cut -f2"
NET_ADMIN, NET_RAW = 1 << 12, 1 << 13


def test_capabilities(ctr):
    standard = int(ctr.sh(CAPABILITIES), 16)
    assert standard & NET_RAW and not standard & NET_ADMIN
    changed = int(ctr.sh(CAPABILITIES, flags=["--cap-add", "CAP_NET_ADMIN", "--cap-drop", "CAP_NET_RAW"]), 16)
    assert changed == (standard | NET_ADMIN) & ~NET_RAW


def test_seccomp(ctr, tmp_path):
    assert ctr.sh("grep -w Seccomp /proc/self/status") == "Seccomp:\t0\n"
    assert ctr.sh("grep -w Seccomp /proc/self/status", flags=["--seccomp"]) == "Seccomp:\t2\n"
    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}))
    result = ctr.run("mkdir /tmp/x", flags=["--seccomp", "--seccomp-profile", profile], check=1)
    assert b"not permitted" in result.stderr


def test_a_seccomp_profile_that_cannot_be(ctr, tmp_path):
    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_FROWN"}))
    result = ctr.run("true", flags=["--seccomp", "--seccomp-profile", profile], check=1)
    assert b"seccomp" in result.stderr and b"SCMP_ACT_FROWN" in result.stderr


def test_no_new_privileges(ctr):
    assert ctr.sh("grep NoNewPrivs /proc/self/status") == "NoNewPrivs:\t1\n"
    assert ctr.sh("grep NoNewPrivs /proc/self/status", flags=["--allow-new-privs"]) == "NoNewPrivs:\t0\n"


def test_masked_and_read_only_paths(ctr):
    assert ctr.sh("wc -c < /proc/timer_list; ls /proc/scsi /sys/firmware | grep -c '^[a-z]'; true").split() == ["0", "0"]
    assert ctr.run("echo 1 > /proc/sys/kernel/domainname", check=1).stderr


def test_net_host_is_given_or_refused(ctr, handler):
    result = ctr.run("ls /sys/class/net", flags=["--net-host"], check=None)
    if handler != "runc":
        assert result.returncode != 0
        assert b"network" in result.stderr
    else:
        assert "crt0" in result.stdout.decode() or "lo" in result.stdout.decode()


def test_no_network(ctr, handler):
    """A namespace that nobody connected to anything."""
    names = ctr.sh("ls /sys/class/net").split()
    if handler != "runc":
        assert names == ["eth0", "lo"]
        shown = ctr.sh("ip addr show eth0")
        assert ",UP" not in shown and "inet" not in shown
    else:
        assert names == ["lo"]


def test_user(ctr, rootfs, tmp_path):
    """By a specification, which is how `ctr` of this version can say it."""
    spec = specification(ctr, rootfs)
    spec["process"] |= {"user": {"uid": 1000, "gid": 44, "additionalGids": [44, 100]},
                        "args": held("id -u; id -g; id -G; pwd"), "cwd": "/home/demo"}
    path = tmp_path / "config.json"
    path.write_text(json.dumps(spec))
    assert ctr.run(image=None, flags=["--config", path], is_held=True).stdout == b"1000\n44\n44 100\n/home/demo\n"


def specification(ctr, rootfs):
    """A plain OCI runtime specification on a directory."""
    return {
        "ociVersion": "1.0.2", "root": {"path": str(rootfs)}, "hostname": "given",
        "process": {"args": ["true"], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
                   {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}],
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount", "network")]}}


def test_a_directory_as_root(ctr, rootfs):
    result = ctr.run("echo here > /made; cat /etc/os-release", image=str(rootfs), flags=["--rootfs"])
    assert b"cloister-demo" in result.stdout
    assert (rootfs / "made").read_text() == "here\n"


def test_hostname(ctr, rootfs, tmp_path):
    spec = specification(ctr, rootfs)
    spec["process"]["args"] = held("hostname")
    path = tmp_path / "config.json"
    path.write_text(json.dumps(spec))
    assert ctr.run(image=None, flags=["--config", path], is_held=True).stdout == b"given\n"


def test_long_names(ctr):
    """A 64 character id, which is what CRI gives."""
    assert ctr.run("echo fine", id="a" * 64).stdout == b"fine\n"


def test_a_log_in_a_file(ctr, handler, tmp_path):
    # runc's shim may close the file at the first stream's end and lose the other's last line:
    # github.com/containerd/containerd/issues/3118. With it, the streams stay open.
    end = "; sleep 600" if handler == "runc" else ""
    log = tmp_path / "log"
    words, id = ctr.words(f"echo to the log; echo and errors >&2{end}", flags=["--detach", "--log-uri", f"file://{log}"])
    ctr.started.append(id)
    subprocess.run(words, env=ctr.daemon.environment, check=True, capture_output=True, timeout=90)
    if handler != "runc":
        assert ctr.tasks.Wait(container_id=id).exit_status == 0
    until(lambda: log.exists() and sorted(log.read_text().splitlines()) == ["and errors", "to the log"], "the log")


def test_a_log_in_a_program(ctr, tmp_path):
    """`binary://`: it gets the streams as descriptors 3 and 4, and says by closing 5 that it is ready."""
    program, log = tmp_path / "logger", tmp_path / "log"
    program.write_text('#!/bin/sh\nexec 5>&-\necho "$CONTAINER_ID $CONTAINER_NAMESPACE" > "$2"\ncat <&3 >> "$2"\n')
    program.chmod(0o755)
    words, id = ctr.words("echo to the program", flags=["--detach", "--log-uri", f"binary://{program}?to={log}"])
    ctr.started.append(id)
    subprocess.run(words, env=ctr.daemon.environment, check=True, capture_output=True, timeout=90)
    assert ctr.tasks.Wait(container_id=id).exit_status == 0
    until(lambda: log.exists() and log.read_text() == f"{id} {ctr.namespace}\nto the program\n", "the log")


def test_a_network_by_cni(ctr):
    """`ctr run --cni` runs the plugins between Create and Start."""
    output = ctr.sh("ip addr show eth0; ping -c 1 10.88.77.1 >/dev/null && echo reached", flags=["--cni"])
    assert "inet 10.88.77." in output and "reached" in output


def test_input_that_stays_open_does_not_keep_a_task(ctr):
    process, _ = ctr.open("exit 6")
    assert process.wait(60) == 6
    process.communicate()


def test_two_containers_of_one_name_in_turn(ctr):
    for _ in range(2):
        assert ctr.run("echo again", id="same").stdout == b"again\n"


def test_an_output_that_nobody_reads_does_not_keep_the_other(ctr):
    process, _ = ctr.open("head -c 3000000 /dev/zero & echo error >&2; wait; read line; :")
    assert process.stderr.readline() == b"error\n"
    # To its end, and then the container's: ctr before 1.6.22 throws away what it has not read when a container ends.
    assert len(process.stdout.read(3000000)) == 3000000
    process.stdin.close()
    assert process.stdout.read() == b""
    assert process.wait(60) == 0
    process.stderr.close()


@pytest.mark.parametrize("output", ["", "while :; do echo more; sleep 0.01; done", "yes"], ids=["silent", "trickle", "flood"])
def test_an_exec_whose_child_keeps_its_output(ctr, output):
    """The child is the container's, and the exec is over without it."""
    task = ctr.task("exec sleep 1000")
    child = f"({output or 'exec sleep 1000'}) &"
    before = time.monotonic()
    task.ctr_exec(f"{child} echo begun", stdout=subprocess.DEVNULL, capture_output=False)
    assert time.monotonic() - before < 30
    assert task.sh("echo fine") == "fine\n"


@pytest.mark.parametrize(("direction", "mebibytes"), [("in", 128), ("out", 1024)], ids=["128 MiB in", "1 GiB out"])
def test_stdio_of(ctr, direction, mebibytes):
    """So much through a pipe, byte for byte."""
    block = os.urandom(1 << 20)
    expected = hashlib.md5()
    for _ in range(mebibytes):
        expected.update(block)
    if direction == "in":
        process, _ = ctr.open(f"head -c {mebibytes << 20} | md5sum; read line; :")

        def feed():
            for _ in range(mebibytes):
                process.stdin.write(block)
            process.stdin.flush()
        feeder = threading.Thread(target=feed)
        feeder.start()
        assert process.stdout.readline().split()[0].decode() == expected.hexdigest()
        feeder.join()
    else:
        process, _ = ctr.open(f"dd if=/dev/zero bs=1M count={mebibytes} 2>/dev/null; read line; :")
        zeros = bytes(1 << 20)
        for _ in range(mebibytes):
            assert process.stdout.read(1 << 20) == zeros
    # To its end, and then the container's, as above.
    process.stdin.close()
    assert process.stdout.read() == b""
    assert process.wait(60) == 0
    process.stderr.close()
