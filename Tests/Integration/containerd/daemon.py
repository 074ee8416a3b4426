"""containerd, Debian's unless told otherwise, started on a root, state and socket of the tests' own, with the runtimes runc
and cloister."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import time

from descriptors import Messages, Service, connect

ROOT = pathlib.Path(__file__).resolve().parents[3]
#: Where containerd, ctr and runc's shim are. Another directory tries another version: CLOISTER_CONTAINERD=/…/usr/bin.
OTHER = os.environ.get("CLOISTER_CONTAINERD")
PROGRAMS = OTHER or "/usr/bin"
#: e.g. `1.6.20~ds1`.
VERSION = subprocess.run([f"{PROGRAMS}/containerd", "--version"], capture_output=True, check=True, text=True).stdout.split()[2]
#: Carries the descriptors of CRI, which every version speaks.
DESCRIBED = "/usr/bin/containerd"
CNI = "/usr/lib/cni"
PAUSE = "docker.io/library/cloister-pause:1"
#: Runtime handlers of CRI, and the runtime types behind them.
TYPES = {"runc": "io.containerd.runc.v2", "cloister": "io.containerd.cloister.v2"}
#: The handler whose pods containerd makes by Cloister's Sandbox service, which it does from 2 on.
BY_SANDBOX_SERVICE = "sandboxes"
if int(VERSION.lstrip("v").split(".")[0]) >= 2:
    TYPES[BY_SANDBOX_SERVICE] = TYPES["cloister"]
BRIDGE, SUBNET, GATEWAY = "crt0", "10.88.77.0/24", "10.88.77.1"
SUBNET6, GATEWAY6 = "fd00:77::/64", "fd00:77::1"

#: Versions 2 and 3 of containerd's configuration, for 1.6 and 1.7, and for 2.x.
CONFIGURATION = """
version = {version}
root = "{directory}/root"
state = "{directory}/state"
disabled_plugins = ["io.containerd.grpc.v1.nri", "io.containerd.nri.v1.nri", "io.containerd.internal.v1.opt",
    "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.aufs"]
[grpc]
address = "{directory}/c.sock"
{images}
[plugins."{runtime}"]
# Without CAP_SYS_RESOURCE, oom_score_adj cannot be lowered.
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
{more}
[plugins."{runtime}".containerd]
default_runtime_name = "runc"
[plugins."{runtime}".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."{runtime}".cni]
{plugins}
conf_dir = "{directory}/cni"
"""
LAYOUTS = {
    2: {"runtime": "io.containerd.grpc.v1.cri", "images": "", "plugins": f'bin_dir = "{CNI}"',
        "more": f'sandbox_image = "{PAUSE}"\nstats_collect_period = 1'},
    3: {"runtime": "io.containerd.cri.v1.runtime", "more": "", "plugins": f'bin_dirs = ["{CNI}"]', "images": f"""
[plugins."io.containerd.cri.v1.images"]
stats_collect_period = 1
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{PAUSE}"
"""}}

NETWORK = {
    "cniVersion": "0.4.0", "name": "crt", "plugins": [
        {"type": "bridge", "bridge": BRIDGE, "isGateway": True, "ipMasq": False, "hairpinMode": True,
         "ipam": {"type": "host-local", "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
                  "ranges": [[{"subnet": SUBNET, "gateway": GATEWAY}], [{"subnet": SUBNET6, "gateway": GATEWAY6}]]}},
        {"type": "portmap", "capabilities": {"portMappings": True}}]}


def has_open(process, is_wanted):
    """Whether a process has something open that is wanted, which is asked with its path below `/proc`."""
    for name in os.listdir(f"/proc/{process}/fd"):
        with contextlib.suppress(FileNotFoundError):  # Closed since it was listed.
            if is_wanted(f"/proc/{process}/fd/{name}"):
                return True
    return False


class Containerd:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.socket = self.directory / "c.sock"
        self.log = self.directory / "containerd.log"
        self.process = None
        self.messages = Messages(DESCRIBED)
        for name in ("cni", "fifo", "images"):
            (self.directory / name).mkdir()
        (self.directory / "cni" / "10-crt.conflist").write_text(json.dumps(NETWORK))
        # `ctr --cni` knows one place alone; see machine.py. Podman, for one, has a network of its own there.
        for place, target in [("/etc/cni/net.d", self.directory / "cni"), ("/opt/cni/bin", CNI)]:
            os.makedirs(place, exist_ok=True)
            subprocess.run(["mount", "--bind", target, place], check=True)
        self.configure()
        self.environment = dict(
            os.environ, PATH=f"{PROGRAMS}:{ROOT}/bin:{os.environ['PATH']}", CLOISTER_CONFIG=str(self.directory / "cloister.toml"))
        self.write_configuration()

    def write_configuration(self):
        """containerd's: what the tests need, and the lines that `cloister containerd config` prints for it."""
        layout = 3 if BY_SANDBOX_SERVICE in TYPES else 2
        path = self.directory / "config.toml"
        path.write_text(CONFIGURATION.format(version=layout, directory=self.directory, **LAYOUTS[layout]))

        def add(name, *more):
            printed = subprocess.run(
                [ROOT / "bin" / "cloister", "containerd", "config", "--name", name, "--file", path],
                env=self.environment, capture_output=True, check=True, text=True).stdout
            with open(path, "a") as file:
                file.write("\n".join([printed, *more, ""]))
        # All annotations, for tests of those that Cloister does not allow.
        add("cloister", 'pod_annotations = ["io.cloister.*"]')
        if BY_SANDBOX_SERVICE in TYPES:
            add(BY_SANDBOX_SERVICE, 'sandboxer = "shim"')

    def configure(self, **more):
        """Cloister's own configuration."""
        lines = {"accelerator": "emulation", "state_directory": self.directory / "s",
                 "image_directory": self.directory / "images", "boot_timeout": "180s", **more}
        (self.directory / "cloister.toml").write_text("".join(f'{key} = "{value}"\n' for key, value in lines.items()))

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [f"{PROGRAMS}/containerd", "--config", self.directory / "config.toml"], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                env=self.environment, start_new_session=True)
        deadline = time.monotonic() + 60
        while not self.ready():
            assert self.process.poll() is None, self.log.read_text()[-2000:]
            assert time.monotonic() < deadline, "containerd did not come up"
            time.sleep(0.05)

    def ready(self):
        """Whether CRI answers: after its restart, that is when it has found its pods again."""
        try:
            with connect(self.socket) as channel:
                status = Service(channel, self.messages, "runtime.v1.RuntimeService").Status(_timeout=1)
            return any(part.type == "RuntimeReady" and part.status for part in status.status.conditions)
        except Exception:
            return False

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        self.process.wait(30)

    def has_open(self, path):
        """Whether it has a file open."""
        wanted = os.path.realpath(path)
        return has_open(self.process.pid, lambda descriptor: os.readlink(descriptor) == wanted)

    def service(self, name, namespace=None):
        """A gRPC service of this daemon. `namespace` is containerd's."""
        return Service(connect(self.socket), self.messages, name,
                       [("containerd-namespace", namespace)] if namespace else [])

    def ctr_words(self, *words, namespace="k8s.io"):
        return [f"{PROGRAMS}/ctr", "--address", str(self.socket), "--namespace", namespace, *map(str, words)]

    def ctr(self, *words, namespace="k8s.io", check=0, **options):
        options = {"stdin": subprocess.DEVNULL, "capture_output": True, "timeout": 90, "env": self.environment} | options
        if "input" in options:
            del options["stdin"]
        result = subprocess.run(self.ctr_words(*words, namespace=namespace), **options)
        if check is not None:
            assert result.returncode == check, (words, result.returncode, result.stdout, result.stderr)
        return result
