"""Writes docs/compatibility.md out of a whole test run: each behaviour with runc and with Cloister, the same or why not. Runs
of the smoke tests with other versions of containerd add themselves to it."""

import inspect
import os
import re
import subprocess

from daemon import PROGRAMS, ROOT, TYPES, VERSION
from differences import DIFFERENCES

HEAD = """# What is the same as with runc

Written by `Tests/Integration/containerd/run`, which runs each test with `io.containerd.runc.v2` first and then with
`io.containerd.cloister.v2`, under the same containerd. "yes" is a test that passed.

## Versions

Of Debian's current release all tests ran, and of others those that `smoke.py` lists. "By the Sandbox service" are pods with
`sandboxer = "shim"`.

| containerd | runc | tests | with runc | with Cloister | by the Sandbox service |
|---|---|---|---|---|---|
"""
PATH = ROOT / "docs" / "compatibility.md"


def replace(text):
    """Puts the text into the document's place at once."""
    temporary = f"{PATH}.{os.getpid()}"
    with open(temporary, "w") as file:
        file.write(text)
    os.replace(temporary, PATH)


class Versions:
    """How many tests passed with this version of containerd, as a line of the document."""

    def __init__(self, config):
        self.smoke = config.option.markexpr == "smoke" and not config.option.keyword
        self.name = "smoke"
        self.passed, self.all = {}, {}

    def pytest_runtest_logreport(self, report):
        match = re.search(r"\[(.*)\]$", report.nodeid)
        handler = next((word for word in match[1].split("-") if word in TYPES), None) if match else None
        # A failure that was allowed for counts as skipped.
        failed = report.failed or report.skipped and hasattr(report, "wasxfail")
        if handler is None or report.skipped and not failed or report.when != "call" and not failed:
            return
        self.all.setdefault(handler, set()).add(report.nodeid)
        change = set.discard if failed else set.add
        change(self.passed.setdefault(handler, set()), report.nodeid)

    def line(self):
        runc = subprocess.run(["runc", "--version"], capture_output=True, text=True, check=True,
                              env=os.environ | {"PATH": f"{PROGRAMS}:{os.environ['PATH']}"}).stdout.split()[2]
        counts = [f"{len(self.passed.get(handler, ()))} of {len(self.all[handler])}" if handler in self.all else "–"
                  for handler in ("runc", "cloister", "sandboxes")]
        return "| " + " | ".join([VERSION, runc, self.name, *counts]) + " |\n"

    def pytest_sessionfinish(self, session):
        if self.smoke and not session.shouldfail and not session.shouldstop:
            # After the last line of the first table, in place of one about the same version.
            lines = PATH.read_text().splitlines(keepends=True)
            lines = [line for line in lines if not line.startswith(f"| {VERSION} |")]
            end = next(number for number, line in enumerate(lines) if number and not line.startswith("|")
                       and lines[number - 1].startswith("|"))
            replace("".join([*lines[:end], self.line(), *lines[end:]]))


class Table(Versions):
    def __init__(self, config):
        super().__init__(config)
        self.name = "all"
        self.whole = not (config.option.collectonly or config.option.keyword or config.option.markexpr or len(config.args) > 1
                          or any("::" in word or word.endswith(".py") for word in config.args))
        self.titles, self.results = {}, {}

    def pytest_collection_modifyitems(self, items):
        for item in items:
            self.titles[item.nodeid.partition("::")[0]] = inspect.getdoc(item.module).splitlines()[0].rstrip(".")

    def pytest_runtest_logreport(self, report):
        super().pytest_runtest_logreport(report)
        match = re.fullmatch(r"([^:]+)::(?:\w+::)?(test_\w+)(?:\[(.*)\])?", report.nodeid)
        file, name, words = match.groups()
        words = (words or "").split("-")
        handler = next((word for word in words if word in ("runc", "cloister")), None)
        if handler is None:
            return
        rest = "-".join(word for word in words if word != handler)
        row = self.results.setdefault((file, name, rest), {})
        if report.failed:
            row[handler] = "no"
        elif report.skipped:
            row[handler] = "not tested: " + (
                report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)).removeprefix("Skipped: ")
        elif report.when == "call" and handler not in row:
            row[handler] = "yes"

    def pytest_sessionfinish(self, session):
        if self.whole and not session.shouldfail and not session.shouldstop:
            replace(self.text())

    def text(self):
        lines, last = [HEAD + self.line()], None
        for (file, name, rest), row in self.results.items():
            if file != last:
                lines += ["" if last else None, f"## {self.titles[file]}", "", "| behaviour | runc | cloister | same |",
                          "|---|---|---|---|"]
                last = file
            ours, theirs = row.get("cloister", "not tested"), row.get("runc", "not tested")
            why = DIFFERENCES.get(name)
            same = why if why and ours == "yes" else "yes" if ours == theirs == "yes" else "no" if ours == "no" else "–"
            what = name.removeprefix("test_").replace("_", " ") + (f": {rest}" if rest else "")
            lines.append("| " + " | ".join(word.replace("|", "\\|") for word in (what, theirs, "as said" if why and ours == "yes" else ours, same)) + " |")
        return "\n".join(line for line in lines if line is not None) + "\n"
