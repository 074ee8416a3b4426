"""CRI: the pod's network"""

import socket
import subprocess

from cri import until
from daemon import GATEWAY
from imagekit import SHAPED


def get(address, port=8080):
    """What a server answers over HTTP, or None while there is none."""
    try:
        with socket.create_connection((address, port), 5) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            data = b""
            while part := connection.recv(4096):
                data += part
            return data.rpartition(b"\r\n\r\n")[2].decode()
    except OSError:
        return None


def serve(pod, **more):
    """A container that answers every request on port 8080."""
    return pod.container("mkdir /www; echo hello from $(hostname) > /www/index.html; exec httpd -f -p 8080 -h /www", **more)


def test_the_pod_answers_the_host_and_another_pod(cri, pod, box):
    server = cri.pod("server")
    serve(server)
    assert until(lambda: get(server.ip), "an answer") == "hello from server\n"
    assert box.sh(f"wget -q -O - http://{server.ip}:8080/") == "hello from server\n"


def test_both_families(cri, pod, box):
    server = cri.pod("six")
    serve(server)
    six, = (address.ip for address in server.status.status.network.additional_ips)
    assert until(lambda: get(six), "an answer over IPv6") == "hello from six\n"
    assert box.sh(f"wget -q -O - 'http://[{six}]:8080/'") == "hello from six\n"


def test_addresses_routes_and_mtu_are_the_networks(pod, box):
    shown = box.sh("ip addr show eth0; ip route; ip -6 route")
    assert f"inet {pod.ip}/24" in shown
    assert f"default via {GATEWAY}" in shown
    assert "mtu 1500" in shown
    assert "127.0.0.1" in box.sh("ip addr show lo")


def test_the_hardware_address_is_the_networks(pod, box):
    """The other end of the pod's cable knows the address that the guest answers with."""
    box.exec_sync(f"ping -c 1 {GATEWAY}")
    neighbours = subprocess.run(["ip", "neigh", "show", pod.ip], capture_output=True, text=True).stdout
    assert box.sh("cat /sys/class/net/eth0/address").strip() in neighbours


def test_containers_of_a_pod_share_localhost(cri):
    pod = cri.pod()
    serve(pod)
    client = pod.container("sleep 600")
    until(lambda: client.exec_sync("wget -q -O - http://127.0.0.1:8080/", check=None).exit_code == 0, "localhost")


def test_a_published_port(cri):
    """hostPort, which is CNI's doing and ends at the pod's address."""
    pod = cri.pod("published", port_mappings=[{"container_port": 8080, "host_port": 18080, "protocol": 0}])
    serve(pod, image=SHAPED, security={"run_as_user": {"value": 0}})
    # The host's own connections to itself are not for the plugin's rules here: its address is.
    assert until(lambda: get(GATEWAY, 18080), "the published port") == "hello from published\n"


def test_port_forward(cri):
    pod = cri.pod("forwarded")
    serve(pod)
    until(lambda: get(pod.ip), "the server")
    forward = pod.port_forward()
    for _ in range(3):
        data, errors = forward.open(8080)
        data.send(b"GET / HTTP/1.0\r\n\r\n")
        assert b"hello from forwarded" in data.read_to_end()
        assert errors.read_to_end() == b""
    data, errors = forward.open(9)
    # Later versions of Kubernetes' library say by the streams' end that a connection was reset.
    assert errors.read_to_end() != b"" or errors.was_reset, "nobody listens there"
    forward.close()


def test_port_forward_of_what_listens_on_localhost(cri):
    pod = cri.pod()
    container = pod.container("mkdir /www; echo inside > /www/index.html; exec httpd -f -p 127.0.0.1:8081 -h /www")
    until(lambda: container.exec_sync("wget -q -O - http://127.0.0.1:8081/", check=None).exit_code == 0, "the server")
    forward = pod.port_forward()
    data, _ = forward.open(8081)
    data.send(b"GET / HTTP/1.0\r\n\r\n")
    assert b"inside" in data.read_to_end()
    forward.close()


def test_a_megabyte_over_the_network(cri, box):
    """More than a few packets, both ways."""
    pod = cri.pod()
    pod.container("head -c 4000000 /dev/zero > /www.bin; mkdir /www; mv /www.bin /www/file; exec httpd -f -p 8080 -h /www")
    until(lambda: get(pod.ip), "the server")
    assert box.sh(f"wget -q -O - http://{pod.ip}:8080/file | wc -c") == "4000000\n"
