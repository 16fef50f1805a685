"""A comparison from what a command line says, or as its folder has it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.console import Console

from autopanoptic.nas.storage.lock import LOCK, FileLock, working_on
from autopanoptic.panoptic.compare.compare import compare, summarised
from autopanoptic.panoptic.compare.contestants import Contestant, contestant_of, equal
from autopanoptic.panoptic.compare.naming import AT, Change, Named, Source, all_named
from autopanoptic.panoptic.compare.plan import Plan, load_plan
from autopanoptic.panoptic.compare.summary import Summary
from autopanoptic.panoptic.configs.config import resolve
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.results.given import COMPARISON, RUNS
from autopanoptic.panoptic.run.choice import folder_of
from autopanoptic.panoptic.settings.search import SearchSettings
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.stages.checks import check_settings
from autopanoptic.panoptic.stages.prepare import DATA, prepare


@dataclass(frozen=True)
class Made:
    """A comparison that is ready to run.

    Attributes:
        folder: Where it is.
        plan: What it is of.
        asked: What of it is trained now.
        datasets: Its data.
    """

    folder: Path
    plan: Plan
    asked: Plan
    datasets: Datasets

    def compared(self, against: str | None = None, console: Console | None = None) -> Summary:
        """Train what is not trained yet, and say how the networks compare; as `compare`."""
        self._require(against)
        return compare(self.plan, self.folder, self.datasets, console, asked=self.asked, against=against)

    def summarised(self, against: str | None = None) -> Summary:
        """Say how the networks compare as far as they are trained."""
        self._require(against)
        return summarised(self.plan, self.folder, self.datasets, against)

    def _require(self, against: str | None) -> None:
        if against is not None and against not in self.plan.contestants:
            raise ValueError(f"--against {against}: the comparison has {', '.join(self.plan.contestants)}")


def source_of(config: str, changes: Sequence[Change], *, quick: bool = False) -> Source:
    """Return what the networks of a comparison have in common.

    There is no supernet to start from: networks whose config says so start from weights that are drawn from the seed.

    Args:
        config: A file, or the name of one that ships.
        changes: Of its values, as `resolve` takes them.
        quick: Whether in its quick form.

    Raises:
        ValueError: If the networks are to start from what a comparison does not train, or are all to be one model.
    """
    if (model := next((place for key, _, place in changes if key == "network.model"), None)) is not None:
        raise ValueError(f"{model}: network.model is of one network; name the models to compare by --models NAME,...")
    init = resolve(config, changes, quick=quick).init
    given = next((place for key, _, place in changes if key == "init"), None)
    if init == "pretrained" or (init == "supernet" and given is not None):
        what = "trains no supernet" if init == "supernet" else "pretrains no backbones"
        raise ValueError(
            f"{given or config}: init is {init}, and a comparison {what}; take --init scratch, or a file of weights "
            "that fits every network"
        )
    scratch: list[Change] = [("init", "scratch", "compare")] if init == "supernet" else []
    return Source(config, [*changes, *scratch], quick)


def made(
    models: Iterable[str], source: Source, seeds: int, folder: Path, workers: int | None, console: Console
) -> Made:
    """Make a comparison, or go on with that of a folder, after all checks that need no training.

    Args:
        models: What is compared, see `named`.
        source: What all networks have in common.
        seeds: Trainings of each, at least 1.
        folder: Of the comparison.
        workers: Trainings at a time on a CPU; None for one on each core.
        console: Where is told what the data are, and what is compared.

    Raises:
        BlockingIOError: If another program works on the folder.
        FileExistsError: If the folder holds something else; names what differs.
        FileNotFoundError: If a model, a file or the data are missing.
        ValueError: If a network does not fit the config or the data, or a number is out of range.
    """
    if seeds < 1:
        raise ValueError(f"--seeds must be at least 1, not {seeds}")
    settings = _working(source.settings(), workers)
    names = [replace(one, settings=_working(one.settings, workers)) for one in all_named(models, source)]
    asked = Plan(settings, {}, tuple(range(settings.seed, settings.seed + seeds)))
    asked.within(folder)
    for one in names:
        _check(one)
    with _refusable(folder):
        datasets = _prepared(settings, folder, console)
        asked = replace(asked, contestants=_different([contestant_of(one, datasets) for one in names], console))
        with working_on(folder, FileLock(folder / LOCK)):
            plan = asked.within(folder)
            plan.save(folder)
    _tell(asked, folder, console)
    return Made(folder, plan, asked, datasets)


def opened(folder: Path, workers: int | None = None, console: Console | None = None) -> Made:
    """Open the comparison of a folder, to go on with it; arguments and errors as of `made`."""
    plan, console = load_plan(folder), console or Console(quiet=True)
    if workers is not None:
        plan = plan.on(_working(plan.settings, workers).machine)
    torch.set_num_threads(plan.settings.machine.threads)
    datasets = prepare(plan.settings, folder, console)
    _tell(plan, folder, console)
    return Made(folder, plan, plan, datasets)


def known_comparison(name: str | None) -> Path:
    """Return the folder of a comparison: that of a name, or the latest.

    Raises:
        FileNotFoundError: If there is none.
    """
    if name is not None:
        return folder_of(name)
    known = sorted(RUNS.glob(f"*/{COMPARISON}"), key=lambda path: path.stat().st_mtime)
    if not known:
        raise FileNotFoundError(f"{RUNS} holds no comparison")
    return known[-1].parent


def _working(settings: Settings, workers: int | None) -> Settings:
    """Return settings with so many trainings at a time, and without what says how to search: nothing is searched."""
    if workers is not None and workers < 1:
        raise ValueError(f"--workers must be at least 1, not {workers}")
    threads = settings.machine.threads
    count = max(1, len(os.sched_getaffinity(0)) // threads) if workers is None else workers
    return replace(
        settings,
        machine=replace(settings.machine, trainings=count * threads),
        search=SearchSettings(space=settings.search.space, strategy="random"),
        warmup=None,
        largest=None,
    )


def _check(one: Named) -> None:
    try:
        check_settings(one.settings)
    except (ValueError, FileNotFoundError) as error:
        raise type(error)(f"{one.name}: {error}") from error


@contextmanager
def _refusable(folder: Path) -> Iterator[None]:
    """Have a comparison that is refused leave no record of its data, which could stand in the way of others."""
    try:
        yield
    except BlockingIOError:  # what is there is of the program that works on it
        raise
    except (ValueError, OSError):
        if not (folder / COMPARISON).exists():
            (folder / DATA).unlink(missing_ok=True)
            with suppress(OSError):  # the scenes that were generated stay
                folder.rmdir()
        raise


def _prepared(settings: Settings, folder: Path, console: Console) -> Datasets:
    torch.set_num_threads(settings.machine.threads)
    folder.mkdir(parents=True, exist_ok=True)
    return prepare(settings, folder, console)


def _different(found: Sequence[Contestant], console: Console) -> dict[str, Contestant]:
    """Return networks by their names, of those made by hand for some costs that are one network the first.

    Raises:
        ValueError: If others are one network, which would be trained twice for nothing.
    """
    kept: dict[str, Contestant] = {}
    for one in found:
        same = next((other for other in kept.values() if equal(one, other)), None)
        if same is None:
            kept[one.name] = one
        elif AT in one.name:
            console.print(
                f"{one.name} is the network {same.name}, which stands for both", markup=False, highlight=False
            )
        else:
            raise ValueError(f"--models: {same.name} and {one.name} are the same network; leave out one of them")
    return kept


def _tell(plan: Plan, folder: Path, console: Console) -> None:
    shown = ", ".join(f"{one.name} {one.gflops:.3g}" for one in plan.contestants.values())
    console.print(
        f"Comparison {folder}: {len(plan.contestants)} networks x {len(plan.seeds)} seeds, "
        f"{plan.settings.retrain.passes} passes each\nGFLOPs: {shown}",
        markup=False,
        highlight=False,
    )
