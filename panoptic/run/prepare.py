"""The first stage: the data of a run."""

from __future__ import annotations

from autopanoptic.nas import Architecture
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.run.folder import Run
from autopanoptic.panoptic.run.pretrained import classified
from autopanoptic.panoptic.stages.prepare import prepare as prepare_data
from autopanoptic.panoptic.stages.search import JOURNAL, check_feasible


def prepare(run: Run, architecture: Architecture | None = None) -> Datasets:
    """Generate or open the data of a run, check them, and refuse what no later stage could do with them.

    Where the settings have a pretraining without images of its own, crops of the data are cut for it.

    Each program that works on the run does so first, which takes as long as reading the annotations and a part of the
    pixels. What is generated is generated once.

    Args:
        run: The run. Where nothing has been done in its folder, one that is refused leaves no settings there.
        architecture: The only one that is trained, where none is searched.

    Raises:
        FileNotFoundError: If a file or folder is missing.
        ValueError: If the data break the format, listing what is wrong, are not what the run began with, or leave the
            search or the trainings of the settings no way to begin.
    """
    with run.stage("data"), run.refusable():
        datasets = prepare_data(run.settings, run.folder, run.console)
        _describe(run, datasets)
        check_feasible(run.settings, datasets, architecture, begun=(run.folder / JOURNAL).exists())
        if run.settings.pretraining.wanted:
            images = classified(run, datasets)
            run.say(f"{len(images.classes)} classes of {len(images.train)} images to pretrain on")
    run.datasets = datasets
    return datasets


def prepared(run: Run) -> Datasets:
    """Return the data of a run, prepared if this program has not done so."""
    return prepare(run) if run.datasets is None else run.datasets


def _describe(run: Run, datasets: Datasets) -> None:
    categories = datasets.train.categories
    run.console.print(
        f"{len(datasets.train)} images to train on, {len(datasets.nas_val)} to compare candidates on, "
        f"{len(datasets.val)} to measure the networks found on; "
        f"{len(categories.things)} thing and {len(categories.stuff)} stuff classes"
    )
    if datasets.overfit:
        run.console.print(
            "[yellow]All three splits are the same images: the figures show whether they were memorised, "
            "not how good the networks are.[/yellow]"
        )
