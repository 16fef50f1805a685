"""The whole panoptic search: every stage of a run, and the comparison of what it finds with other networks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, cast

import torch

from autopanoptic.nas import Architecture, Result, Supernet
from autopanoptic.nas.supernet.specialization import specialized_network
from autopanoptic.panoptic.data.coco.layout import Datasets, find_splits
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.weights import load_weights
from autopanoptic.panoptic.results.drawing import draw_network
from autopanoptic.panoptic.results.fronts import HAND_MADE, RANDOM, SEARCHED, Fronts
from autopanoptic.panoptic.results.json_files import read_object
from autopanoptic.panoptic.results.latency import latency
from autopanoptic.panoptic.run.folder import Run, load_run
from autopanoptic.panoptic.run.prepare import prepared
from autopanoptic.panoptic.run.pretrain import pretrain_all, pretrain_supernet
from autopanoptic.panoptic.run.retrain import Trained, train_finalists
from autopanoptic.panoptic.run.screening import screened
from autopanoptic.panoptic.run.search import (
    candidates_of,
    compare_fronts,
    finalists_of,
    find,
    tell,
    tell_answer,
    trained_of,
)
from autopanoptic.panoptic.run.taking import ORIGIN
from autopanoptic.panoptic.run.train_supernet import train_supernet
from autopanoptic.panoptic.search.evaluator import run_norms
from autopanoptic.panoptic.search.strategies import hand_made
from autopanoptic.panoptic.stages import comparison
from autopanoptic.panoptic.stages.batches import batches_of, recalibration_batches, validation_of
from autopanoptic.panoptic.stages.costs import costs
from autopanoptic.panoptic.stages.machine import device_of
from autopanoptic.panoptic.stages.networks import build, network_config, read_from
from autopanoptic.panoptic.stages.prepare import NETWORKS, SCENES, SUPERNET_FOLDER, require_begun_data
from autopanoptic.panoptic.stages.search import Candidates
from autopanoptic.panoptic.stages.starts import start_of
from autopanoptic.panoptic.stages.supernet import SUPERNET
from autopanoptic.panoptic.training.recipe import Recipe
from autopanoptic.panoptic.training.validation import best_of


class Pipeline(Run):
    """A run of all stages in one folder, with what its networks are compared with.

    The folder gets ``config.yaml``, ``data.json`` (what the data was), ``data/`` (generated scenes), ``supernet/``,
    ``crops/`` and ``pretraining/`` where backbones learn to classify images before,
    the journals ``search.jsonl`` and ``random.jsonl``, ``networks/<name>/`` with weights, logs and pictures,
    ``architecture.json``, ``search.json``, ``metrics.json`` and plots; where it searches with a cost, ``family.jsonl``,
    ``val.jsonl``, ``front.json`` and ``front.png``. Arguments and errors are those of `Run`.
    """

    def run(self) -> dict[str, comparison.NetworkReport]:
        """Run every stage that is not done yet, print the comparison and return it."""
        datasets = prepared(self)
        if self.settings.pretraining.supernet is not None:
            pretrain_supernet(self)
        train_supernet(self)
        with self.stage("search"), candidates_of(self) as candidates:
            searched = find(self, candidates)
            drawn = self._drawn(candidates, len(searched.history))
            compared = self._compared(candidates, searched, drawn)
        if self.settings.init == "pretrained":
            pretrain_all(self, [*trained_of(self, searched, compared.fronts), *compared.others.values()])
        with self.stage("retraining"):
            trained = self._train(searched, compared)
            measured = self._measure(trained, compared, datasets)
        self._finish(measured, trained, searched, drawn)
        return measured

    def _drawn(self, candidates: Candidates, count: int) -> Result | None:
        """Measure random architectures, where the settings have them."""
        if not self.settings.search.random_draws:
            return None
        drawn = candidates.drawn(count)
        tell(self, "random draws", drawn)
        return drawn

    def _compared(self, candidates: Candidates, searched: Result, drawn: Result | None) -> Compared:
        """Say what the search has found beside others, and return what is trained."""
        if self.settings.search.cost is not None:
            return self._front(candidates, searched, drawn)
        tell_answer(self, searched)
        others = {} if drawn is None else {RANDOM: drawn.best.architecture}
        if self.settings.search.hand_made:
            limited = candidates.budget is not None
            others[HAND_MADE] = candidates.by_hand()[-1] if limited else hand_made(candidates.supernet.space)
        return Compared(None, others)

    def _front(self, candidates: Candidates, searched: Result, drawn: Result | None) -> Compared:
        """Compare the fronts, and return what each has to offer at the budget."""
        fronts = compare_fronts(self, candidates, searched, drawn)
        fronts = fronts.with_val(candidates.on_val(fronts.offered()))
        fronts.save(self.folder)
        fronts.draw(self.folder / "front.png", searched)
        self.console.print(fronts.table("val"))
        self.say(fronts.summary())
        finalists = finalists_of(self, searched, fronts)
        names = self.settings.search.compared
        self.say(fronts.budget_line(len(finalists), names))
        return Compared(fronts, {name: fronts.chosen(name).architecture for name in names})

    def _train(self, searched: Result, compared: Compared) -> Trained:
        trained = train_finalists(self, screened(self, searched, compared.fronts), compared.others)
        if trained.on_nas_val:
            self.say(f"The best of them is the searched network{_once(list(compared.others))}.")
        return trained

    def _measure(self, trained: Trained, compared: Compared, datasets: Datasets) -> dict[str, comparison.NetworkReport]:
        """Measure the networks on val, draw them, and say what they are worth."""
        settings, device, folder = self.settings, device_of(self.settings), self.folder / NETWORKS
        divisor = network_config(settings, datasets.train.categories, searched=True).image_divisor
        validation, cost = validation_of(settings, datasets.val, divisor), costs(settings, datasets)
        one = next(iter(batches_of(settings, datasets.nas_val.subset([0]), divisor)))
        measured: dict[str, comparison.NetworkReport] = {}
        times: dict[Architecture, float] = {}
        for name in (SEARCHED, *compared.others):
            architecture, network = trained.architectures[name], trained.networks[name].to(device)
            if architecture not in times:
                times[architecture] = latency(
                    network, one, datasets.val.categories, settings.merge, settings.machine.precision
                )
            quality = comparison.evaluate(network, validation, datasets.val, folder / name / "pictures")
            measured[name] = comparison.NetworkReport(
                name,
                architecture,
                quality,
                gflops=cost["gflops"](architecture),
                mparams=cost["mparams"](architecture),
                latency_ms=times[architecture],
            )
            draw_network(network, architecture, folder / name / "network.png", _title(measured[name]))
            self.console.print(
                f"{name} ({architecture.id}): PQ {100 * quality.all.pq:.1f} on val"
                f"{_kept(folder / trained.folders[architecture], settings.retrain)}"
            )
        return measured

    def _finish(
        self, measured: dict[str, comparison.NetworkReport], trained: Trained, searched: Result, drawn: Result | None
    ) -> None:
        origin = self.folder / ORIGIN
        extra = {
            "seconds": self.seconds,
            **({"supernet_from": read_object(origin)} if origin.exists() else {}),
            "finalists_on_nas_val": trained.on_nas_val,
            **({"screened_on_nas_val": trained.screened} if trained.screened else {}),
            "device": str(device_of(self.settings)),
            "torch": torch.__version__,
        }
        found = comparison.differences(measured)
        comparison.write(self.folder, measured, found, searched, drawn, extra)
        title = f"Trained {start_of(self.settings)} with equal steps, measured on val"
        self.console.print(comparison.table(measured, title))
        if len(measured) > 1:
            self.say(comparison.verdict(measured, found))
        self.console.print(f"Written to {self.folder}: architecture.json, metrics.json, plots, networks/*/pictures")


class Compared(NamedTuple):
    """What the search has found, where it has a cost, and the networks with which its answer is compared, by name."""

    fronts: Fronts | None
    others: dict[str, Architecture]


def network_within(folder: str | Path, **bounds: tuple[float | None, float | None]) -> PanopticNetwork:
    """Return the best network that a run's search has found for a budget, ready to use without training.

    It has its path's weights in the run's supernet, and batch-norm statistics of its own from the run's training
    images; so its quality on nas_val is the candidate's. It is in evaluation mode.

    Args:
        folder: Of the run, whose data must be where they were.
        **bounds: (low, high) by the name of a metric or cost of the candidates, either may be None; such as
            ``gflops=(None, 0.2)``.

    Raises:
        FileNotFoundError: If there is no run, it has not trained its supernet, or the data are gone.
        ValueError: If no candidate lies within the bounds, a file is damaged, or the data are no more those with which
            the run began.
    """
    folder = Path(folder)
    settings, weights = load_run(folder), folder / SUPERNET_FOLDER / SUPERNET
    if not weights.exists():
        raise FileNotFoundError(f"there is no {weights}: the run has not trained its supernet; go on with it first")
    found = find_splits(folder / SCENES if settings.data.path is None else settings.data.path)
    train = found.open(settings.seed, orientation=settings.data.orientation).train
    require_begun_data(folder, {"train": train})
    network = build(network_config(settings, train.categories), settings.seed)
    with read_from(weights):
        load_weights(network, weights)
    supernet = Supernet(network)
    architecture = Result.from_journal(folder / "search.jsonl").best_within(bounds).architecture
    batches = recalibration_batches(settings, train, network.config.image_divisor)
    if batches is None:  # the candidates kept the supernet's statistics
        return cast("PanopticNetwork", supernet.subnet(architecture).eval())
    forward = partial(run_norms, precision=settings.machine.precision)
    return cast("PanopticNetwork", specialized_network(supernet, architecture, batches, forward))


def _once(others: Sequence[str]) -> str:
    """Say of the networks beside the finalists that there is one of each."""
    if not others:
        return ""
    verb = "is trained once" if len(others) == 1 else "are trained once each"
    return f"; the {' and the '.join(others)} one {verb}"


def _title(report: comparison.NetworkReport) -> str:
    quality = f"PQ {100 * report.quality.all.pq:.1f}"
    return f"{report.name}: {quality}, {report.gflops:.3g} GFLOPs, {report.mparams:.2f} M parameters"


def _kept(folder: Path, recipe: Recipe) -> str:
    """Say which weights of a training are measured, where they need not be the last."""
    best = best_of(folder) if recipe.keep == "best" else None
    if best is None:
        return ""
    return f", with its weights of pass {best.passes} of {recipe.passes}, the best on nas_val ({best.pq:.1f})"
