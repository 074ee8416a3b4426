"""`cloister run`: what each flag does to the container, and what comes back."""

import json
import os
import re
import subprocess
import time

import pytest

from conftest import DEMO


def test_a_container_has_a_kernel_of_its_own(cloister):
    assert "cloister" in cloister.run(DEMO, "uname", "-r")
    assert cloister.run(DEMO, "uname", "-r").strip() != os.uname().release


@pytest.mark.parametrize("command, status", [
    (["true"], 0), (["false"], 1), (["sh", "-c", "exit 42"], 42), (["sh", "-c", "exit 255"], 255),
    # The first process of a PID namespace cannot kill itself (pid_namespaces(7)), here as under runc.
    (["sh", "-c", "kill -9 $$; exit 5"], 5),
    (["no-such-command"], 127), (["/no/such/path"], 127), (["/etc/passwd"], 126), (["/etc"], 126),
])
def test_the_exit_status_is_passed_on(cloister, command, status):
    result = cloister("run", "--rm", DEMO, *command, check=status)
    if status in (126, 127):
        message = result.stderr.decode()
        assert command[0] in message and message.startswith("cloister: ")


def test_an_end_by_a_signal_is_128_and_the_signal(cloister):
    cloister("run", "--rm", "--ulimit", "cpu=1:1", DEMO, "sh", "-c", "while :; do :; done", check=137)


def test_output_and_error_are_kept_apart(cloister):
    result = cloister("run", "--rm", DEMO, "sh", "-c", "echo out; echo err >&2", check=0)
    assert result.stdout == b"out\n"
    assert b"err\n" in result.stderr and b"out" not in result.stderr


@pytest.mark.parametrize("size", [0, 1, 4096, 1 << 20, (64 << 20) + 7])
def test_standard_input_of_any_size_comes_back(cloister, size):
    data = os.urandom(size)
    result = cloister("run", "-i", "--rm", DEMO, "cat", check=0, input=data)
    assert result.stdout == data


def test_without_i_standard_input_is_empty(cloister):
    assert cloister("run", "--rm", DEMO, "cat", check=0, input=b"unseen").stdout == b""


def test_the_end_of_input_reaches_the_program_at_once(cloister):
    process = cloister.start("run", "-i", "--rm", DEMO, "sh", "-c", "echo ready; cat; echo done", stdin=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    process.stdin.write(b"one\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"one\n"
    process.stdin.close()
    assert process.stdout.read() == b"done\n"
    assert process.wait(30) == 0


def test_files_as_streams_are_appended_to_and_read_from_where_they_are(cloister, tmp_path):
    (tmp_path / "in").write_bytes(b"skipped\nread\n")
    (tmp_path / "out").write_bytes(b"before\n")
    with open(tmp_path / "in", "rb", buffering=0) as source, open(tmp_path / "out", "ab", buffering=0) as sink:
        source.read(8)
        subprocess.run(cloister.command("run", "-i", "--rm", DEMO, "cat"), stdin=source, stdout=sink, check=True,
                       env=cloister.environment)
        assert source.tell() == 13
    assert (tmp_path / "out").read_bytes() == b"before\nread\n"


def test_a_writer_whose_reader_has_gone_is_told(cloister):
    process = cloister.start("run", "--rm", DEMO, "sh", "-c", "yes | head -c 100000000; echo status $? >&2")
    process.stdout.read(1000)
    process.stdout.close()
    process.stderr.read()
    assert process.wait(60) is not None


FLAGS = {
    "env": (["-e", "A=1", "-e", "B=two words"], "echo $A,$B", "1,two words"),
    "env from outside": (["-e", "FROM_OUTSIDE"], "echo $FROM_OUTSIDE", "yes"),
    "workdir": (["-w", "/tmp"], "pwd", "/tmp"),
    "workdir that is not there": (["-w", "/made/here"], "pwd", "/made/here"),
    "user by number": (["-u", "1234:5678"], "id -u; id -g", "1234\n5678"),
    "user by name": (["-u", "nobody"], "id -un; echo $HOME", "nobody\n/"),
    "entrypoint": (["--entrypoint", "echo"], None, "-c echo no"),
    "read-only": (["--read-only"], "touch /x 2>&1 | grep -c 'Read-only'", "1"),
    "writable": ([], "echo written > /x && cat /x", "written"),
    "hostname": (["--hostname", "box"], "hostname", "box"),
    "tmpfs": (["--tmpfs", "/scratch:size=1m"], "df -k /scratch | tail -1 | awk '{print $1, $2}'", "tmpfs 1024"),
    "tmpfs on read-only": (["--read-only", "--tmpfs", "/tmp"], "echo a > /tmp/a && cat /tmp/a", "a"),
    "ulimit": (["--ulimit", "nofile=100:200"], "ulimit -Sn; ulimit -Hn", "100\n200"),
    "pids limit": (["--pids-limit", "20"], "cat /sys/fs/cgroup/pids.max", "20"),
    "memory limit": (["--memory", "64m"], "cat /sys/fs/cgroup/memory.max", str(64 << 20)),
    "cpu limit": (["--cpus", "0.5"], "cat /sys/fs/cgroup/cpu.max", "50000 100000"),
    "two cpus": (["--cpus", "2"], "nproc", "2"),
    "network none": (["--network", "none"], "ls /sys/class/net", "lo"),
    "cap-drop all": (["--cap-drop", "ALL"], "grep CapEff /proc/self/status", "CapEff:\t0000000000000000"),
    "cap-add": (["--cap-drop", "ALL", "--cap-add", "NET_ADMIN"], "grep CapEff /proc/self/status",
                "CapEff:\t0000000000001000"),
    "default capabilities": ([], "grep CapBnd /proc/self/status", "CapBnd:\t00000000a80425fb"),
    "capabilities of a user": (["-u", "1234"], "grep CapEff /proc/self/status", "CapEff:\t0000000000000000"),
    "seccomp on": ([], "grep Seccomp: /proc/self/status", "Seccomp:\t2"),
    "seccomp unconfined": (["--security-opt", "seccomp=unconfined"], "grep Seccomp: /proc/self/status", "Seccomp:\t0"),
    "no-new-privileges": (["--security-opt", "no-new-privileges"], "grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t1"),
    "new privileges by default": ([], "grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t0"),
    "masked paths": ([], "cat /proc/kcore | wc -c; ls /proc/acpi | wc -l", "0\n0"),
    "read-only paths": ([], "echo 1 > /proc/sys/kernel/panic; echo $?", "1"),
    "pid namespace": ([], "echo $$", "1"),
    "null device": ([], "echo gone > /dev/null; head -c 3 /dev/zero | wc -c", "3"),
    "standard streams by name": ([], "echo a > /dev/stdout; echo b > /proc/self/fd/1", "a\nb"),
    "shm": ([], "df -k /dev/shm | tail -1 | awk '{print $2}'", "65536"),
}


@pytest.mark.parametrize("name", FLAGS)
def test_flag(cloister, name):
    flags, script, expected = FLAGS[name]
    command = ["sh", "-c", script] if script else ["-c", "echo no"]
    environment = cloister.environment | {"FROM_OUTSIDE": "yes"}
    assert cloister.run(*flags, DEMO, *command, env=environment).strip() == expected


def test_env_file(cloister, tmp_path):
    (tmp_path / "env").write_text("# a comment\nA=from file\nB=  kept \n\nFROM_OUTSIDE\n")
    output = cloister.run("--env-file", tmp_path / "env", "-e", "A=from flag", DEMO, "sh", "-c", "echo \"$A|$B|$FROM_OUTSIDE\"",
                          env=cloister.environment | {"FROM_OUTSIDE": "yes"})
    assert output == "from flag|  kept |yes\n"


def test_the_default_seccomp_filter_refuses_what_it_should(cloister):
    # unshare(2) needs CAP_SYS_ADMIN under the default profile; without any filter root of the container may.
    refused = cloister("run", "--rm", "--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined", DEMO,
                       "unshare", "-m", "true", check=0)
    assert refused.returncode == 0
    assert cloister("run", "--rm", DEMO, "unshare", "-m", "true").returncode == 1


def test_a_seccomp_profile_of_ones_own_is_taken(cloister, tmp_path):
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
               "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}
    (tmp_path / "profile.json").write_text(json.dumps(profile))
    output = cloister.run("--security-opt", f"seccomp={tmp_path}/profile.json", DEMO, "sh", "-c", "mkdir /x 2>&1 || true")
    assert "not supported" in output


@pytest.mark.parametrize("profile, reason", [
    ({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_FROWN"}]},
     'seccomp: there is no action "SCMP_ACT_FROWN"'),
    ({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["personality"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": value, "op": "SCMP_CMP_EQ"}]}
        for value in range(5000)]}, "Linux takes 4096 at most"),
], ids=["action", "length"])
def test_a_seccomp_profile_that_makes_no_filter_is_refused(cloister, tmp_path, profile, reason):
    (tmp_path / "profile.json").write_text(json.dumps(profile))
    result = cloister("run", "--rm", "--security-opt", f"seccomp={tmp_path}/profile.json", DEMO, "true", check=125)
    message = result.stderr.decode().splitlines()[-1]
    assert message.startswith("cloister: ") and reason in message and result.stdout == b""


def test_a_container_out_of_memory_is_killed(cloister):
    result = cloister("run", "--rm", "--memory", "32m", DEMO, "sh", "-c", "tail /dev/zero")
    assert result.returncode == 137


def test_a_timeout_kills_and_says_so(cloister):
    start = time.monotonic()
    result = cloister("run", "--rm", "--timeout", "2s", DEMO, "sleep", "600", check=124)
    assert time.monotonic() - start < 60
    assert b"timeout" in result.stderr and b"2" in result.stderr


def test_timings_name_every_step(cloister):
    table = cloister("run", "--rm", "--timings", DEMO, "true", check=0).stderr.decode()
    for step in ["libvirt open", "domain create", "QEMU exec", "QEMU and firmware", "kernel", "agent", "agent hello", "disks and container",
                 "process start", "workload", "teardown", "total"]:
        assert step in table, table
    text = cloister("run", "--rm", "--timings=json", DEMO, "true", check=0).stderr.decode()
    steps = {entry["step"]: entry["milliseconds"] for entry in json.loads(text[text.index("["):])}
    assert steps["total"] >= sum(steps.values()) - steps["total"] > 0


def test_the_emulation_is_announced_in_one_line(cloister):
    if re.search(r"\b(vmx|svm)\b", open("/proc/cpuinfo").read()):
        pytest.skip("this machine has hardware virtualisation")
    lines = cloister("run", "--rm", DEMO, "true", check=0).stderr.decode().splitlines()
    assert len(lines) == 1 and "emulation" in lines[0]
    assert cloister("run", "--rm", "--accelerator", "emulation", DEMO, "true", check=0).stderr == b""


def test_a_name_in_use_is_refused(cloister):
    first = cloister.start("run", "--rm", "--name", "taken", DEMO, "sh", "-c",
                           "trap exit TERM; echo up; while :; do sleep 0.1; done")
    assert first.stdout.readline() == b"up\n"
    result = cloister("run", "--rm", "--name", "taken", DEMO, "true", check=125)
    assert b"taken" in result.stderr and b"in use" in result.stderr
    first.terminate()
    first.wait(30)
    cloister.expect_nothing_left()
    cloister("run", "--rm", "--name", "taken", DEMO, "true", check=0)


def test_two_at_once_share_layers_and_nothing_else(cloister):
    script = "echo $0 > /mine; echo up; read line; cat /mine"
    both = [cloister.start("run", "-i", "--rm", DEMO, "sh", "-c", script, name, stdin=subprocess.PIPE) for name in ("a", "b")]
    for process in both:
        assert process.stdout.readline() == b"up\n"
    for process, name in zip(both, (b"a", b"b")):
        assert process.communicate(b"go\n", timeout=60)[0] == name + b"\n"
        assert process.returncode == 0
