"""How a run was made: the time of each stage, its config, and the versions of what it ran with."""

from __future__ import annotations

import platform

import torch

from autopanoptic.nas.storage.header import library_version
from autopanoptic.panoptic.configs.text import text_of
from autopanoptic.panoptic.report.blocks import Cell, Code, Fold, Lacking, Section, Table
from autopanoptic.panoptic.report.run import Run


def seconds_section(run: Run) -> Section:
    """Return how long each stage took."""
    if not run.seconds:
        return Section("seconds", "Time", [Lacking("No stage has ended yet, so no times are known.")])
    total = sum(run.seconds.values())
    shares = {name: seconds / total if total else 0.0 for name, seconds in run.seconds.items()}
    rows = [(name, (Cell(_seconds(seconds)), Cell(f"{shares[name]:.0%}"))) for name, seconds in run.seconds.items()]
    rows.append(("all", (Cell(_seconds(total), best=True), Cell(""))))
    caption = "Seconds of each stage that has ended; what was taken by a call that was killed is not counted"
    return Section("seconds", "Time", [Table(caption, ("stage", "seconds", "share"), rows)])


def _seconds(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def config_section(run: Run) -> Section:
    """Return the whole config, with which the run can be repeated."""
    return Section("config", "Config", [Fold("Every key, as YAML", [Code(text_of(run.settings))])])


def versions_section(run: Run) -> Section:
    """Return what the run and this page were made with."""
    metrics = run.metrics or {}
    known = {
        "autopanoptic, of the search": run.release,
        "torch, of the trainings": str(metrics.get("torch", "not known before the comparison")),
        "device": str(metrics.get("device", run.settings.machine.device)),
        "precision": run.settings.machine.precision,
        "this page": f"autopanoptic {library_version()}, torch {torch.__version__}, Python {platform.python_version()}",
    }
    rows = [(name, (Cell(value),)) for name, value in known.items()]
    return Section("versions", "Versions", [Table("What it was made with", ("part", "version"), rows, words=(1,))])
