"""A real Debian, tens of thousands of files in several layers, is in its guest what umoci unpacks from the same layers."""

import difflib
import os
import re
import shutil
import subprocess
import sys

import pytest

from conftest import CACHE, ROOT

DEBIAN = "cloister-debian"
LISTING = ROOT / "Tests" / "Integration" / "tree_listing.py"
#: What a container has of its own, whatever its image.
MOUNTED = ["proc", "sys", "dev", "run", "etc/hostname", "etc/hosts", "etc/resolv.conf"]


@pytest.fixture(scope="module")
def debian(workspace):
    archive = CACHE / "images" / "debian.tar"
    subprocess.run([ROOT / "scripts" / "make-debian-image", archive], check=True)
    workspace("image", "load", "-i", archive, check=0)
    # Unpacks tens of thousands of files, once.
    workspace("run", "--rm", DEBIAN, "true", check=0, timeout=600)
    return workspace


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """The same layers as umoci unpacks them."""
    if os.geteuid() != 0:
        pytest.skip("owners and devices need root")
    work = tmp_path_factory.mktemp("umoci")
    subprocess.run([ROOT / "scripts" / "make-debian-image", "--gzip", work / "image.tar"], check=True)
    (work / "layout").mkdir()
    subprocess.run(["tar", "-xf", work / "image.tar", "-C", work / "layout"], check=True)
    subprocess.run(["umoci", "unpack", "--image", f"{work}/layout:latest", work / "bundle"], check=True, capture_output=True)
    yield work / "bundle" / "rootfs"
    shutil.rmtree(work)


@pytest.mark.parametrize("command, expected", [
    (["python3", "-c", "import sys, sqlite3, ssl, hashlib; print(sys.version_info[0], 6 * 7)"], r"3 42\n"),
    (["apt-get", "--version"], r"apt \d[^\0]*"),
    (["perl", "-e", "print 6 * 7, \"\\n\""], r"42\n"),
    (["bash", "-c", "echo ${BASH_VERSION%%.*}; id -un"], r"\d\nroot\n"),
    (["dpkg", "--audit"], r""),
    (["sh", "-c", "ls -lR / 2>/dev/null | wc -l"], r"\d{5,}\n"),
])
def test_it_runs(cloister, debian, command, expected):
    assert re.fullmatch(expected, cloister.run(DEBIAN, *command))


def test_ls_shows_what_it_shows_of_the_same_tree_on_the_host(cloister, debian, unpacked):
    command = ["ls", "-lRn", "--time-style=full-iso", "/etc", "/home", "/opt", "/root", "/srv", "/usr", "/var"]

    def lines(text):
        # Links, sizes and times of directories belong to the filesystem, as do sums of blocks; columns are as wide as those.
        entry = re.compile(r"(\S+) +(\d+) +(\d+) +(\d+) +(\d+(?:, +\d+)?) (\S+ \S+ \S+) (.*)", re.DOTALL)
        kept = []
        for line in text.split("\n"):
            if line.startswith("total "):
                continue
            found = entry.fullmatch(line)
            if found:
                mode, links, user, group, size, time, name = found.groups()
                line = (mode, user, group, name) if mode.startswith("d") else (mode, links, user, group, size.split(), time, name)
            kept.append(str(line))
        return kept

    theirs = subprocess.run(["/usr/sbin/chroot", unpacked, *command], capture_output=True, check=True, env={"LC_ALL": "C", "PATH": "/bin:/usr/bin"})
    ours = cloister("run", "--rm", "-e", "LC_ALL=C", DEBIAN, *command, check=0)
    compare(lines(theirs.stdout.decode(errors="surrogateescape")), lines(ours.stdout.decode(errors="surrogateescape")))


def test_the_tree_is_the_one_that_umoci_unpacks(cloister, debian, unpacked):
    theirs = subprocess.run([sys.executable, LISTING, unpacked, *MOUNTED], capture_output=True, check=True).stdout.decode()
    # SYS_ADMIN shows extended attributes of the trusted namespace as well.
    ours = cloister("run", "-i", "--rm", "--cap-add", "SYS_ADMIN", "--cap-add", "DAC_READ_SEARCH", DEBIAN, "python3", "-", "/",
                    *MOUNTED, check=0, input=LISTING.read_bytes(), timeout=600).stdout.decode()
    assert theirs.count("\n") > 20000
    compare(theirs.splitlines(), ours.splitlines())


def compare(theirs, ours):
    if theirs != ours:
        difference = list(difflib.unified_diff(theirs, ours, "umoci", "cloister", lineterm="", n=0))
        pytest.fail(f"{len(difference)} lines differ, such as:\n" + "\n".join(difference[:60]))
