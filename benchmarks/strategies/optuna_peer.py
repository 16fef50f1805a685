"""Samplers of Optuna, driven as its users drive them: ``Study.ask`` with categorical parameters and ``Study.tell``."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from autopanoptic.nas import Architecture
from benchmarks.strategies.problem import Contestant, Done, Problem

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Optuna(Contestant):
    """A sampler by its name, with its defaults but for the parameters given.

    It may ask for an architecture again; every time counts as an evaluation. A bound is told with
    ``Trial.set_constraint`` after an evaluation: proposals that break it count, too.

    Args:
        sampler: the class in ``optuna.samplers``.
        parameters: its arguments.
    """

    sampler: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def about(self) -> str:
        """What it is, with its parameters."""
        optuna = _optuna()
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.parameters.items())
        return f"optuna {optuna.__version__} {self.sampler}({arguments})"

    def play(self, problem: Problem, seed: int, done: Done) -> None:
        """Search; see :meth:`Contestant.play`."""
        optuna = _optuna()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = getattr(optuna.samplers, self.sampler)(seed=seed, **self.parameters)
            directions = ["maximize" if way == "max" else "minimize" for way in problem.objectives.values()]
            study = optuna.create_study(directions=directions, sampler=sampler)
            while not done(_evaluate(study, problem)):
                pass


def _evaluate(study: optuna.Study, problem: Problem) -> int:
    trial, architecture = _ask(study, problem)
    row = problem.table.row(architecture)
    for name, high in problem.highest.items():
        trial.set_constraint(name, float(problem.table.column(name)[row]) - high)
    study.tell(trial, list(problem.metrics(row).values()))
    return row


def _ask(study: optuna.Study, problem: Problem) -> tuple[optuna.Trial, Architecture]:
    """Return a trial with an architecture of the space; what the space excludes fails and does not count."""
    while True:
        trial = study.ask()
        architecture = suggest(trial, problem)
        if problem.table.space.accepts(architecture):
            return trial, architecture
        study.tell(trial, state=_optuna().trial.TrialState.FAIL)


def suggest(trial: optuna.Trial, problem: Problem) -> Architecture:
    """Ask the trial for every choice that is made, in the space's order.

    Of isomorphic architectures the representative is looked up, as for the strategies of ours.
    """
    options: dict[str, Any] = {}
    for choice in problem.table.space.choices:
        if choice.active(options):
            options[choice.label] = trial.suggest_categorical(choice.label, list(choice.options))
    return problem.table.space.canonical(options)


def _optuna() -> Any:
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("Optuna's samplers need its package: pip install optuna.") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna
