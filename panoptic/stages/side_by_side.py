"""Training the networks that are compared, several at a time."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from pathlib import Path

from rich.console import Console

from autopanoptic.nas import Architecture, InlineExecutor, ProcessExecutor, SearchError
from autopanoptic.nas.evaluation.evaluator import Evaluator, Metrics, Report
from autopanoptic.nas.executors.base import Executor, Outcome
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.results.saved import WEIGHTS, load_network, save_network
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.stages.machine import device_of, devices_of, threads_of_torch
from autopanoptic.panoptic.stages.networks import usage_of
from autopanoptic.panoptic.stages.retrain import retrain
from autopanoptic.panoptic.training.bars import bars


class TrainingError(SearchError):
    """A network that is to be compared could not be trained; the cause holds the traceback."""


def retrain_all(
    settings: Settings,
    chosen: Mapping[str, Architecture],
    datasets: Datasets,
    folder: Path,
    supernet: Path,
    console: Console,
    *,
    doing: str = "training",
) -> dict[str, PanopticNetwork]:
    """Train the networks of some architectures, as many at a time as the settings say.

    Each training goes on from what its folder holds, in a process of its own, `trainings` at a time on a CPU and
    `per_gpu` on each GPU. The weights depend on the settings' seed and threads, not on what is trained beside them.
    Names that share an architecture share one training.

    Args:
        settings: Of the run.
        chosen: Architectures by the names of their folders.
        datasets: Of the run.
        folder: Holds a folder for each name.
        supernet: The folder of the trained supernet, whose weights the networks may start from.
        console: Shows how far the trainings are.
        doing: What is said of them meanwhile.

    Raises:
        TrainingError: If a training fails; names it. The others keep what they have written.
        ValueError: If a finished network was trained otherwise, or its files are damaged.
    """
    trained: dict[Architecture, str] = {}
    for name, architecture in chosen.items():
        trained.setdefault(architecture, name)
    folders = {architecture: folder / name for architecture, name in trained.items()}
    training = _Training(settings, datasets, folders, supernet)
    # Before the others train, for hours perhaps: it refuses what was trained otherwise.
    networks = {
        one: retrain(settings, one, datasets, path, supernet)
        for one, path in folders.items()
        if (path / WEIGHTS).exists()
    }
    open_ones = {name: one for one, name in trained.items() if one not in networks}
    with bars(console, doing, list(open_ones)) as move:
        _run(
            training, open_ones, executor_of(settings, len(open_ones)),
            lambda name, done: move(name, done, settings.retrain.passes),
        )  # fmt: skip
    networks |= {one: load_network(folders[one]) for one in open_ones.values()}
    for name, architecture in chosen.items():
        if not (folder / name / WEIGHTS).exists():
            usage = usage_of(settings, datasets.train.categories)
            save_network(networks[architecture], architecture, folder / name, usage)
    return {name: networks[architecture] for name, architecture in chosen.items()}


def executor_of(settings: Settings, trainings: int) -> Executor:
    """Return what runs some trainings.

    Those are processes, where several fit into the settings' cores or share the GPU and no devices train each together.
    """
    machine = settings.machine
    on_cpu = device_of(settings).type == "cpu"
    at_a_time = min(trainings, machine.trainings // machine.threads if on_cpu else machine.per_gpu)
    if at_a_time > 1 and devices_of(settings) == 1:
        return ProcessExecutor(at_a_time, machine.threads)
    return InlineExecutor()


class _Training:
    """Trains the network of an architecture into its folder; for an executor."""

    def __init__(
        self, settings: Settings, datasets: Datasets, folders: Mapping[Architecture, Path], supernet: Path
    ) -> None:
        self.settings, self.datasets, self.supernet = settings, datasets, supernet.absolute()
        self.folders = {architecture: path.absolute() for architecture, path in folders.items()}

    def evaluate(self, architecture: Architecture, report: Report) -> Metrics:
        with threads_of_torch(self.settings.machine.threads):
            retrain(
                self.settings, architecture, self.datasets, self.folders[architecture], self.supernet,
                on_pass=lambda done: report(done, {}),
            )  # fmt: skip
        return {}


def _run(
    training: _Training, chosen: Mapping[str, Architecture], executor: Executor, move: Callable[[str, int], None]
) -> None:
    with closing(ended(training, chosen, executor, move)) as outcomes:
        for name, outcome in outcomes:
            if outcome.error is not None:
                raise failed(name, outcome)


def failed(name: str, outcome: Outcome) -> TrainingError:
    """Return the error of a training that has failed, with its traceback as the cause."""
    assert outcome.error is not None
    *_, problem = outcome.error.strip().splitlines()
    error = TrainingError(f"training the network {name!r} failed: {problem}")
    error.__cause__ = RuntimeError(outcome.error)
    return error


def ended(
    training: Evaluator, chosen: Mapping[str, Architecture], executor: Executor, move: Callable[[str, int], None]
) -> Generator[tuple[str, Outcome]]:
    """Run some trainings, as many at a time as an executor takes, and yield each when it has ended.

    What is still under way when this is closed is ended, so a caller that may stop before closes it.

    Args:
        training: Trains what an architecture stands for, and reports the passes that are done.
        chosen: What is trained, by names of one's own.
        executor: Runs them.
        move: Takes a name and the passes that are done of it.
    """
    names = list(chosen)

    def on_report(index: int, done: int, _: Metrics, seconds: float | None = None) -> bool:
        move(names[index], done)
        return False

    waiting = list(enumerate(names))
    running = 0
    try:
        executor.start(training, on_report, answers=False)
        while waiting or running:
            while waiting and running < executor.capacity:
                index, name = waiting.pop(0)
                executor.submit(index, chosen[name])
                running += 1
            outcome = executor.wait()
            assert outcome is not None  # there is no timeout
            running -= 1
            yield names[outcome.trial_id], outcome
    finally:
        executor.stop()
