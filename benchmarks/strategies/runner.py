"""Plays runs, several at a time where asked, and keeps each as it ends, so that an interrupted benchmark goes on."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import re
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmarks.strategies.contestants import contestant
from benchmarks.strategies.protocols import Protocol
from benchmarks.strategies.source import Source
from benchmarks.strategies.table import Table

Run: TypeAlias = dict[str, Any]
FOLDER = Path("runs/strategy-benchmarks")


@dataclass
class RunFile:
    """The finished runs of one contestant under one protocol, a JSON object a line.

    Its name depends on everything that a run depends on: the protocol's settings, the table, the contestant with its
    parameters, its code, and for peers the version. After any other change to the library, start afresh.
    """

    path: Path
    runs: dict[int, Run] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path, protocol: Protocol, name: str, table: Table) -> RunFile:
        """Return the file, with the runs that it holds."""
        parts = [protocol.settings, table.name, table.fingerprint, contestant(name).code]
        key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:10]
        subject = re.sub(r"[^a-z0-9]+", "-", f"{type(protocol).__name__} {protocol.problem} {table.name}".lower())
        found = cls(folder / f"{subject}-{re.sub(r'[^A-Za-z0-9-]+', '-', name)}-{key}.jsonl")
        found._load()
        return found

    def _load(self) -> None:
        if not self.path.exists():
            return
        lines = self.path.read_text().split("\n")
        if lines[-1]:  # the writer was interrupted within a line
            self.path.write_text("".join(f"{line}\n" for line in lines[:-1]))
        for line in lines[:-1]:
            run = json.loads(line)
            self.runs[run["seed"]] = run

    def add(self, run: Run) -> None:
        """Keep a run."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps(run) + "\n")
        self.runs[run["seed"]] = run

    def clear(self) -> None:
        """Forget all runs."""
        self.path.unlink(missing_ok=True)
        self.runs.clear()


@dataclass(frozen=True)
class Job:
    """One run to play."""

    protocol: Protocol
    name: str
    seed: int

    def play(self, table: Table) -> Run:
        """Play it; ``cpu_seconds`` is the processor time of the contestant and the look-ups."""
        start = time.process_time()
        found = self.protocol.run(contestant(self.name), table, self.seed)
        return {"seed": self.seed, **found, "cpu_seconds": round(time.process_time() - start, 4)}


_table: Table | None = None


def _start_worker(source: Source) -> None:
    global _table
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends its workers
    _table = source.load()


def _play(job: Job) -> Run:
    assert _table is not None
    return job.play(_table)


@dataclass(frozen=True)
class Runner:
    """Plays the runs that are missing.

    Args:
        source: the table.
        seeds: the runs are of seeds 0 to ``seeds`` - 1.
        folder: where finished runs are kept.
        jobs: processes.
        fresh: whether runs that are kept are played again.
    """

    source: Source
    seeds: int
    folder: Path = FOLDER
    jobs: int = 1
    fresh: bool = False

    def runs(self, protocol: Protocol, name: str, table: Table) -> list[Run]:
        """Return the runs of a contestant by seed, those that were kept and those played now."""
        file = RunFile.of(self.folder, protocol, name, table)
        if self.fresh:
            file.clear()
        missing = [Job(protocol, name, seed) for seed in range(self.seeds) if seed not in file.runs]
        with self._bar(f"{protocol.problem}: {name}", missing) as advance:
            for run in self._played(missing, table):
                file.add(run)
                advance()
        return [file.runs[seed] for seed in range(self.seeds)]

    def _played(self, jobs: Sequence[Job], table: Table) -> Iterator[Run]:
        if self.jobs == 1 or len(jobs) < 2:
            yield from (job.play(table) for job in jobs)
            return
        context = multiprocessing.get_context("spawn")
        with context.Pool(min(self.jobs, len(jobs)), _start_worker, (self.source,)) as pool:
            yield from pool.imap_unordered(_play, jobs)

    @contextmanager
    def _bar(self, title: str, jobs: Sequence[Job]) -> Iterator[Any]:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(
            *columns,
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            disable=not sys.stderr.isatty(),
            console=Console(stderr=True),
        ) as bar:
            task = bar.add_task(title, total=self.seeds, completed=self.seeds - len(jobs))
            yield lambda: bar.advance(task)
