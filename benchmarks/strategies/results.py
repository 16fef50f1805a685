"""Results as JSON files: one a protocol and table, with what was measured, by which command, with what, and where."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import typer

from benchmarks.strategies.contestants import CONTESTANTS
from benchmarks.strategies.table import Table

FOLDER = Path("benchmarks/results/strategies")
PACKAGES = ("autopanoptic", "numpy", "scipy", "optuna", "nni", "nas-bench-graph")
Entry = dict[str, Any]


@dataclass
class Results:
    """The results of one protocol on one table; an entry is one contestant on one problem.

    Args:
        path: the file.
        protocol: the command that makes it.
        table: its name and fingerprint; entries of another table under this name are dropped.
        command: what makes the entries that are put now.
    """

    path: Path
    protocol: str
    table: dict[str, str]
    command: str = ""
    entries: dict[tuple[str, str], Entry] = field(default_factory=dict)
    left_out: dict[tuple[str, str], str] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path, protocol: str, table: Table | None, command: str) -> Results:
        """Return the results with the entries that the file has already."""
        about = {} if table is None else {"name": table.name, "fingerprint": table.fingerprint}
        name = protocol if table is None else re.sub(r"[^a-z0-9]+", "-", f"{protocol} {table.name}".lower())
        found = cls(folder / f"{name}.json", protocol, about, command)
        if found.path.exists():
            old = read(found.path)
            found.entries = old.entries if old.table == about else {}
            found.left_out = old.left_out if old.table == about else {}
        return found

    def put(self, problem: str, contestant: str, **values: Any) -> None:
        """Set an entry, with the command, the versions and the machine, and write the file."""
        self.left_out.pop((problem, contestant), None)
        self.entries[problem, contestant] = {**values, "command": self.command, **surroundings()}
        self.write()

    def leave_out(self, problem: str, contestant: str, why: str) -> None:
        """Note why a contestant does not take part, and write the file."""
        self.entries.pop((problem, contestant), None)
        self.left_out[problem, contestant] = why
        self.write()

    def of_problem(self, problem: str) -> Iterator[tuple[str, Entry]]:
        """Yield the contestants of a problem, in the order of :data:`CONTESTANTS`."""
        order = list(CONTESTANTS)
        found = [(name, entry) for (of, name), entry in self.entries.items() if of == problem]
        yield from sorted(found, key=lambda item: order.index(item[0]) if item[0] in order else len(order))

    @property
    def problems(self) -> list[str]:
        """The problems, in the order in which they were measured."""
        return list(dict.fromkeys(problem for problem, _ in self.entries))

    def write(self) -> None:
        """Write the file."""
        entries = [{"problem": p, "contestant": c, **entry} for (p, c), entry in self.entries.items()]
        left_out = [{"problem": p, "contestant": c, "why": why} for (p, c), why in self.left_out.items()]
        values = {"protocol": self.protocol, "table": self.table, "entries": entries, "left_out": left_out}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(values, indent=1, allow_nan=False)
        # Lists of numbers on one line, so that a file can be read.
        text = re.sub(r"\[\s+(-?[\dn][^\[\]{}\"]*?)\s+\]", lambda m: "[" + re.sub(r"\s+", " ", m[1]) + "]", text)
        self.path.write_text(text + "\n")


def read(path: Path) -> Results:
    """Read a file of results."""
    values = json.loads(path.read_text())
    found = Results(path, values["protocol"], values["table"])
    for entry in values["entries"]:
        found.entries[entry.pop("problem"), entry.pop("contestant")] = entry
    found.left_out = {(item["problem"], item["contestant"]): item["why"] for item in values["left_out"]}
    return found


def command_of(context: typer.Context) -> str:
    """Return the command under way with what differs from the defaults; of paths only the last part."""
    words = ["python -m benchmarks.strategies", str(context.info_name)]
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if not value or value == parameter.get_default(context):
            continue
        for part in value if isinstance(value, (list, tuple)) else [value]:
            words.append(max(parameter.opts, key=len))
            words.extend([] if part is True else [part.name if isinstance(part, Path) else str(part)])
    return " ".join(words)


@cache
def surroundings() -> dict[str, dict[str, Any]]:
    """Return the versions of what takes part and the kind of machine."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    machine = {"cpu": _cpu(), "cores": os.cpu_count(), "system": platform.system(), "architecture": platform.machine()}
    return {"versions": versions, "machine": machine}


def _cpu() -> str:
    """Return the model of the processor."""
    file = Path("/proc/cpuinfo")
    if file.exists():
        names = re.findall(r"^model name\s*:\s*(.+)$", file.read_text(), re.MULTILINE)
        if names:
            return str(names[0])
    return platform.processor() or "unknown"
