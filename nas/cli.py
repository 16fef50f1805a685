"""The command line: `autopanoptic`, to which installed tasks add their commands."""

from __future__ import annotations

import traceback
from functools import cache
from importlib.metadata import EntryPoint, entry_points, version
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from autopanoptic.nas.interruption import terminated_as_interrupted
from autopanoptic.nas.journals.commands import app as journal_commands
from autopanoptic.nas.results.printable import printable
from autopanoptic.nas.search.errors import SearchError
from autopanoptic.nas.storage.journal import JournalError

GROUP = "autopanoptic.commands"
"""The entry-point group of tasks: the name is the command, the object a ``typer.Typer``."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it: 128 and the signal's number."""

EXPECTED = (ValueError, OSError, ImportError, FloatingPointError, JournalError, SearchError)
"""Errors that tell the user what to do; they are printed without a traceback."""


class TaskError(ImportError):
    """A task cannot be loaded."""


class _Program(TyperGroup):
    """A group that loads the commands of a task when they are used, and prints errors as plain lines."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        return [*super().list_commands(ctx), *sorted(_tasks())]

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]
        task = _tasks().get(cmd_name)
        return super().get_command(ctx, cmd_name) if task is None else _load(task)

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        try:
            with terminated_as_interrupted():
                return super().invoke(ctx)
        except BrokenPipeError:
            raise  # the reader has seen enough, as `| head` has
        except KeyboardInterrupt:
            typer.echo("\nInterrupted.")
            raise typer.Exit(INTERRUPTED) from None
        except EXPECTED as problem:
            if ctx.params.get("show_traceback"):
                typer.echo(traceback.format_exc(), err=True)
            typer.echo(f"Error: {_explained(problem, ctx.invoked_subcommand)}", err=True)
            raise typer.Exit(1) from problem


@cache
def _tasks() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _load(task: EntryPoint) -> Any:
    try:
        commands = task.load()
    except Exception as problem:
        return _unavailable(task, problem)
    # A group of its own, because the command of a whole program has options to install completion.
    program = typer.Typer(add_completion=False)
    program.callback()(lambda: None)
    program.add_typer(commands, name=task.name)
    found: Any = typer.main.get_command(program)
    return found.commands[task.name]


def _unavailable(task: EntryPoint, problem: Exception) -> Any:
    """Return a command that says, when it is used, why the task is not there."""
    program = typer.Typer(add_completion=False)

    def fail(context: typer.Context) -> None:
        raise TaskError(f"The commands of {task.name!r} cannot be loaded: {problem}. {_remedy(task)}") from problem

    loose = {"ignore_unknown_options": True, "allow_extra_args": True}
    program.command(task.name, help=f"Not available. {_remedy(task)}", context_settings=loose)(fail)
    return typer.main.get_command(program)


def _remedy(task: EntryPoint) -> str:
    if task.dist is None:
        return f"Install what {task.value} needs."
    extras = task.dist.metadata.get_all("Provides-Extra") or []
    package = task.dist.name + (f"[{task.name}]" if task.name in extras else "")
    return f"Install it by: pip install '{package}'"


def _explained(problem: BaseException, command: str | None) -> str:
    task = _tasks().get(command or "")
    if isinstance(problem, ImportError) and not isinstance(problem, TaskError) and task is not None:
        return f"{problem}. {_remedy(task)}"
    if isinstance(problem, OSError) and problem.filename is not None and problem.strerror:
        return f"{problem.filename}: {problem.strerror}"  # which Python writes with a number
    return printable(problem) or type(problem).__name__


app = typer.Typer(cls=_Program, no_args_is_help=True, pretty_exceptions_show_locals=False)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"autopanoptic {version('autopanoptic')}")
        raise typer.Exit


@app.callback()
def program(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
    show_traceback: Annotated[bool, typer.Option("--traceback", help="Print where an error came from.")] = False,
) -> None:
    """Neural architecture search."""


app.add_typer(journal_commands, name="journal")


@app.command()
def show(
    journal: Annotated[Path, typer.Argument(help="The journal of a search, finished or running.")],
    top: Annotated[int, typer.Option(min=1, help="How many of the best trials are shown and counted.")] = 10,
    options: Annotated[
        bool, typer.Option(help="Show the best trial's options, and how often the best trials use each.")
    ] = True,
    everything: Annotated[
        bool, typer.Option("--all", help="Show all metrics and choices, also where there is no room beside the others.")
    ] = False,
    plots: Annotated[Path | None, typer.Option(help="Folder in which plots are written as PNG files.")] = None,
    save: Annotated[Path | None, typer.Option(help="File for the best architecture, as JSON.")] = None,
) -> None:
    """Show what a search has found."""
    from autopanoptic.nas.journals.exporting import require_other
    from autopanoptic.nas.results.result import Result
    from autopanoptic.nas.results.terminal import print_summary, write_plots

    result = Result.from_journal(journal)
    if save is not None:
        require_other(save, journal)
    print_summary(result, journal, top=top, options=options, everything=everything)
    for path in write_plots(result, plots) if plots is not None else ():
        typer.echo(f"Wrote {path}")
    if save is not None:
        result.best.architecture.save(save)
        typer.echo(f"Wrote {save}")


@app.command()
def export_optuna(
    journal: Annotated[Path, typer.Argument(help="The journal of a search, finished or running.")],
    storage_url: Annotated[str, typer.Argument(help="Such as studies.log or sqlite:///studies.db.")],
    study_name: Annotated[str | None, typer.Option(help="The study; by default named as the journal is.")] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Keep it up to date until the search has ended, or Ctrl-C.")
    ] = False,
) -> None:
    """Write a search into an Optuna storage, or bring it up to date there, for optuna-dashboard to show."""
    from autopanoptic.nas.results.optuna_export import export_optuna as export
    from autopanoptic.nas.results.optuna_follow import follow_optuna

    if follow and not journal.exists():
        typer.echo(f"There is no journal {journal} yet; waiting for it.")
    arguments = (journal, storage_url, study_name)
    studies = follow_optuna(*arguments) if follow else iter([export(*arguments)])
    study = next(studies)
    typer.echo(f"Study {study.study_name!r} has {len(study.trials)} trials. See it by: optuna-dashboard {storage_url}")
    for updated in studies:
        study = updated
    if follow:
        typer.echo(f"The search has ended; the study has {len(study.trials)} trials.")


def main() -> None:
    """Run the program."""
    app()
