"""The whole panoptic search: data, supernet, search, retraining, comparison."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple, cast

import torch
from rich.console import Console

from autopanoptic.nas import Architecture, Result, Supernet
from autopanoptic.nas.supernet.specialization import specialized_network
from autopanoptic.panoptic.configs.config import differences, load_config, save_config
from autopanoptic.panoptic.data.coco.layout import Datasets, find_splits
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.weights import load_weights
from autopanoptic.panoptic.results.drawing import draw_network
from autopanoptic.panoptic.results.finalists import best_candidates, names_of, qualities, within_budget
from autopanoptic.panoptic.results.fronts import HAND_MADE, RANDOM, SEARCHED, Fronts
from autopanoptic.panoptic.results.latency import latency
from autopanoptic.panoptic.results.saved import save_network
from autopanoptic.panoptic.search.evaluator import error_name, run_norms
from autopanoptic.panoptic.search.strategies import answer_of, family, hand_made, strategy_of
from autopanoptic.panoptic.stages import comparison
from autopanoptic.panoptic.stages.batches import batches_of, recalibration_batches, validation_of
from autopanoptic.panoptic.stages.checks import check_settings
from autopanoptic.panoptic.stages.costs import costs
from autopanoptic.panoptic.stages.machine import device_of
from autopanoptic.panoptic.stages.networks import build, network_config, read_from, usage_of
from autopanoptic.panoptic.stages.prepare import SUPERNET_FOLDER, prepare
from autopanoptic.panoptic.stages.search import Candidates, check_feasible
from autopanoptic.panoptic.stages.settings import Settings
from autopanoptic.panoptic.stages.side_by_side import retrain_all
from autopanoptic.panoptic.stages.starts import start_of
from autopanoptic.panoptic.stages.supernet import SUPERNET, train_supernet
from autopanoptic.panoptic.training.recipe import Recipe
from autopanoptic.panoptic.training.validation import best_of

SETTINGS = "config.yaml"
"""File of a run's settings."""


class Pipeline:
    """A run of the panoptic search in one folder; what is done there already is not done again.

    The folder gets ``config.yaml``, ``data.json`` (what the data was), ``data/`` (generated scenes), ``supernet/``,
    the journals ``search.jsonl`` and ``random.jsonl``, ``networks/<name>/`` with weights, logs and pictures,
    ``architecture.json``, ``search.json``, ``metrics.json`` and plots; where it searches with a cost, ``family.jsonl``,
    ``val.jsonl``, ``front.json`` and ``front.png``.

    Args:
        settings: What to run.
        folder: Where; made if it is missing.
        console: What is happening is told here.

    Raises:
        FileExistsError: If the folder holds a run with other settings.
        FileNotFoundError: If the data or the file of starting weights is missing.
        ValueError: If the settings cannot lead to a result on this machine.
    """

    def __init__(self, settings: Settings, folder: Path, console: Console | None = None) -> None:
        check_settings(settings)
        self.settings = settings
        self.folder = folder
        self.console = console or Console()
        saved = folder / SETTINGS
        if saved.exists():
            require_same(load_run(folder), settings, folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._new = not saved.exists()
        if self._new:
            save_config(settings, saved)
        self._finalists: dict[str, float] = {}
        self._clock = folder / "seconds.json"
        self.seconds = _read_seconds(self._clock)

    def run(self) -> dict[str, comparison.NetworkReport]:
        """Run every stage that is not done yet, print the comparison and return it."""
        progress = self.console.is_terminal
        with self._stage("data"), self._refusable():
            datasets = prepare(self.settings, self.folder, self.console)
            self._describe(datasets)
            check_feasible(self.settings, datasets)
        with self._stage("supernet"):
            supernet = train_supernet(self.settings, datasets, self.folder / SUPERNET_FOLDER, progress=True)
        with self._stage("search"):
            candidates = Candidates(self.settings, supernet, datasets, self.folder, progress=progress)
            searched = candidates.searched()
            self._found(self.settings.search.strategy, searched)
            drawn = candidates.drawn(len(searched.history))
            self._found("random draws", drawn)
            if self.settings.search.cost is None:
                finalists, others = self._answers(supernet, searched, drawn)
            else:
                finalists, others = self._front(candidates, searched, drawn, len(datasets.nas_val))
        with self._stage("retraining"):
            measured = self._retrain(finalists, others, datasets)
        self._finish(measured, searched, drawn)
        return measured

    def _answers(self, supernet: Supernet, searched: Result, drawn: Result) -> Compared:
        """Return what is compared after a search for quality alone."""
        strategy = strategy_of(self.settings.search.strategy, self.settings.search.trials, supernet.space)
        answer = answer_of(strategy, searched)
        value = comparison.on_nas_val(searched, answer)
        shown = "no result" if value is None else f"{value:.1f}"
        self._say(f"answer ({answer.id}): {self.settings.search.objective} on nas_val {shown}")
        finalists = best_candidates(searched, self.settings.search.finalists, first=answer)
        return Compared(finalists, {RANDOM: drawn.best.architecture, HAND_MADE: hand_made(supernet.space)})

    def _front(self, candidates: Candidates, searched: Result, drawn: Result, images: int) -> Compared:
        """Compare the fronts, and return what each has to offer at the budget."""
        made = candidates.family(family(candidates.supernet.space), known=searched)
        asked = self.settings.search
        fronts = Fronts.of(
            searched, drawn, made, images=images, limit=asked.max_gflops if asked.cost == "gflops" else None
        )
        self.console.print(fronts.table())
        fronts = fronts.with_val(candidates.on_val(fronts.offered()))
        fronts.save(self.folder)
        fronts.draw(self.folder / "front.png", searched)
        self.console.print(fronts.table("val"))
        self._say(fronts.summary())
        finalists = within_budget(searched, fronts, asked.finalists)
        self._say(fronts.budget_line(len(finalists)))
        return Compared(finalists, {name: fronts.chosen(name).architecture for name in (RANDOM, HAND_MADE)})

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        self.console.rule(name, align="left")
        start = time.monotonic()
        yield
        seconds = time.monotonic() - start
        # A resumed stage adds to what it took before; a call that was killed is not counted.
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        partial = self._clock.with_suffix(".partial")
        partial.write_text(json.dumps(self.seconds))
        os.replace(partial, self._clock)
        self.console.print(f"[dim]{name}: {seconds:.0f} s[/dim]")

    @contextmanager
    def _refusable(self) -> Iterator[None]:
        """Settings that are refused before anything is trained do not stand in the way of better ones."""
        scenes = self.folder / "data"
        generated = self._new and self.settings.data.path is None and not scenes.exists()
        try:
            yield
        except (ValueError, FileNotFoundError):
            if self._new:
                (self.folder / SETTINGS).unlink()
            if generated:  # other settings may ask for other scenes
                shutil.rmtree(scenes, ignore_errors=True)
            raise

    def _describe(self, datasets: Datasets) -> None:
        categories = datasets.train.categories
        self.console.print(
            f"{len(datasets.train)} images to train on, {len(datasets.nas_val)} to compare candidates on, "
            f"{len(datasets.val)} to measure the networks found on; "
            f"{len(categories.things)} thing and {len(categories.stuff)} stuff classes"
        )
        if datasets.overfit:
            self.console.print(
                "[yellow]All three splits are the same images: the figures show whether they were memorised, "
                "not how good the networks are.[/yellow]"
            )

    def _found(self, name: str, result: Result) -> None:
        """Say what a search has found, and how sure that is."""
        objective, best = self.settings.search.objective, result.best
        count, stopped = result.history.n_completed, len(result.history) - result.history.n_completed
        given_up = f" and {stopped} given up" if stopped else ""
        self._say(
            f"{name}, best of {count} candidates{given_up} ({best.architecture.id}): {objective} on nas_val "
            f"{best.metrics[objective]:.1f}"
        )
        errors = [found[error_name(objective)] for found in _metrics(result) if error_name(objective) in found]
        if errors and name == self.settings.search.strategy:
            self._say(
                f"A candidate's {objective} has a standard error of {median(errors):.1f} over the images of nas_val"
            )

    def _say(self, line: str) -> None:
        self.console.print(line, markup=False, highlight=False)

    def _retrain(
        self, finalists: list[Architecture], others: dict[str, Architecture], datasets: Datasets
    ) -> dict[str, comparison.NetworkReport]:
        settings, device = self.settings, device_of(self.settings)
        config = network_config(settings, datasets.train.categories, searched=True)
        validation = validation_of(settings, datasets.val, config.image_divisor)
        cost = costs(settings, datasets)
        one = next(iter(batches_of(settings, datasets.nas_val.subset([0]), config.image_divisor)))
        folder = self.folder / "networks"
        trained = {**names_of(finalists), **others}
        networks = retrain_all(settings, trained, datasets, folder, self.folder / SUPERNET_FOLDER, self.console)
        winner = self._winner({name: networks[name] for name in trained if name not in others}, datasets)
        networks[SEARCHED], chosen = networks[winner], {SEARCHED: trained[winner], **others}
        if winner != SEARCHED:
            usage = usage_of(settings, datasets.train.categories)
            save_network(networks[SEARCHED], chosen[SEARCHED], folder / SEARCHED, usage)
        measured: dict[str, comparison.NetworkReport] = {}
        times: dict[Architecture, float] = {}
        for name, architecture in chosen.items():
            network = networks[name].to(device)
            if architecture not in times:
                times[architecture] = latency(network, one, settings.machine.precision)
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
            # Names that share an architecture share the training of the first.
            own = next(first for first, other in trained.items() if other == architecture)
            self.console.print(
                f"{name} ({architecture.id}): PQ {100 * quality.all.pq:.1f} on val"
                f"{_kept(folder / own, settings.retrain)}"
            )
        return measured

    def _winner(self, finalists: dict[str, PanopticNetwork], datasets: Datasets) -> str:
        """Return the name of the best of several trained networks on nas_val, and say what each is there."""
        if len(finalists) == 1:
            return next(iter(finalists))
        divisor = next(iter(finalists.values())).config.image_divisor
        validation = validation_of(self.settings, datasets.nas_val, divisor)
        objective = self.settings.search.objective
        found = qualities(finalists, validation, objective, device_of(self.settings))
        shown = ", ".join(f"{name} {value:.1f}" for name, value in found.items())
        self._say(f"Finalists, {objective} on nas_val: {shown}")
        self._say("The best of them is the searched network; the random and the hand-made one are trained once each.")
        self._finalists = found
        return max(found, key=lambda name: found[name])

    def _finish(self, measured: dict[str, comparison.NetworkReport], searched: Result, drawn: Result) -> None:
        extra = {
            "seconds": self.seconds,
            "finalists_on_nas_val": self._finalists,
            "device": str(device_of(self.settings)),
            "torch": torch.__version__,
        }
        found = comparison.differences(measured)
        comparison.write(self.folder, measured, found, searched, drawn, extra)
        title = f"Trained {start_of(self.settings)} with equal steps, measured on val"
        self.console.print(comparison.table(measured, title))
        self._say(comparison.verdict(measured, found))
        self.console.print(f"Written to {self.folder}: architecture.json, metrics.json, plots, networks/*/pictures")


class Compared(NamedTuple):
    """What is trained: what was searched, best first, and what it is compared with, by name."""

    finalists: list[Architecture]
    others: dict[str, Architecture]


def load_run(folder: Path) -> Settings:
    """Read the settings of a run from its folder.

    Raises:
        FileNotFoundError: If there is no run.
        ConfigError: If its settings are damaged.
    """
    if not (folder / SETTINGS).exists():
        raise FileNotFoundError(f"there is no run in {folder}: it has no {SETTINGS}")
    return load_config(folder / SETTINGS)


def network_within(folder: Path, **bounds: tuple[float | None, float | None]) -> PanopticNetwork:
    """Return the best network that a run's search has found for a budget, ready to use without training.

    It has its path's weights in the run's supernet, and batch-norm statistics of its own from the run's training
    images; so its quality on nas_val is the candidate's. It is in evaluation mode.

    Args:
        folder: Of the run, whose data must be where they were.
        **bounds: (low, high) by the name of a metric or cost of the candidates, either may be None; such as
            ``gflops=(None, 0.2)``.

    Raises:
        FileNotFoundError: If there is no run, it has not trained its supernet, or the data are gone.
        ValueError: If no candidate lies within the bounds, or a file is damaged.
    """
    settings, weights = load_run(folder), folder / SUPERNET_FOLDER / SUPERNET
    if not weights.exists():
        raise FileNotFoundError(f"there is no {weights}: the run has not trained its supernet; go on with it first")
    found = find_splits(folder / "data" if settings.data.path is None else settings.data.path)
    train = found.open(settings.seed, orientation=settings.data.orientation).train
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


def require_same(saved: Settings, settings: Settings, folder: Path) -> None:
    """Refuse settings that are not those of the run that a folder holds.

    Raises:
        FileExistsError: Naming what differs.
    """
    if saved != settings:
        changed = "; ".join(differences(saved, settings))
        raise FileExistsError(
            f"{folder} holds a run with other settings, which differ in {changed}. "
            "Resume that one, or choose another name"
        )


def _title(report: comparison.NetworkReport) -> str:
    quality = f"PQ {100 * report.quality.all.pq:.1f}"
    return f"{report.name}: {quality}, {report.gflops:.3g} GFLOPs, {report.mparams:.2f} M parameters"


def _metrics(result: Result) -> list[Mapping[str, float]]:
    return [trial.metrics for trial in result.history.completed]


def _kept(folder: Path, recipe: Recipe) -> str:
    """Say which weights of a training are measured, where they need not be the last."""
    best = best_of(folder) if recipe.keep == "best" else None
    if best is None:
        return ""
    return f", with its weights of pass {best.passes} of {recipe.passes}, the best on nas_val ({best.pq:.1f})"


def _read_seconds(path: Path) -> dict[str, float]:
    if not path.exists():
        return {}
    try:
        return {str(name): float(seconds) for name, seconds in json.loads(path.read_bytes()).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged: {error}; delete it, for nothing but times is lost") from error
