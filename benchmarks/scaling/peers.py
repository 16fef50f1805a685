"""Searches of other libraries, through their own loops: random search of the same space with the same score."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from autopanoptic.nas import Architecture
from autopanoptic.nas.executors.ray.connection import _loopback_alone
from benchmarks.scaling.utilisation import SPACE, score


def installed() -> Iterator[tuple[str, Callable[[int, Path], None], int]]:
    """Yield the name of each search, what runs it, and how many trials it is given at most."""
    if find_spec("optuna"):
        name = f"Optuna {version('optuna')}, RandomSampler"
        yield f"{name}, in memory", optuna_in_memory, 10_000
        yield f"{name}, journal (which waits for the disk)", optuna_journal, 200
    if find_spec("nni"):
        yield f"NNI {version('nni')}, Random, sequential engine", nni_sequential, 1_000
    if find_spec("ray") and find_spec("pyarrow"):
        yield f"Ray Tune {version('ray')}, random search, 1 at a time", ray_tune, 20


def optuna_in_memory(trials: int, folder: Path) -> None:
    """Run ``Study.optimize``."""
    _optimize(None, trials)


def optuna_journal(trials: int, folder: Path) -> None:
    """Run ``Study.optimize`` with Optuna's file of a journal."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    _optimize(JournalStorage(JournalFileBackend(str(folder / "journal.log"))), trials)


def _optimize(storage: Any, trials: int) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    names = {choice.label: list(choice.options) for choice in SPACE.choices}

    def objective(trial: Any) -> float:
        return score(Architecture({name: trial.suggest_categorical(name, options) for name, options in names.items()}))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sampler = optuna.samplers.RandomSampler(seed=0)
        optuna.create_study(storage=storage, sampler=sampler, direction="maximize").optimize(objective, trials)


def nni_sequential(trials: int, folder: Path) -> None:
    """Run NNI's random strategy on its engine that evaluates in this process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import autopanoptic.nas.supernet._nni  # noqa: F401  # sets NNI's framework before the imports below

        nni, mutable = importlib.import_module("nni"), importlib.import_module("nni.mutable")
        evaluator: Any = importlib.import_module("nni.nas.evaluator").Evaluator
        spaces = importlib.import_module("nni.nas.space")
        strategies = importlib.import_module("nni.nas.strategy")
        execution = importlib.import_module("nni.nas.execution")
    logging.getLogger("nni").setLevel(logging.CRITICAL)

    class Score(evaluator):
        """Takes the sample as it is; NNI's own would keep a weak reference to it, which a dict does not allow."""

        def _execute(self, model: Any) -> None:
            nni.report_final_result(float(sum(model.sample.values())))

    choices = {choice.label: mutable.Categorical(list(choice.options), label=choice.label) for choice in SPACE.choices}
    space = spaces.RawFormatModelSpace(mutable.MutableDict(choices), Score())
    strategies.Random(seed=0)(space, execution.SequentialExecutionEngine(max_model_count=trials))


def ray_tune(trials: int, folder: Path) -> None:
    """Run ``Tuner.fit`` of a function on a Ray of this machine."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
        import ray
        from ray import tune

        with _loopback_alone():
            quiet: dict[str, Any] = {"include_dashboard": False, "logging_level": logging.ERROR, "log_to_driver": False}
            ray.init(address="local", num_cpus=1, **quiet)
        try:
            space = {choice.label: tune.choice(list(choice.options)) for choice in SPACE.choices}
            tuner = tune.Tuner(
                lambda config: {"value": float(sum(config.values()))},
                param_space=space,
                tune_config=tune.TuneConfig(num_samples=trials, metric="value", mode="max", max_concurrent_trials=1),
                run_config=tune.RunConfig(storage_path=str(folder), verbose=0),
            )
            tuner.fit()
        finally:
            ray.shutdown()
