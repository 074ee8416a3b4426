"""Everything as an ordinary user: no root, no group, no daemon."""

import os
import pathlib
import pwd
import shutil
import stat
import subprocess
import tempfile
import time

import pytest

from conftest import CLEAN_UP_SECONDS, DEMO, ROOT

NAME = "cloister-test"
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="making a user needs root; as an ordinary user, all other tests are this one")


class User:
    def __init__(self, entry, programs):
        self.entry, self.programs = entry, programs
        self.home = pathlib.Path(entry.pw_dir)
        self.runtime = None
        self.started = []

    def environment(self):
        result = {"HOME": str(self.home), "PATH": os.environ["PATH"], "USER": NAME, "LOGNAME": NAME}
        if self.runtime:
            result["XDG_RUNTIME_DIR"] = str(self.runtime)
        return result

    def state(self):
        return self.runtime / "cloister" if self.runtime else pathlib.Path(f"/tmp/cloister-{self.entry.pw_uid}")

    def words(self, *words):
        return ["setpriv", f"--reuid={self.entry.pw_uid}", f"--regid={self.entry.pw_gid}", "--clear-groups", "--no-new-privs",
                str(self.programs / "cloister"), *map(str, words)]

    def start(self, *words, **options):
        process = subprocess.Popen(self.words(*words), env=self.environment(), cwd="/", stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   **{"stdin": subprocess.DEVNULL} | options)
        self.started.append(process)
        return process

    def __call__(self, *words, check=0, **options):
        process = self.start(*words, **options)
        output, error = process.communicate(timeout=180)
        assert process.returncode == check, (words, process.returncode, output, error)
        return subprocess.CompletedProcess(words, process.returncode, output, error)

    def processes(self):
        """All of the user's, which are nobody else's."""
        found = []
        for name in os.listdir("/proc"):
            try:
                if name.isdigit() and os.stat(f"/proc/{name}").st_uid == self.entry.pw_uid:
                    if pathlib.Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                        found.append(pathlib.Path(f"/proc/{name}/cmdline").read_text())
            except OSError:
                pass
        return found

    def expect_nothing_left(self):
        deadline = time.monotonic() + CLEAN_UP_SECONDS
        while True:
            store = self.home / ".local" / "share" / "cloister"
            left = self.processes() + [str(path) for path in self.state().glob("*")] + [str(path) for path in store.glob("scratch/run-*")]
            if not left:
                return
            assert time.monotonic() < deadline, left
            time.sleep(0.05)


@pytest.fixture(scope="module")
def account():
    """An account for the time of these tests, and bin/ where it can reach it."""
    subprocess.run(["userdel", "--force", NAME], capture_output=True)
    home = tempfile.mkdtemp(prefix="cloister-home-", dir="/tmp")
    subprocess.run(["useradd", "--no-create-home", "--home-dir", home, "--shell", "/bin/sh", NAME], check=True)
    try:
        entry = pwd.getpwnam(NAME)
        os.chown(home, entry.pw_uid, entry.pw_gid)
        programs = pathlib.Path(tempfile.mkdtemp(prefix="cloister-bin-", dir="/tmp"))
        os.chmod(programs, 0o755)
        for name in ("cloister", "containerd-shim-cloister-v2", "vmlinux", "initramfs"):
            shutil.copy(ROOT / "bin" / name, programs / name)
        for name in ("cloister", "containerd-shim-cloister-v2"):
            os.chmod(programs / name, 0o755)
        yield User(entry, programs)
    finally:
        subprocess.run(["userdel", NAME], check=True)
        shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(f"/tmp/cloister-{entry.pw_uid}", ignore_errors=True)
        shutil.rmtree(programs, ignore_errors=True)


@pytest.fixture(params=["with XDG_RUNTIME_DIR", "without XDG_RUNTIME_DIR"])
def user(request, account, tmp_path_factory, demo_archive):
    directory = None
    if request.param.startswith("with "):
        directory = pathlib.Path(tempfile.mkdtemp(prefix="run-", dir="/tmp"))
        os.chown(directory, account.entry.pw_uid, account.entry.pw_gid)
    account.runtime = directory
    if not (account.home / ".local").exists():
        with open(demo_archive, "rb") as file:
            account("image", "load", stdin=file)
    yield account
    # What a failed test left running would fail all that follow.
    for process in account.started:
        if process.poll() is None:
            process.kill()
            process.communicate()
    account.started.clear()
    account.expect_nothing_left()
    if directory:
        shutil.rmtree(directory)


def test_a_container_runs(user):
    result = user("run", "--rm", DEMO, "sh", "-c", "id -u; uname -r; echo to > /file && cat /file")
    uid, release, written = result.stdout.decode().split()
    assert uid == "0" and "cloister" in release and written == "to"


def test_streams_and_status(user):
    data = os.urandom(5 << 20)
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        assert user("run", "-i", "--rm", DEMO, "cat", stdin=file).stdout == data
    user("run", "--rm", DEMO, "sh", "-c", "exit 42", check=42)
    assert b"no-such-image" in user("run", "--rm", "no-such-image", check=125).stderr


def test_directories_are_the_users_alone(user):
    process = user.start("run", "--rm", DEMO, "sh", "-c", "echo up; exec sleep 600")
    assert process.stdout.readline() == b"up\n"
    try:
        state = user.state()
        found = [state, *(pathlib.Path(place, name) for place, *names in os.walk(state) for name in sum(names, []))]
        assert len(found) > 2
        for path in found:
            try:
                info = path.lstat()
            except FileNotFoundError:  # Gone since it was listed.
                continue
            assert info.st_uid == user.entry.pw_uid, path
            assert info.st_mode & 0o002 == 0 or stat.S_ISSOCK(info.st_mode) or stat.S_ISLNK(info.st_mode), path
        assert stat.S_IMODE(state.stat().st_mode) == 0o700
        # All of the sandbox runs as the user.
        for name in os.listdir("/proc"):
            try:
                words = pathlib.Path(f"/proc/{name}/cmdline").read_text() if name.isdigit() else ""
                owner = os.stat(f"/proc/{name}").st_uid
            except OSError:
                continue
            if str(state) in words:
                assert owner == user.entry.pw_uid, words
    finally:
        # A program that is PID 1 and handles no SIGTERM does not end by it.
        process.kill()
        process.communicate(timeout=30)


def test_what_is_killed_leaves_nothing(user):
    process = user.start("run", "--rm", DEMO, "sh", "-c", "echo up; exec sleep 600")
    assert process.stdout.readline() == b"up\n"
    process.kill()
    process.communicate()
    user.expect_nothing_left()


def test_the_state_directory_of_another_is_refused(user):
    if user.runtime:
        pytest.skip("only /tmp is shared")
    state = user.state()
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(mode=0o755)
    try:
        text = user("run", "--rm", DEMO, "true", check=125).stderr.decode()
        assert str(state) in text and "state_directory" in text
    finally:
        state.rmdir()


def test_images_are_listed_and_removed(user):
    assert user("image", "list", "-q").stdout.count(b"\n") == 1
    user("image", "remove", DEMO)
    assert user("image", "list", "-q").stdout == b""
    with open(user.home / "again.tar", "wb"):
        pass
    assert b"again.tar" in user("image", "load", "-i", user.home / "again.tar", check=125).stderr
    shutil.rmtree(user.home / ".local")
