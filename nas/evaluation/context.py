"""What an evaluator may know of the trial that it evaluates, beside its architecture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autopanoptic.nas.evaluation.attributes import checked_attributes
from autopanoptic.nas.trials.budget import Budget


@dataclass(frozen=True)
class Context:
    """What a search tells an evaluator of a trial.

    A function that evaluates gets it as its parameter ``context``, an :class:`Evaluator` as ``report.context``.

    Attributes:
        trial_id: the trial's number in its search; None outside of one.
        budget: from where to where the trial is evaluated; None in a search without budgets.
        repeat: how many evaluations of the trial (with its budget) have ended before this one; see ``repeats`` of
            :class:`Search`.
        seed: for the randomness of this evaluation, from 0 and below 2**32; it depends on the search's seed, the trial
            and the repeat alone.
        location: of the folder, which may not be there yet; None where the search has no ``folder``.
        device: that the executor has given to the worker which evaluates, by the name that it has there, ``"cuda:0"``;
            None where it gives none, as in this process: the choice is the evaluator's, ``context.device or "cpu"``.
        publish: takes a name and a value that :meth:`set_attribute` has checked.
    """

    trial_id: int | None = None
    budget: Budget | None = None
    repeat: int = 0
    seed: int = 0
    location: Path | None = None
    device: str | None = None
    publish: Callable[[str, Any], object] | None = field(default=None, repr=False, compare=False)

    @property
    def folder(self) -> Path:
        """A folder of the trial's own, for checkpoints and other files; made when it is first asked for.

        A trial that is run again, because it was interrupted or its worker died, or that is promoted to a larger
        budget, finds in it what it has left there. Of several evaluations of a trial each has a folder of its own.

        Raises:
            ValueError: when the search was made without ``folder``.
            OSError: when the folder cannot be made.
        """
        if self.location is None:
            raise ValueError('This trial has no folder. Say where folders shall be: Search(..., folder="runs/trials").')
        self.location.mkdir(parents=True, exist_ok=True)
        return self.location

    def set_attribute(self, name: str, value: Any) -> None:
        """Keep a value with the trial, in place of what it has under this name; from any thread.

        It is written to the journal at once, and stays whatever becomes of the trial. Outside of a search nothing is
        kept.

        Args:
            name: such as ``"checkpoint"``.
            value: None, a boolean, a finite number, a text, or lists and dictionaries of such.

        Raises:
            ValueError: when the name or the value is something else.
        """
        found = checked_attributes({name: value})
        if self.publish is not None:
            self.publish(name, found[name])
