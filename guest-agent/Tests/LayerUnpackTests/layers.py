"""A tree as text, to compare what two programs unpacked: one line a file, everything a layer can say of it.

  layers.py describe DIRECTORY [no-times]
"""

import hashlib
import os
import stat
import sys


def attributes(path):
    names = sorted(os.listxattr(path, follow_symlinks=False))
    return ",".join(f"{name}={os.getxattr(path, name, follow_symlinks=False).hex()}" for name in names)


def describe(root, with_times):
    leaders = {}
    paths = [b"."]
    for directory, directories, files in os.walk(os.fsencode(root)):
        directories.sort()
        prefix = os.path.relpath(directory, os.fsencode(root))
        paths += [os.path.normpath(os.path.join(prefix, name)) for name in directories + files]
    for path in sorted(paths):
        full = os.path.join(os.fsencode(root), path)
        info = os.lstat(full)
        kind = stat.S_IFMT(info.st_mode)
        what = ""
        if kind == stat.S_IFREG:
            with open(full, "rb") as file:
                what = f"{info.st_size} {hashlib.file_digest(file, 'sha256').hexdigest()[:16]}"
        elif kind == stat.S_IFLNK:
            what = "-> " + ascii(os.readlink(full))
        elif kind in (stat.S_IFCHR, stat.S_IFBLK):
            what = f"{os.major(info.st_rdev)}:{os.minor(info.st_rdev)}"
        if kind != stat.S_IFDIR and info.st_nlink > 1:
            what += " = " + ascii(leaders.setdefault(info.st_ino, path))
        words = [ascii(path)[2:-1], stat.filemode(info.st_mode), f"{info.st_uid}:{info.st_gid}", what, attributes(full)]
        if with_times:
            words.append(str(info.st_mtime_ns))
        print(" ".join(word for word in words if word))


if len(sys.argv) < 3 or sys.argv[1] != "describe":
    sys.exit(__doc__)
describe(sys.argv[2], "no-times" not in sys.argv[3:])
