"""The third stage: the search among the paths of the supernet."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch

from autopanoptic.nas import (
    Architecture,
    FairPaths,
    InfeasibleError,
    InlineExecutor,
    ProcessExecutor,
    Racing,
    RandomSearch,
    RayExecutor,
    Result,
    Search,
    SearchSpace,
    Stopper,
    Strategy,
    Supernet,
)
from autopanoptic.nas.costs.table import CostTable
from autopanoptic.nas.evaluation.evaluator import Evaluator, Metrics, Report
from autopanoptic.nas.executors.base import Executor
from autopanoptic.nas.trials.objective import Objective
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.results.pretrained import with_known_backbone
from autopanoptic.panoptic.search.devices import OnOwnDevice
from autopanoptic.panoptic.search.evaluator import PanopticEvaluator
from autopanoptic.panoptic.search.first_candidates import first_candidates
from autopanoptic.panoptic.search.strategies import beginnings, family, strategy_of
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.stages.batches import chunks_of, recalibration_batches, validation_of
from autopanoptic.panoptic.stages.checks import check_cycle
from autopanoptic.panoptic.stages.costs import budget, costs, limits
from autopanoptic.panoptic.stages.machine import device_of, devices_here
from autopanoptic.panoptic.stages.networks import network_config, network_of, require_for_any_classes
from autopanoptic.panoptic.stages.starts import check_start

TITLES = {"search": "search", "random": "random draws", "family": "hand-made family", "val": "the same on val"}
"""What stands before the progress of the searches, by the names of their journals."""
JOURNAL = "search.jsonl"
"""The journal of the search itself, in a run's folder."""
LATENCY = "latency_ms"
TOP, TOP_OF_FRONT = 10, 3
"""So many candidates must be surely better before one is given up: with one objective, and with a cost beside it, when
better means no dearer as well."""


def check_feasible(
    settings: Settings, datasets: Datasets, architecture: Architecture | None = None, *, begun: bool = False
) -> tuple[str, ...]:
    """Refuse, before anything is trained, a search that could not even begin.

    Args:
        settings: Of the run.
        datasets: Its data.
        architecture: The only one that is trained, where none is searched.
        begun: Whether the search has its journal, which knows the candidates of a warm start.

    Returns:
        The layers that the starting weights lack, see `check_start`.

    Raises:
        ValueError: If the strategy cannot search with these settings, no candidate keeps the limit on FLOPs, the
            supernet's training ends within a cycle, the objective is that of a kind of category that the data lacks,
            the warm start does not fit, or the compared networks cannot start as the settings say.
        FileNotFoundError: If there is no file of the warm start.
    """
    categories = datasets.train.categories
    for kind, found in (("things", categories.things), ("stuff", categories.stuff)):
        if settings.search.objective.endswith(kind) and not found:
            raise ValueError(
                f"objective={settings.search.objective!r}, but {datasets.train.source} has no category of {kind}"
            )
    if architecture is None:
        require_choices(settings)
    left_out = check_start(settings, categories, architecture)
    space = searched_space(settings, datasets)
    if not space.choices:  # one network, which is trained
        return left_out
    objectives = [Objective(name, direction) for name, direction in objectives_of(settings).items()]
    strategy_of(settings.search.strategy, settings.search.trials, space).check(space, objectives)
    stopper = stopper_of(settings, datasets)
    if stopper is not None:
        stopper.check(objectives)
    _require_candidates(settings, space)
    if architecture is None and not begun:
        _warm_start(settings, network_config(settings, categories), space)
    if settings.search.space == "auto-panoptic":
        check_cycle(settings, FairPaths(space.unconstrained).cycle)
    return left_out


def _require_candidates(settings: Settings, space: SearchSpace) -> None:
    """Refuse limits that hardly any candidate keeps."""
    asked = settings.search
    try:
        space.sample(np.random.default_rng(settings.seed))
    except InfeasibleError as error:
        if asked.max_gflops is not None or asked.max_share is None:
            raise
        raise InfeasibleError(
            f"{error} The limit is search.max_share, {asked.max_share:g} of what the network made by hand costs; take "
            "a larger share, or null for no limit"
        ) from error


def require_warm_start(settings: Settings) -> None:
    """Refuse a search that is to begin with what is not there or is none of its candidates, before its data are.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is none that is read, or nothing in it fits the space, limits on costs aside.
    """

    def check(config: PanopticConfig) -> None:
        with torch.device("meta"):
            _warm_start(settings, config, Supernet(PanopticNetwork(config)).space)

    if settings.search.warm_start is not None:
        require_for_any_classes(settings, check)


def require_choices(settings: Settings) -> None:
    """Refuse a search where every part of the network is fixed.

    Raises:
        ValueError: Saying how the network is trained.
    """
    if the_network(settings) is not None:
        raise ValueError(
            "there is nothing to search: in search.space auto-panoptic the network has no choice, with "
            f"network.backbone {settings.network.backbone}, semantic_head {settings.network.semantic_head} and "
            f"mask_head {settings.network.mask_head}; `autopanoptic panoptic retrain` trains it, without a search"
        )


def the_network(settings: Settings) -> Architecture | None:
    """Return the one architecture there is where every part of the network is fixed; else None."""
    with torch.device("meta"):
        space = Supernet(PanopticNetwork(with_known_backbone(settings.network_for(1, 1)))).space
    return None if space.choices else space.canonical({})


def searched_space(settings: Settings, datasets: Datasets) -> SearchSpace:
    """Return the space of a run within the limits on its candidates' costs."""
    with torch.device("meta"):
        whole = Supernet(PanopticNetwork(network_config(settings, datasets.train.categories))).space
    return CostTable(costs(settings, datasets), limits(settings, datasets, whole)).constrained(whole)


class Candidates:
    """What the candidates of a run are searched among, measured on and compared by.

    As a context manager it keeps the process that starts its workers from one search to the next.

    Args:
        settings: Of the run.
        supernet: Trained.
        datasets: Of the run.
        folder: Of the run; each search goes on from its journal there.
        progress: Whether to show bars.
    """

    def __init__(
        self, settings: Settings, supernet: Supernet, datasets: Datasets, folder: Path, *, progress: bool
    ) -> None:
        self.settings, self.supernet, self.folder, self.progress = settings, supernet, folder, progress
        self.device = device_of(settings)
        divisor = network_of(supernet).config.image_divisor
        self._stopper = stopper_of(settings, datasets)
        validation = validation_of(settings, datasets.nas_val, divisor, reports=self._stopper is not None)
        batches = recalibration_batches(settings, datasets.train, divisor)
        self._evaluator = PanopticEvaluator(supernet, validation, batches)
        self._costs = costs(settings, datasets)
        if LATENCY in self._costs:
            self._costs[LATENCY] = _Once(self._costs[LATENCY])
        self._limits = limits(settings, datasets, supernet.space)
        self._datasets = datasets
        self._executor = self._executor_of()
        self._kept = ExitStack()

    def __enter__(self) -> Candidates:
        if isinstance(self._executor, (ProcessExecutor, RayExecutor)):
            self._kept.enter_context(self._executor.kept())
        return self

    def __exit__(self, *_: object) -> None:
        self._kept.close()

    def searched(self) -> Result:
        """Search by the strategy of the settings, which with a cost begins with what one would make by hand.

        That is the hand-made family, or where components are choices the published models in some sizes. What one would
        build anyway is the least that a search has to beat, and random architectures of a large space hardly ever come
        near its ends: with them it would take many generations to get to the small networks. Then come those of the
        settings' warm start.
        """
        asked = self.settings.search
        strategy = strategy_of(asked.strategy, asked.trials, self.supernet.space)
        members = beginnings(self.supernet.space) if asked.cost is not None else []
        limited = CostTable(self._costs, self._limits)
        first = [one for one in members if limited.allows(one)]
        if not (self.folder / JOURNAL).exists():  # which has its own
            space = limited.constrained(self.supernet.space)
            first += _warm_start(self.settings, network_of(self.supernet).config, space)
        return self._run("search", strategy, asked.trials, initial=first)

    def drawn(self, trials: int) -> Result:
        """Measure so many random architectures."""
        return self._run("random", RandomSearch(), trials, seed=1)

    @property
    def budget(self) -> float | None:
        """The most GFLOPs that a candidate may have by the settings; None where they set no limit."""
        return budget(self.settings, self._datasets, self.supernet.space)

    def by_hand(self) -> list[Architecture]:
        """Return of the hand-made family what keeps the limits on costs, or the smallest where nothing does."""
        members, limited = family(self.supernet.space), CostTable(self._costs, self._limits)
        return [one for one in members if limited.allows(one)] or members[:1]

    def family(self, members: Sequence[Architecture], known: Result | None = None) -> Result:
        """Measure some architectures, which need not keep the limit on FLOPs.

        Args:
            members: Which.
            known: A search of these candidates, whose results are taken over: measured again they would be the same.
        """
        own = self._placed(self._evaluator)
        evaluator = own if known is None else _Remembering(own, known, set(self._costs))
        return self._run("family", RandomSearch(), len(members), initial=members, compared=True, evaluator=evaluator)

    def on_val(self, architectures: Sequence[Architecture]) -> Result:
        """Measure some architectures, as paths of the supernet still, on the images that chose none of them."""
        divisor = network_of(self.supernet).config.image_divisor
        evaluator = PanopticEvaluator(
            self.supernet, validation_of(self.settings, self._datasets.val, divisor), self._evaluator.recalibrate_with
        )
        return self._run(
            "val",
            RandomSearch(),
            len(architectures),
            initial=architectures,
            compared=True,
            evaluator=self._placed(evaluator),
        )

    def _run(
        self,
        name: str,
        strategy: Strategy,
        trials: int,
        seed: int = 0,
        initial: Sequence[Architecture] = (),
        compared: bool = False,
        evaluator: Evaluator | None = None,
    ) -> Result:
        """Run one of the searches; one that is made for a comparison measures every network to the end."""
        search = Search(
            self.supernet.space,
            strategy,
            evaluator or self._placed(self._evaluator),
            objectives=objectives_of(self.settings),
            costs=self._costs,
            constraints={} if compared else self._limits,
            executor=self._executor,
            ordered=True,
            journal=self.folder / f"{name}.jsonl",
            seed=self.settings.seed + seed,
            stopper=None if compared else self._stopper,
            initial=initial,
        )
        latency = self._costs.get(LATENCY)
        if isinstance(latency, _Once):
            latency.known |= {trial.architecture: trial.metrics[LATENCY] for trial in search.history.completed}
        if search.result().ended is not None and len(search.history) >= (0 if name == "search" else trials):
            return search.result()
        # Workers take it from the CPU, each to its own GPU.
        network = network_of(self.supernet).to(self.device if self._in_this_process else "cpu")
        # Without a bar a long search writes lines.
        result = search.run(trials=trials, progress=self.progress or None, title=TITLES[name])
        network.to("cpu")
        return result

    @property
    def _workers(self) -> int:
        """How many candidates are evaluated at a time: as many as the settings say, in all or on each GPU."""
        machine = self.settings.machine
        # Beside others a network's time could not be measured.
        if machine.executor == "inline" or self.settings.search.cost == LATENCY:
            return 1
        if self.device.type == "cpu" or machine.executor == "ray":
            return machine.workers
        return devices_here(self.settings) * machine.per_gpu

    def _executor_of(self) -> Executor:
        workers, machine = self._workers, self.settings.machine
        threads = max(1, machine.threads // workers)
        if machine.executor == "ray" and self.settings.search.cost != LATENCY:
            gpu = {} if self.device.type == "cpu" else {"num_gpus": 1 / machine.per_gpu}
            return RayExecutor(workers=workers, resources={"num_cpus": threads, **gpu})
        return InlineExecutor() if workers == 1 else ProcessExecutor(workers, threads)

    @property
    def _in_this_process(self) -> bool:
        return isinstance(self._executor, InlineExecutor)

    def _placed(self, evaluator: PanopticEvaluator) -> Evaluator:
        """Return an evaluator that computes where its worker has to."""
        if self.device.type == "cpu" or self._in_this_process:
            return evaluator
        # On Ray a worker sees its own GPU alone.
        count = 1 if isinstance(self._executor, RayExecutor) else devices_here(self.settings)
        return OnOwnDevice(evaluator, self.device.type, count)


class _Once:
    """A cost that is measured once for each architecture: all searches of a run shall agree on it."""

    slow = True

    def __init__(self, measure: Callable[[Architecture], float]) -> None:
        self.measure = measure
        self.known: dict[Architecture, float] = {}

    def __call__(self, architecture: Architecture) -> float:
        if architecture not in self.known:
            self.known[architecture] = self.measure(architecture)
        return self.known[architecture]


class _Remembering:
    """An evaluator that knows the results of a finished search, but for the costs, which are measured beside it."""

    def __init__(self, evaluator: Evaluator, known: Result, costs: Collection[str]) -> None:
        self.evaluator = evaluator
        self.known = {
            trial.architecture: {name: value for name, value in trial.metrics.items() if name not in costs}
            for trial in known.history.completed
        }

    def evaluate(self, architecture: Architecture, report: Report) -> Metrics:
        found = self.known.get(architecture)
        return self.evaluator.evaluate(architecture, report) if found is None else found


def _warm_start(settings: Settings, config: PanopticConfig, space: SearchSpace) -> list[Architecture]:
    """Return the candidates of another search with which a run's begins.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is none that is read, or nothing in it fits the space; begins with the key.
    """
    asked = settings.search
    if asked.warm_start is None:
        return []
    strategy = strategy_of(asked.strategy, asked.trials, space)
    try:
        return first_candidates(asked.warm_start, space, config, strategy)
    except (FileNotFoundError, ValueError) as error:
        raise type(error)(f"search.warm_start: {error}") from error


def objectives_of(settings: Settings) -> dict[str, str]:
    """Return what a search is for: the metric up, and the cost down where there is one."""
    cost = settings.search.cost
    return {settings.search.objective: "max", **({} if cost is None else {cost: "min"})}


def stopper_of(settings: Settings, datasets: Datasets) -> Stopper | None:
    """Return the rule that gives up candidates which fall behind on the first images of nas_val, if there is one.

    Raises:
        ValueError: If one is asked for and nas_val has too few batches to look at a candidate on the way.
    """
    asked = settings.search.racing
    if asked is False or (asked is None and settings.search.cost is None):
        return None
    steps, every = chunks_of(settings, datasets.nas_val)
    if every is None:
        if asked is None:
            return None
        raise ValueError(
            f"search.racing: nas_val's {len(datasets.nas_val)} images are {steps} batches of "
            f"{settings.machine.evaluation_batch}, too few to give a candidate up on the way; take a smaller "
            "machine.evaluation_batch or leave racing off"
        )
    top = TOP if settings.search.cost is None else TOP_OF_FRONT
    return Racing(steps=steps, top=min(top, settings.search.trials))
