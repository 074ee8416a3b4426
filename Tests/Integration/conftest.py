"""What every integration test stands on: bin/ as it was built, a store and a state directory of the test run's own, and a
check after each test that nothing of a sandbox is left."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CLOISTER = ROOT / "bin" / "cloister"
CACHE = pathlib.Path(
    os.environ.get("CLOISTER_CACHE")
    or pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "cloister")
DEMO = "cloister-demo"
#: What "within five seconds" allows, and what a busy machine needs.
CLEAN_UP_SECONDS = 5


class Workspace:
    """Directories, configuration and environment of one test run."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.state = self.directory / "s"
        self.images = self.directory / "images"
        self.configuration = self.directory / "config.toml"
        self.configure()
        self.environment = dict(os.environ, CLOISTER_CONFIG=str(self.configuration))
        self.environment.pop("CLOISTER_DATA", None)
        self.started = []

    def configure(self, **more):
        lines = {"state_directory": self.state, "image_directory": self.images, "boot_timeout": "60s", **more}
        self.configuration.write_text("".join(f'{key} = "{value}"\n' for key, value in lines.items()))

    def command(self, *words):
        return [str(CLOISTER), *map(str, words)]

    def __call__(self, *words, check=None, **options):
        """Runs `cloister` to its end. `check` is the exit status that it must have."""
        options = {"stdin": subprocess.DEVNULL, "capture_output": True, "timeout": 300, "env": self.environment} | options
        if "input" in options:
            del options["stdin"]
        result = subprocess.run(self.command(*words), **options)
        if check is not None:
            assert result.returncode == check, (words, result.returncode, result.stdout, result.stderr)
        return result

    def run(self, *words, check=0, **options):
        """`cloister run --rm` of the demonstration image; returns standard output as text."""
        result = self("run", "--rm", "--accelerator", "emulation", *words, check=check, **options)
        return result.stdout.decode()

    def start(self, *words, **options):
        """Starts `cloister` and returns the process, which the test's end kills if it is still there."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
                   "env": self.environment} | options
        self.started.append(subprocess.Popen(self.command(*words), **options))
        return self.started[-1]

    def kill_started(self):
        for process in self.started:
            process.kill()
            process.wait()
        self.started = []

    def processes(self):
        """Processes that name this workspace: sandboxes' servers, guardians and QEMUs."""
        found = {}
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                words = pathlib.Path(f"/proc/{entry}/cmdline").read_bytes().rstrip(b"\0").decode(errors="replace").split("\0")
                state = pathlib.Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            name = os.path.basename(words[0])
            if str(self.state) in " ".join(words) and state != "Z" and (name.startswith("qemu") or "shim" in name):
                found[int(entry)] = words
        return found

    def leftovers(self):
        """Everything of a sandbox that is still there."""
        left = [" ".join(words)[:200] for words in self.processes().values()]
        if self.state.exists():
            left += [str(self.state / name) for name in os.listdir(self.state)]
        for pattern in ["scratch/*.img", "*/*.building"]:
            left += [str(path) for path in self.images.glob(pattern) if path.name[0].isalpha()]
        left += [line for line in pathlib.Path("/proc/mounts").read_text().splitlines() if str(self.directory) in line]
        return left

    def expect_nothing_left(self, seconds=CLEAN_UP_SECONDS):
        deadline = time.monotonic() + seconds
        while left := self.leftovers():
            assert time.monotonic() < deadline, left
            time.sleep(0.05)


@pytest.fixture(scope="session")
def demo_archive():
    """The demonstration image as an OCI archive."""
    archive = CACHE / "images" / "demo.tar"
    archive.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([ROOT / "scripts" / "make-demo-image", archive], check=True)
    return archive


@pytest.fixture(scope="session")
def workspace(demo_archive):
    # A short path: unix sockets have 108 bytes.
    directory = tempfile.mkdtemp(prefix="cloister-", dir="/tmp")
    os.chmod(directory, 0o755)
    space = Workspace(directory)
    space("image", "load", "-i", demo_archive, check=0)
    yield space
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def cloister(workspace):
    """The workspace; whatever a test leaves of a sandbox is the test's failure."""
    yield workspace
    workspace.kill_started()
    workspace.expect_nothing_left()


@pytest.fixture
def other(tmp_path_factory, workspace):
    """A second store, empty, for tests that fill or damage it."""
    directory = tempfile.mkdtemp(prefix="cloister-", dir="/tmp")
    os.chmod(directory, 0o755)
    space = Workspace(directory)
    yield space
    space.kill_started()
    space.expect_nothing_left()
    shutil.rmtree(directory, ignore_errors=True)
