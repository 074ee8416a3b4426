#!/usr/bin/env python3
"""Makes images that are damaged or made to do harm, one archive each, for tests.

    hostile_images.py DIRECTORY [NAME…]      writes DIRECTORY/NAME.tar and DIRECTORY/cases.json
    hostile_images.py --list                 prints the names

cases.json says of each image, by name:
    file   its path
    load   what `cloister image load` does: "refused" or "accepted"
    run    what `cloister run` does with an accepted one: "refused", "works", or "either" where both are sound
    words  what the message of a refusal holds
    check  a shell command, to be run in the container of one that works, which prints "ok" when no harm was done
    image  the name it is loaded by
Nothing here is large: what unpacks to gigabytes is a few megabytes, and what claims to be, a sparse file.
"""

import json
import os
import sys

sys.dont_write_bytecode = True
import hostile_documents  # noqa: E402, F401
import hostile_layers  # noqa: E402, F401
from hostilekit import CASES, name_of  # noqa: E402


def main():
    if sys.argv[1:] == ["--list"]:
        print("\n".join(CASES))
        return
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__.strip())
    directory, names = sys.argv[1], sys.argv[2:] or list(CASES)
    unknown = [name for name in names if name not in CASES]
    if unknown:
        sys.exit(f"hostile_images.py: no case is called {', '.join(unknown)}; --list prints the names")
    os.makedirs(directory, exist_ok=True)
    table = {}
    for name in names:
        write, load, run, words, check = CASES[name]
        path = os.path.join(directory, name + ".tar")
        write(path)
        table[name] = {"file": path, "load": load, "run": run, "words": words, "check": check, "image": name_of(name)}
    with open(os.path.join(directory, "cases.json"), "w") as file:
        json.dump(table, file, indent=1)


if __name__ == "__main__":
    main()
