"""How a command that torchrun has started in several processes is run once; loads no torch where it is alone."""

from __future__ import annotations

import sys

import typer

from autopanoptic.panoptic.training.parallel.launch import leading


def join(context: typer.Context) -> None:
    """Run a command in the first process, and let the others take part in its trainings and end.

    Args:
        context: Of the command; the others end with it, or with the error that it ends with.
    """
    block = leading()
    block.__enter__()

    def leave() -> None:
        error = sys.exc_info()[1]
        done = error is None or (isinstance(error, (typer.Exit, SystemExit)) and not _status(error))
        if done:
            block.__exit__(None, None, None)

    context.call_on_close(leave)


def _status(error: BaseException) -> object:
    return error.exit_code if isinstance(error, typer.Exit) else getattr(error, "code", None)
