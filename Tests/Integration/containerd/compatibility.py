"""Writes docs/compatibility.md out of a whole test run: each behaviour with runc and with Cloister, the same or why not."""

import inspect
import os
import re

from daemon import ROOT
from differences import DIFFERENCES

HEAD = """# What is the same as with runc

Written by `Tests/Integration/containerd/run`, which runs each test with `io.containerd.runc.v2` first and then with
`io.containerd.cloister.v2`, under the same containerd. "yes" is a test that passed.
"""


class Table:
    def __init__(self, config):
        self.whole = not (config.option.keyword or config.option.markexpr or len(config.args) > 1
                          or any("::" in word or word.endswith(".py") for word in config.args))
        self.titles, self.results = {}, {}

    def pytest_collection_modifyitems(self, items):
        for item in items:
            self.titles[item.nodeid.partition("::")[0]] = inspect.getdoc(item.module).splitlines()[0].rstrip(".")

    def pytest_runtest_logreport(self, report):
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
            path = ROOT / "docs" / "compatibility.md"
            temporary = f"{path}.{os.getpid()}"
            with open(temporary, "w") as file:
                file.write(self.text())
            os.replace(temporary, path)

    def text(self):
        lines, last = [HEAD], None
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
