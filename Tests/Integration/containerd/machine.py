"""First process of the tests' own namespaces: mounts, network, processes. It makes them look like a machine, runs a command,
reaps what others leave, and its end is the end of every process and mount in there. So the tests may use the usual places,
and nothing outside sees, or is seen by, them: other containerds, bridges, QEMUs.

    unshare --mount --net --ipc --uts --pid --fork machine.py COMMAND [ARGUMENT…]
"""

import os
import subprocess
import sys

#: What belongs to a running system. `/var/lib/cni` holds the addresses that the IPAM plugin gave away.
FRESH = ["/run", "/var/lib/cni"]
#: Where `ctr --cni` looks for networks and plugins. What is written there stays in here.
WRITABLE = ["/etc", "/opt"]


def mount(*words):
    subprocess.run(["mount", *words], check=True)


def main(command):
    mount("-t", "proc", "-o", "nosuid,nodev,noexec", "proc", "/proc")
    # A network namespace's devices are shown by the sysfs that was mounted in it. What hangs below goes back on top.
    below = [line.split()[4] for line in open("/proc/self/mountinfo") if line.split()[4].startswith("/sys/")]
    mount("-t", "sysfs", "-o", "nosuid,nodev,noexec", "sysfs", "/mnt")
    for place in below:
        if not any(place.startswith(other + "/") for other in below):
            mount("--rbind", place, "/mnt" + place.removeprefix("/sys"))
    mount("--move", "/mnt", "/sys")
    with open("/etc/resolv.conf") as file:
        resolver = file.read()
    for place in FRESH:
        os.makedirs(place, exist_ok=True)
        mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", place)
    if not os.path.exists("/etc/resolv.conf"):
        # A link into what was below /run.
        target = os.path.realpath("/etc/resolv.conf")
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "w") as file:
            file.write(resolver)
    for place in WRITABLE:
        layers = {name: f"/run/machine{place}/{name}" for name in ("upper", "work")}
        for layer in layers.values():
            os.makedirs(layer)
        mount("-t", "overlay", "-o", f"lowerdir={place},upperdir={layers['upper']},workdir={layers['work']}", "overlay", place)
    # As on a machine with systemd, and as containerd's documentation asks: what is mounted later can be seen by others.
    mount("--make-rshared", "/")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["hostname", "machine"], check=True)
    child = subprocess.Popen(command).pid
    while True:
        pid, status = os.wait()
        if pid == child:
            return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.exit(code if code >= 0 else 128 - code)
