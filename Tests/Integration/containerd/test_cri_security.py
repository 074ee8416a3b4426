"""CRI: security context and namespaces"""

import json
import os

import pytest

from cri import CONTAINER, NODE, POD, RSHARED, TARGET, refused, until
from daemon import BY_SANDBOX_SERVICE

CAPABILITIES = "grep CapEff /proc/self/status | cut -f2"
NET_ADMIN, NET_RAW, CHOWN = 1 << 12, 1 << 13, 1 << 0


def quick(pod, script, **more):
    """The output of a container that runs a script to its end."""
    container = pod.container(script, **more)
    code = container.wait()
    output = container.output() + container.output("stderr")
    assert code == 0, output
    return output


def test_users_and_groups(inside):
    assert quick(inside, "id -u; id -g; id -G", security={
        "run_as_user": {"value": 1000}, "run_as_group": {"value": 44}, "supplemental_groups": [1234, 5678]}) \
        == "1000\n44\n44 1234 5678\n"


def test_a_user_by_name(inside):
    assert quick(inside, "id -u; id -g", security={"run_as_username": "demo"}) == "1000\n1000\n"


def test_groups_of_the_image_hold(inside):
    """A user's groups in the image's /etc/group come with the user."""
    assert "44" in quick(inside, "id -G", security={"run_as_username": "demo"}).split()


def test_capabilities(inside):
    standard = int(quick(inside, CAPABILITIES), 16)
    assert standard & NET_RAW and not standard & NET_ADMIN
    changed = int(quick(inside, CAPABILITIES, security={"capabilities": {
        "add_capabilities": ["NET_ADMIN"], "drop_capabilities": ["CHOWN"]}}), 16)
    assert changed == (standard | NET_ADMIN) & ~CHOWN
    assert int(quick(inside, CAPABILITIES, security={"capabilities": {"drop_capabilities": ["ALL"]}}), 16) == 0


def test_added_capabilities_work(inside):
    bridge = "ip link add br-test type bridge && ip link del br-test"
    assert inside.container(bridge).wait() != 0
    assert inside.container(bridge, security={"capabilities": {"add_capabilities": ["NET_ADMIN"]}}).wait() == 0


def test_read_only_root(inside):
    container = inside.container("touch /file", security={"readonly_rootfs": True})
    assert container.wait() == 1
    assert "Read-only" in container.output("stderr")


def test_no_new_privileges(inside):
    assert quick(inside, "grep NoNewPrivs /proc/self/status", security={"no_new_privs": True}).split()[1] == "1"
    assert quick(inside, "grep NoNewPrivs /proc/self/status").split()[1] == "0"


def test_masked_and_read_only_paths(inside):
    security = {"masked_paths": ["/proc/meminfo", "/sys/kernel"], "readonly_paths": ["/proc/sys"]}
    output = quick(inside, "wc -c < /proc/meminfo; ls /sys/kernel | wc -l; "
                           "echo x > /proc/sys/kernel/domainname || echo refused", security=security)
    assert output.split()[:2] == ["0", "0"]
    assert "refused" in output


def seccomp(profile_type, path=""):
    return {"seccomp": {"profile_type": profile_type, "localhost_ref": str(path)}}


def test_seccomp_profiles(inside, tmp_path):
    show = "grep -w Seccomp /proc/self/status | cut -f2"
    assert quick(inside, show, security=seccomp(1)) == "0\n", "unconfined"
    assert quick(inside, show, security=seccomp(0)) == "2\n", "the runtime's own"
    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}))
    output = quick(inside, "mkdir /tmp/x || echo refused; touch /tmp/y && echo allowed", security=seccomp(2, profile))
    assert "not permitted" in output and "refused" in output and "allowed" in output


def test_a_seccomp_profile_that_is_not_there(inside):
    with refused("seccomp", "no such file"):
        inside.container("true", security=seccomp(2, "/no/such/profile.json"))


def test_sysctls(cri):
    pod = cri.pod(linux={"sysctls": {"kernel.shm_rmid_forced": "1", "net.ipv4.ip_unprivileged_port_start": "80"}})
    assert quick(pod, "cat /proc/sys/kernel/shm_rmid_forced /proc/sys/net/ipv4/ip_unprivileged_port_start") == "1\n80\n"


@pytest.mark.parametrize("mode", [POD, CONTAINER], ids=["pod", "container"])
def test_process_namespace(cri, mode):
    pod = cri.pod(namespaces={"pid": mode})
    first = pod.container("sleep 4321")
    second = pod.container("sleep 600")
    seen = second.sh("ps -o args")
    if mode == POD:
        assert "/pause" in seen and "sleep 4321" in seen
        # A signal crosses as well.
        second.exec_sync("kill -9 $(ps -o pid,args | grep 'sleep [4]321' | awk '{print $1}')")
        assert first.wait() == 137
    else:
        assert "/pause" not in seen and "sleep 4321" not in seen
        until(lambda: second.sh("cat /proc/1/cmdline").startswith("sleep"), "its own first process")


def test_process_namespace_of_another_container(cri):
    pod = cri.pod(namespaces={"pid": CONTAINER})
    target = pod.container("sleep 4321")
    debugger = pod.container("sleep 600", namespaces={"pid": TARGET, "target_id": target.id})
    assert "sleep 4321" in debugger.sh("ps -o args")


def test_hostname_and_ipc_are_the_pods(cri):
    pod = cri.pod("named")
    first = pod.container("sleep 600")
    second = pod.container("sleep 600")
    assert first.sh("hostname") == second.sh("hostname") == "named\n"
    for kind in ("ipc", "uts", "net"):
        assert first.sh(f"readlink /proc/self/ns/{kind}") == second.sh(f"readlink /proc/self/ns/{kind}"), kind
    first.exec_sync("echo shared > /dev/shm/word")
    assert second.sh("cat /dev/shm/word") == "shared\n"
    for kind in ("mnt", "pid"):
        assert first.sh(f"readlink /proc/self/ns/{kind}") != second.sh(f"readlink /proc/self/ns/{kind}"), kind


def test_privileged(cri):
    """Bridges can be made, mounts too, and nothing is filtered."""
    pod = cri.pod(security={"privileged": True})
    container = pod.container("sleep 600", security={"privileged": True})
    container.exec_sync("ip link add br-test type bridge && ip link set br-test up && ip link del br-test")
    container.exec_sync("mount -t tmpfs tmpfs /tmp && touch /tmp/file && umount /tmp")
    assert container.sh("grep -w Seccomp /proc/self/status").split()[1] == "0"
    assert int(container.sh(CAPABILITIES), 16) & NET_ADMIN
    container.exec_sync("echo 1 > /proc/sys/net/ipv4/ip_forward")


def test_privileged_needs_a_privileged_pod(inside):
    with refused("privileged"):
        inside.container("true", security={"privileged": True})


def test_privileged_devices(cri, handler):
    pod = cri.pod(security={"privileged": True})
    container = pod.container("sleep 600", security={"privileged": True})
    has_kvm = container.exec_sync("test -e /dev/kvm", check=None).exit_code == 0
    if handler != "runc":
        assert not has_kvm
    else:
        assert has_kvm == os.path.exists("/dev/kvm")


def test_host_network_is_given_or_refused(cri, handler):
    if handler == BY_SANDBOX_SERVICE:
        pytest.skip("containerd 2.1 crashes before it asks the shim: github.com/containerd/containerd/issues/12983")
    if handler != "runc":
        with refused("network"):
            cri.pod(namespaces={"network": NODE}, hostname="")
    else:
        pod = cri.pod(namespaces={"network": NODE}, hostname="")
        assert "lo" in quick(pod, "ls /sys/class/net")


def test_host_pid_is_given_or_refused(cri, handler):
    if handler != "runc":
        with refused("PID", "pid", "process"):
            cri.pod(namespaces={"pid": NODE})
    else:
        pod = cri.pod(namespaces={"pid": NODE})
        assert "containerd" in quick(pod, "ps -o args")


def test_host_ipc_is_given_or_refused(cri, handler):
    if handler != "runc":
        with refused("IPC", "ipc"):
            cri.pod(namespaces={"ipc": NODE})
    else:
        pod = cri.pod(namespaces={"ipc": NODE})
        assert quick(pod, "readlink /proc/self/ns/ipc").strip() == os.readlink("/proc/self/ns/ipc")


def test_bidirectional_propagation_is_given_or_refused(inside, tmp_path, handler):
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "sub").mkdir()
    if handler != "runc":
        with refused("rshared", "shared", "ropagation"):
            inside.container("true", mounts=[(volume, "/volume", False, RSHARED)]).wait()
    else:
        container = inside.container("mount -t tmpfs tmpfs /volume/sub && touch /volume/sub/file; sleep 600",
                                     mounts=[(volume, "/volume", False, RSHARED)],
                                     security={"capabilities": {"add_capabilities": ["SYS_ADMIN"]}})
        try:
            until(lambda: (volume / "sub" / "file").exists(), "the guest's mount on the host")
        finally:
            container.stop()
            os.system(f"umount {volume}/sub")
