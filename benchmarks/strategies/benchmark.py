"""What all commands with runs do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from benchmarks.strategies import summary
from benchmarks.strategies.contestants import CONTESTANTS, contestant
from benchmarks.strategies.optuna_peer import Optuna
from benchmarks.strategies.problem import Unsuitable
from benchmarks.strategies.protocols import Protocol
from benchmarks.strategies.results import Results, command_of
from benchmarks.strategies.runner import Run, Runner
from benchmarks.strategies.table import Table

console = Console()


@dataclass(frozen=True)
class Benchmark:
    """Plays the runs of each contestant, and writes down what they show."""

    table: Table
    runner: Runner
    results: Results
    names: Sequence[str]

    @classmethod
    def of(cls, context: typer.Context, runner: Runner, names: Sequence[str] | None, folder: Path) -> Benchmark:
        """Read the table and the results so far.

        Args:
            context: the command under way.
            runner: plays the runs.
            names: the contestants; None for all.
            folder: where the results are.

        Raises:
            typer.BadParameter: for a contestant that there is not, and for a table that cannot be read.
        """
        try:
            for name in names or ():
                contestant(name)
            table = runner.source.load()
        except (ValueError, FileNotFoundError, ModuleNotFoundError) as error:
            raise typer.BadParameter(str(error)) from error
        found = Results.of(folder, str(context.info_name), table, command_of(context))
        return cls(table, runner, found, names or list(CONTESTANTS))

    def run(self, whole: Protocol, entry: Callable[[list[Run]], dict[str, Any]], short: Protocol | None = None) -> None:
        """Play a protocol with all contestants.

        Args:
            whole: the protocol.
            entry: what is written down of a contestant's runs.
            short: the protocol of Optuna's samplers, where theirs ends earlier.
        """
        for name in self.names:
            protocol = short if short is not None and isinstance(contestant(name), Optuna) else whole
            try:
                about = contestant(name).about
                runs = self.runner.runs(protocol, name, self.table)
            except (ModuleNotFoundError, Unsuitable) as error:
                self.results.leave_out(protocol.problem, name, str(error))
                console.print(f"{name} left out: {error}")
                continue
            values = {"about": about, "settings": _given(protocol.settings), "seeds": len(runs), **entry(runs)}
            self.results.put(protocol.problem, name, **values, cpu_ms=round(summary.cpu_ms(runs), 4))
            console.print(f"{protocol.problem}: {name}, {len(runs)} runs, {summary.cpu_ms(runs):.2f} ms an evaluation")


def _given(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings without those that set nothing, of which JSON could not write an infinite bound."""
    return {name: value for name, value in settings.items() if value not in (None, float("inf"))}
