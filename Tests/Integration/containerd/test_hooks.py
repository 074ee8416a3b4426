"""Hooks of a container's specification."""

import json
import os

import pytest

from cri import until
from streams import held
from test_ctr import specification


def shell(script):
    return {"path": "/bin/sh", "args": ["sh", "-c", script], "env": [f"PATH={os.environ['PATH']}"]}


@pytest.fixture
def run(ctr, rootfs, tmp_path):
    """Runs a command in a container with hooks, to its end, or what `by` does instead."""
    def run(command, hooks, by=None, **more):
        spec = specification(ctr, rootfs)
        spec["process"]["args"] = ["sh", "-c", command] if by else held(command)
        spec["process"]["capabilities"] = dict.fromkeys(("bounding", "effective", "permitted"), ["CAP_NET_RAW"])
        spec["hooks"] = hooks
        path = tmp_path / "config.json"
        path.write_text(json.dumps(spec))
        if by:
            return by(image=None, flags=["--config", path], **more)
        return ctr.run(image=None, flags=["--config", path], is_held=True, **more)
    return run


def test_hooks_of_the_host_see_the_containers_state(run, tmp_path):
    moments = ["prestart", "createRuntime", "poststart", "poststop"]
    result = run("echo fine", {moment: [shell(f"cat > {tmp_path}/{moment}")] for moment in moments})
    assert result.stdout == b"fine\n"
    states = {moment: json.loads((tmp_path / moment).read_text()) for moment in moments}
    assert len({state["id"] for state in states.values()}) == 1
    assert states["createRuntime"]["pid"] > 1
    assert states["createRuntime"]["bundle"].endswith(states["createRuntime"]["id"])
    # Of a program that runs, runc 1.1 says "created".
    assert states["poststart"]["status"] in ("running", "created")
    assert [states[moment]["status"] for moment in ("prestart", "createRuntime", "poststop")] == [
        "creating", "creating", "stopped"]


def test_hooks_run_in_the_hosts_namespaces(run, tmp_path):
    run("true", {"createRuntime": [shell(
        f"pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); cd {tmp_path}; "
        "for kind in net mnt; do readlink /proc/self/ns/$kind > own-$kind; readlink /proc/$pid/ns/$kind > its-$kind; done")]})
    for kind in ("net", "mnt"):
        here = os.readlink(f"/proc/self/ns/{kind}") + "\n"
        assert (tmp_path / f"own-{kind}").read_text() == here
        assert (tmp_path / f"its-{kind}").read_text() not in ("", here)


def test_a_hook_makes_the_containers_network(run):
    """As nerdctl's does, by the pid it is told."""
    make = """pid=$(sed 's/.*"pid":\\([0-9]*\\).*/\\1/'); set -e
        ip link add hook0 type veth peer name eth0 netns $pid
        ip link set hook0 up; ip address add 10.88.78.1/24 dev hook0
        nsenter --net=/proc/$pid/ns/net sh -ec 'ip address add 10.88.78.2/24 dev eth0; ip link set eth0 up'"""
    result = run("ip address show eth0; ping -c 1 -W 20 10.88.78.1", {"createRuntime": [shell(make)]})
    assert b"10.88.78.2/24" in result.stdout
    assert b"1 packets received" in result.stdout


def test_a_hook_that_fails_before_the_start_fails_the_container(run, tmp_path):
    result = run("echo ran", {"createRuntime": [shell("echo no network >&2; exit 3")],
                              "poststop": [shell(f"touch {tmp_path}/undone")]}, check=None)
    assert result.returncode != 0
    assert b"ran" not in result.stdout
    assert (tmp_path / "undone").exists()


def test_a_hook_that_takes_too_long_is_ended(run):
    slow = shell("exec sleep 1000") | {"timeout": 1}
    assert run("true", {"prestart": [slow]}, check=None).returncode != 0


def test_what_a_hook_leaves_behind_is_reaped(run, ctr, tmp_path):
    number = tmp_path / "number"
    leave = shell(f"sleep 0.2 >/dev/null 2>&1 & echo $! > {number}.new; mv {number}.new {number}")
    process, _ = run("read line; :", {"poststart": [leave]}, by=ctr.open)
    until(number.exists, "the hook")
    pid = int(number.read_text())
    until(lambda: not os.path.exists(f"/proc/{pid}"), "the end of what the hook left behind")
    process.communicate(timeout=60)
    assert process.returncode == 0


@pytest.mark.parametrize("moment", ["createContainer", "startContainer"])
def test_hooks_inside_the_container_are_run_or_refused(run, handler, moment):
    result = run("true", {moment: [{"path": "/bin/true", "args": ["true"]}]}, check=None)
    if handler == "runc":
        assert result.returncode == 0
    else:
        assert b"cannot run: leave them out" in result.stderr
