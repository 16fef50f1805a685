"""The whole panoptic search: data, supernet, search, retraining, comparison."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from rich.console import Console

from autopanoptic.nas import Architecture, Result, Supernet
from autopanoptic.panoptic import report, stages
from autopanoptic.panoptic.data.layout import Datasets
from autopanoptic.panoptic.evaluator import Validation
from autopanoptic.panoptic.settings import Settings

SETTINGS = "settings.json"


class Pipeline:
    """A run of the panoptic search in one folder; what is done there already is not done again.

    The folder gets ``settings.json``, ``data/`` (generated scenes), ``supernet/``, the journals ``search.jsonl`` and
    ``random.jsonl``, ``networks/<name>/`` with weights, logs and pictures, ``architecture.json``, ``search.json``,
    ``metrics.json`` and plots.

    Args:
        settings: What to run.
        folder: Where; made if it is missing.
        console: What is happening is told here.

    Raises:
        FileExistsError: If the folder holds a run with other settings.
    """

    def __init__(self, settings: Settings, folder: Path, console: Console | None = None) -> None:
        self.settings = settings
        self.folder = folder
        self.console = console or Console()
        saved = folder / SETTINGS
        if saved.exists() and Settings.load(saved) != settings:
            raise FileExistsError(f"{folder} holds a run with other settings; resume that one, or choose another name.")
        folder.mkdir(parents=True, exist_ok=True)
        settings.save(saved)
        self.seconds: dict[str, float] = {}

    def run(self) -> dict[str, report.NetworkReport]:
        """Run every stage that is not done yet, print the comparison and return it."""
        progress = self.console.is_terminal
        with self._stage("data"):
            datasets = stages.prepare(self.settings, self.folder, self.console)
            self._describe(datasets)
        with self._stage("supernet"):
            supernet = stages.train_supernet(self.settings, datasets, self.folder / "supernet", progress=progress)
        with self._stage("search"):
            searched, drawn = self._search(supernet, datasets, progress=progress)
        chosen = {
            "searched": stages.answer_of(self.settings, supernet.space, searched),
            "random": drawn.best.architecture,
            "hand-made": stages.hand_made(supernet.space),
        }
        with self._stage("retraining"):
            reports = self._retrain(supernet, chosen, datasets, progress=progress)
        self._finish(reports, searched, drawn)
        return reports

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        self.console.rule(name, align="left")
        start = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - start
        self.console.print(f"[dim]{name}: {self.seconds[name]:.0f} s[/dim]")

    def _describe(self, datasets: Datasets) -> None:
        categories = datasets.train.categories
        self.console.print(
            f"{len(datasets.train)} images to train on, {len(datasets.nas_val)} to compare candidates on, "
            f"{len(datasets.val)} to report on; "
            f"{len(categories.things)} thing and {len(categories.stuff)} stuff classes"
        )
        if datasets.overfit:
            self.console.print(
                "[yellow]All three splits are the same images: the figures show whether they were memorised, "
                "not how good the networks are.[/yellow]"
            )

    def _search(self, supernet: Supernet, datasets: Datasets, *, progress: bool) -> tuple[Result, Result]:
        settings = self.settings
        found = []
        for baseline, journal in ((False, "search.jsonl"), (True, "random.jsonl")):
            result = stages.search(
                settings, supernet, datasets, self.folder / journal, baseline=baseline, progress=progress
            )
            name = "random draws" if baseline else settings.strategy
            best = result.best.metrics[settings.objective]
            self.console.print(
                f"{name}: best {settings.objective} on nas_val {best:.1f} of {result.history.n_completed} candidates"
            )
            found.append(result)
        return found[0], found[1]

    def _retrain(
        self, supernet: Supernet, chosen: dict[str, Architecture], datasets: Datasets, *, progress: bool
    ) -> dict[str, report.NetworkReport]:
        divisor = stages.network_of(supernet).config.image_divisor
        validation = Validation(
            datasets.val, stages.batches_of(self.settings, datasets.val, divisor), self.settings.rules
        )
        costs = stages.costs(supernet, next(iter(validation.batches)).images[:1])
        device: torch.device = stages.device_of(self.settings)
        reports = {}
        for name, architecture in chosen.items():
            folder = self.folder / "networks" / name
            network = stages.retrain(self.settings, architecture, datasets, folder, name, progress=progress)
            quality, latency = report.evaluate(network.to(device), validation, datasets.val, folder / "pictures")
            gflops, mparams = costs["gflops"](architecture), costs["mparams"](architecture)
            reports[name] = report.NetworkReport(name, architecture, quality, gflops, mparams, latency)
            self.console.print(f"{name} ({architecture.id}): PQ {100 * quality.all.pq:.1f} on val")
        return reports

    def _finish(self, reports: dict[str, report.NetworkReport], searched: Result, drawn: Result) -> None:
        extra = {"seconds": self.seconds, "device": str(stages.device_of(self.settings)), "torch": torch.__version__}
        report.write(self.folder, reports, searched, drawn, extra)
        self.console.print(report.table(reports, "Retrained from scratch with equal steps, measured on val"))
        self.console.print(report.verdict(reports))
        self.console.print(f"Written to {self.folder}: architecture.json, metrics.json, plots, networks/*/pictures")
