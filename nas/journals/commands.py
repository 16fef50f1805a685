"""The commands of ``autopanoptic journal``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autopanoptic.nas.results.printable import printable

if TYPE_CHECKING:
    from autopanoptic.nas.journals.mending import Mending

MOST_PROBLEMS = 20
"""That are listed, unless all are asked for."""

app = typer.Typer(no_args_is_help=True, help="Look at the journal of a search, check, repair and export it.")

File = Annotated[Path, typer.Argument(help="The journal of a search.", metavar="FILE")]
All = Annotated[bool, typer.Option("--all", help=f"List all problems, not the first {MOST_PROBLEMS} alone.")]


@app.command()
def show(
    file: File,
    top: Annotated[int, typer.Option(min=1, help="How many of the best trials are shown.")] = 10,
) -> None:
    """Print what is searched and how, how many trials are in which state, and the best of them."""
    from autopanoptic.nas.journals.showing import show

    show(file, top)


@app.command()
def check(file: File, everything: All = False) -> None:
    """Read everything, and say what is wrong in which line; the exit code is 1 where something is."""
    from autopanoptic.nas.journals.mending import Mending

    mending = Mending(file).to_the_end()
    if not mending.problems:
        typer.echo(f"{file} is whole: {_counted(mending)}.")
        return
    _print_problems(mending, everything)
    typer.echo(f"{_problems(mending)}. `autopanoptic journal repair {file}` keeps {_counted(mending)}.")
    raise typer.Exit(1)


@app.command()
def repair(
    file: File,
    copy: Annotated[Path | None, typer.Option(help="Write the repaired journal here, and leave FILE as it is.")] = None,
    everything: All = False,
) -> None:
    """Write the journal anew with all its whole records, keep a backup, and say what is lost."""
    from autopanoptic.nas.journals.repairing import repair

    done = repair(file, copy)
    if done.path is None:
        typer.echo(f"{file} is whole: {_counted(done.mending)}. Nothing to repair.")
        return
    _print_problems(done.mending, everything)
    typer.echo(f"{_problems(done.mending)}. Wrote {done.path} with {_counted(done.mending)}.")
    if done.backup is not None:
        typer.echo(f"What stood there before is kept as {done.backup}.")


@app.command()
def export(
    file: File,
    out: Annotated[Path, typer.Argument(help="Such as trials.csv, trials.json or trials.parquet.")],
    form: Annotated[
        str | None, typer.Option("--format", help="csv, json or parquet; by default what OUT ends in.")
    ] = None,
) -> None:
    """Write the trials as a table, one a row."""
    from autopanoptic.nas.journals.exporting import export

    count = export(file, out, form)
    typer.echo(f"Wrote {count:,} trials to {out}")


def _print_problems(mending: Mending, everything: bool) -> None:
    shown = mending.problems if everything else mending.problems[:MOST_PROBLEMS]
    for line, text in shown:
        typer.echo(printable(f"line {line} {text}"))
    if len(shown) < len(mending.problems):
        typer.echo(f"and {len(mending.problems) - len(shown):,} more: see them by --all")


def _problems(mending: Mending) -> str:
    count = len(mending.problems)
    return "1 problem" if count == 1 else f"{count:,} problems"


def _counted(mending: Mending) -> str:
    history = mending.history or ()
    states = Counter(trial.state.value for trial in history)
    found = ", ".join(f"{count:,} {state}" for state, count in states.items())
    return f"{mending.records:,} records of {len(history):,} trials{f' ({found})' if found else ''}"
