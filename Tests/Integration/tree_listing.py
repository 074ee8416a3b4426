#!/usr/bin/env python3
"""Lists a tree so that two of them can be compared by diff: names, types, modes, owners, times, sizes, link targets, hard
links, devices, extended attributes, and contents by SHA-256. Runs on the host and in a container alike.

    tree_listing.py ROOT [EXCLUDED…]

EXCLUDED are paths below ROOT, such as proc, that are left out with all below them. One line an entry, in the order of the
names' bytes; names and values as Python writes bytes, so that each is one line. The root's time is left out: it is that of
what is mounted there.
"""

import hashlib
import os
import stat
import sys

KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link", stat.S_IFCHR: "character",
         stat.S_IFBLK: "block", stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket"}


def attributes(path):
    result = []
    for name in sorted(os.listxattr(path, follow_symlinks=False)):
        # The kernel's own, which differ by what is looking.
        if not name.startswith(("trusted.overlay.", "security.selinux")):
            result.append(f"{name}={os.getxattr(path, name, follow_symlinks=False)!r}")
    return result


def content(path):
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__.strip())
    root = os.fsencode(sys.argv[1])
    excluded = {os.fsencode(name) for name in sys.argv[2:]}
    paths = [b""]
    for place, directories, files in os.walk(root):
        below = os.path.relpath(place, root)
        for name in directories + files:
            path = name if below == b"." else below + b"/" + name
            if path not in excluded:
                paths.append(path)
        directories[:] = [name for name in directories
                          if (name if below == b"." else below + b"/" + name) not in excluded]
    first = {}
    for path in sorted(paths):
        full = os.path.join(root, path) if path else root
        info = os.lstat(full)
        kind = KINDS[stat.S_IFMT(info.st_mode)]
        fields = [repr(path), kind, f"{stat.S_IMODE(info.st_mode):04o}", f"{info.st_uid}:{info.st_gid}"]
        if kind == "link":
            fields.append(repr(os.readlink(full)))
        elif kind in ("character", "block"):
            fields.append(f"{os.major(info.st_rdev)},{os.minor(info.st_rdev)}")
        elif kind == "file":
            fields += [str(info.st_size), content(full)]
        # The root is a mount point's parent.
        if path:
            fields.append(str(info.st_mtime_ns))
        if kind != "directory":
            # Not how many names it has: overlayfs counts those that upper layers hide.
            if info.st_nlink > 1 and (other := first.setdefault((info.st_dev, info.st_ino), path)) != path:
                fields.append("same as " + repr(other))
        fields += attributes(full)
        print(" ".join(fields))


main()
