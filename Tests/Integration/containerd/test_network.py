"""The pod's network as each network plugin makes it"""

import itertools
import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from cri import until
from ctrkit import Task
from daemon import CNI, ROOT

counter = itertools.count(1)


def ip(*words):
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


class Namespace:
    """A network namespace, and what network plugins make in it."""

    def __init__(self, directory):
        self.name, self.directory, self.added = f"n{next(counter)}", directory, []
        ip("netns", "add", self.name)
        self.path = f"/run/netns/{self.name}"
        self("link", "set", "lo", "up")

    def __call__(self, *words):
        """ip(8) in it."""
        return ip("-n", self.name, *words)

    def plugin(self, command, configuration, interface):
        environment = dict(os.environ, CNI_COMMAND=command, CNI_CONTAINERID=self.name, CNI_NETNS=self.path,
                           CNI_IFNAME=interface, CNI_PATH=CNI)
        subprocess.run([f"{CNI}/{configuration['type']}"], env=environment, check=True, capture_output=True,
                       input=json.dumps(configuration).encode())

    def add(self, type, interface="eth0", subnet="10.91.{}.0/24", subnet6="fd00:91:{}::/64", number=1, **more):
        configuration = {
            "cniVersion": "0.4.0", "name": f"test-{type}-{number}", "type": type, **more,
            "ipam": {"type": "host-local", "dataDir": str(self.directory),
                     "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}] if interface == "eth0" else [],
                     "ranges": [[{"subnet": subnet.format(number)}], [{"subnet": subnet6.format(number)}]]}}
        self.plugin("ADD", configuration, interface)
        self.added.append((configuration, interface))
        return self

    def links(self):
        return [link for link in json.loads(self("-j", "addr")) if link["ifname"] != "lo" and "tun" not in link.get(
            "link_type", "") and not link["ifname"].startswith("cloister")]

    def addresses(self, interface="eth0"):
        link, = (link for link in self.links() if link["ifname"] == interface)
        return {f"{address['local']}/{address['prefixlen']}" for address in link["addr_info"]}

    def address(self, interface="eth0", six=False):
        return next(address.partition("/")[0] for address in self.addresses(interface)
                    if (":" in address) == six and not address.startswith("fe80"))

    def remove(self):
        for configuration, interface in reversed(self.added):
            self.plugin("DEL", configuration, interface)
        ip("netns", "del", self.name)


@pytest.fixture(scope="session")
def netns_directory():
    # What the first `ip netns add` makes, and nobody removes.
    ip("netns", "add", "first")
    ip("netns", "del", "first")


@pytest.fixture
def namespaces(netns_directory, ctr, tmp_path):
    """Makes namespaces."""
    made, links = [], set(os.listdir("/sys/class/net"))

    def make():
        made.append(Namespace(tmp_path))
        return made[-1]
    yield make
    ctr.clean_up()
    for namespace in reversed(made):
        namespace.remove()
    for link in set(os.listdir("/sys/class/net")) - links:
        subprocess.run(["ip", "link", "del", link])
    shutil.rmtree(tmp_path)


def in_it(namespace):
    return ["--with-ns", f"network:{namespace.path}"]


SERVE = "mkdir /www; echo hello > /www/index.html; exec httpd -f -p 8080 -h /www"


ASK = """
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
sys.stdout.buffer.write(opener.open(sys.argv[1], timeout=5).read())
"""


def get(address, namespace=None, file=""):
    """What the server at the address says to this machine, or to a namespace; None while it does not."""
    host = f"[{address}]" if ":" in address else address
    words = ["ip", "netns", "exec", namespace.name] if namespace else []
    result = subprocess.run([*words, sys.executable, "-c", ASK, f"http://{host}:8080/{file}"], capture_output=True, text=True)
    return result.stdout if result.returncode == 0 else None


def expect_same(task, namespace):
    """The container has what the namespace has: addresses, MTU, hardware address, routes of both families."""
    routes = [" ".join(line.split()) for line in task.sh("ip route; ip -6 route").splitlines()]
    for link in namespace.links():
        name = link["ifname"]
        shown = task.sh(f"ip addr show {name}")
        assert f"mtu {link['mtu']} " in shown and link["address"] in shown
        assert set(re.findall(r"inet6? (\S+)", shown)) == namespace.addresses(name)
        assert "tentative" not in shown
    for family in ("-4", "-6"):
        for route in json.loads(namespace(family, "-j", "route")):
            words = [route["dst"], *(["via", route["gateway"]] if "gateway" in route else []), "dev", route["dev"]]
            found = [line for line in routes if line.startswith(" ".join(words) + " ") or line == " ".join(words)]
            assert found, (words, routes)
            if family == "-4":
                for key, word in (("metric", "metric"), ("prefsrc", "src")):
                    if key in route:
                        assert any(f"{word} {route[key]}" in line for line in found), (route, found)
    assert len([line for line in routes if not line.startswith(("ff00::/8", "multicast"))]) == sum(
        len(json.loads(namespace(family, "-j", "route"))) for family in ("-4", "-6")), routes


def outside_of_macvlan(namespaces):
    """macvlan keeps its interfaces apart from their parent's machine: the parent is one end of a cable whose other end is in
    a namespace, which can be asked from."""
    outside = namespaces()
    ip("link", "add", "parent", "type", "veth", "peer", "name", "eth0", "netns", outside.name)
    ip("link", "set", "parent", "up")
    outside("link", "set", "eth0", "up")
    outside("addr", "add", "10.91.1.1/24", "dev", "eth0")
    outside("addr", "add", "fd00:91:1::1/64", "dev", "eth0", "nodad")
    return outside


@pytest.mark.parametrize("type", ["bridge", "ptp", "macvlan"])
def test_plugins(ctr, namespaces, type):
    client, more = None, {"bridge": {"bridge": "testbr", "isGateway": True}, "ptp": {}, "macvlan": {"master": "parent"}}[type]
    if type == "macvlan":
        client = outside_of_macvlan(namespaces)
    namespace = namespaces().add(type, mtu=1400, **more)
    task = ctr.task(SERVE, flags=in_it(namespace))
    expect_same(task, namespace)
    for six in (False, True):
        assert until(lambda: get(namespace.address(six=six), client), "an answer") == "hello\n"
    # The gateway is this machine, or for macvlan the namespace outside.
    task.exec("ping -c 1 10.91.1.1 && ping -c 1 fd00:91:1::1")


def test_pods_of_one_bridge(ctr, namespaces):
    one, two = (namespaces().add("bridge", bridge="testbr", isGateway=True) for _ in range(2))
    ctr.task(SERVE, flags=in_it(one))
    client = ctr.task("sleep 1000", flags=in_it(two))
    for address in (one.address(), f"[{one.address(six=True)}]"):
        until(lambda: client.exec(f"wget -q -O - http://{address}:8080/", check=None).stdout == b"hello\n", "an answer")


def test_two_interfaces(ctr, namespaces):
    namespace = namespaces().add("bridge", bridge="testbr", isGateway=True)
    namespace.add("ptp", interface="net1", number=2, mtu=1300)
    task = ctr.task(SERVE, flags=in_it(namespace))
    expect_same(task, namespace)
    for interface in ("eth0", "net1"):
        for six in (False, True):
            assert until(lambda: get(namespace.address(interface, six)), "an answer") == "hello\n"


def test_routes_and_neighbours_of_other_kinds(ctr, namespaces):
    """As Calico's plugin and its like leave them."""
    namespace = namespaces().add("ptp")
    namespace("route", "add", "10.92.0.0/16", "dev", "eth0", "scope", "link", "metric", "7")
    namespace("route", "add", "10.93.0.0/16", "via", "169.254.1.1", "dev", "eth0", "onlink")
    namespace("-6", "route", "add", "fd00:93::/64", "dev", "eth0", "metric", "77")
    namespace("neigh", "add", "169.254.1.1", "lladdr", "0a:00:00:00:00:01", "dev", "eth0", "nud", "permanent")
    namespace("neigh", "add", "fd00:93::1", "lladdr", "0a:00:00:00:00:02", "dev", "eth0", "nud", "permanent")
    task = ctr.task("sleep 1000", flags=in_it(namespace))
    expect_same(task, namespace)
    neighbours = task.sh("ip neigh")
    for line in ("169.254.1.1 dev eth0 lladdr 0a:00:00:00:00:01", "fd00:93::1 dev eth0 lladdr 0a:00:00:00:00:02"):
        assert any(found.startswith(line) and "PERMANENT" in found for found in neighbours.splitlines()), neighbours


def test_frames_larger_than_usual(ctr, namespaces):
    namespace = namespaces().add("bridge", bridge="testbr", isGateway=True, mtu=9000)
    task = ctr.task("head -c 5000000 /dev/zero > /file; exec httpd -f -p 8080 -h /", flags=in_it(namespace))
    # Not to be divided.
    assert b" 0% packet loss" in task.exec("ping -c 2 -s 8900 10.91.1.1").stdout
    address = namespace.address()
    assert len(until(lambda: get(address, file="file"), "the file")) == 5000000
    body = task.sh(f"wget -q -O - http://{address}:8080/file | wc -c")
    assert body == "5000000\n"


def test_the_namespace_is_as_before_afterwards(ctr, namespaces):
    """It may be another's: what joined its interface to the container is taken back with the container."""
    namespace = namespaces().add("bridge", bridge="testbr", isGateway=True)

    def state():
        # A queue's length, which the kernel sets with the first of them and never takes back, means nothing without a queue.
        links = [{key: value for key, value in link.items() if key != "txqlen"} for link in json.loads(namespace("-j", "addr"))]
        return links, subprocess.run(["tc", "-n", namespace.name, "qdisc"], capture_output=True, text=True).stdout
    before = state()
    for _ in range(2):
        assert ctr.sh("ping -c 1 10.91.1.1 >/dev/null && echo reached", flags=in_it(namespace)) == "reached\n"

    until(lambda: state() == before, lambda: f"what was before: {before}; now it is {state()}")
    subprocess.run(["ip", "netns", "exec", namespace.name, "busybox", "ping", "-c", "1", "10.91.1.1"], check=True)


def test_a_machine_that_containerd_ends_gives_the_namespace_back(ctr, daemon, namespaces, handler):
    """As it does after every `Shutdown`, however far the server has come with ending by itself."""
    if handler == "runc":
        pytest.skip("its shim borrows nothing")
    namespace = namespaces().add("bridge", bridge="testbr", isGateway=True)
    disciplines = ["tc", "-n", namespace.name, "qdisc"]
    before = subprocess.run(disciplines, check=True, capture_output=True).stdout
    task = ctr.task("sleep 1000", flags=in_it(namespace))
    assert subprocess.run(disciplines, check=True, capture_output=True).stdout != before
    bundle = daemon.directory / "state" / "io.containerd.runtime.v2.task" / ctr.namespace / task.id
    subprocess.run([ROOT / "bin" / "containerd-shim-cloister-v2", "-namespace", ctr.namespace, "-address", daemon.socket, "-id",
                    task.id, "-bundle", bundle, "delete"], cwd=bundle, env=daemon.environment, check=True, capture_output=True)
    assert subprocess.run(disciplines, check=True, capture_output=True).stdout == before


def test_network_plugins_after_creation(ctr, daemon, namespaces):
    """`ctr run --cni` has the plugins run between a task's creation and its start."""
    configuration = {"cniVersion": "0.4.0", "name": "late", "plugins": [{
        "type": "bridge", "bridge": "testbr", "isGateway": True, "mtu": 1450,
        "ipam": {"type": "host-local", "routes": [{"dst": "0.0.0.0/0"}], "ranges": [[{"subnet": "10.91.9.0/24"}]]}}]}
    # The place where `ctr` looks, which has the tests' usual network otherwise.
    script = f"""set -e
        mount -t tmpfs tmpfs /etc/cni/net.d
        echo '{json.dumps(configuration)}' > /etc/cni/net.d/10-late.conflist
        exec "$@" """
    words, id = ctr.words(SERVE, flags=["--detach", "--null-io", "--cni"])
    ctr.started.append(id)
    subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", *words], check=True, capture_output=True,
                   env=daemon.environment, timeout=90)
    task = Task(ctr, id)
    shown = task.sh("ip addr show eth0; ip route")
    assert "mtu 1450" in shown and "default via 10.91.9.1" in shown
    address = re.search(r"inet (\S+)/24", shown)[1]
    assert until(lambda: get(address), "an answer") == "hello\n"


def test_localhost_from_the_namespace(ctr, namespaces):
    """What is started in the pod's namespace on this machine, as port forwarding is, reaches the pod's localhost."""
    namespace = namespaces().add("bridge", bridge="testbr", isGateway=True)
    ctr.task("mkdir /www; echo inside > /www/index.html; head -c 3000000 /dev/zero > /www/file; "
             "exec httpd -f -p 127.0.0.1:8080 -h /www", flags=in_it(namespace))
    assert until(lambda: get("127.0.0.1", namespace), "an answer") == "inside\n"
    assert get(namespace.address(), namespace) is None, "it listens at localhost alone"
    assert len(get("127.0.0.1", namespace, "file")) == 3000000


def test_nothing_but_localhost(ctr):
    """`ctr run` without a network makes a namespace without one. (Cloister's has a card without a cable.)"""
    assert ctr.sh("ip -o addr | grep -v ' lo '; ip route; ping -c 1 127.0.0.1 >/dev/null && echo up") == "up\n"
