"""The first stage: the data, generated or opened, and checked."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from autopanoptic.panoptic.data.coco.checks import check
from autopanoptic.panoptic.data.coco.layout import Datasets, find_splits
from autopanoptic.panoptic.data.coco.reader import CocoPanoptic
from autopanoptic.panoptic.data.problems import DatasetWarning
from autopanoptic.panoptic.data.scenes.files import write_scenes
from autopanoptic.panoptic.results.json_files import read_object
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.stages.anchors import check_anchors
from autopanoptic.panoptic.stages.networks import network_config
from autopanoptic.panoptic.training.bars import bar
from autopanoptic.panoptic.training.record import describe_data, keep_record, told_differences

DATA, SCENES, SUPERNET_FOLDER, NETWORKS = "data.json", "data", "supernet", "networks"
CHECKED = 300
"""Training images whose pixels are compared with the JSON before anything starts."""


def prepare(settings: Settings, folder: Path, console: Console) -> Datasets:
    """Generate or open the data, and check it.

    Raises:
        FileNotFoundError: If a file or folder is missing.
        ValueError: If the data breaks the format, listing what is wrong, or is not what the run began with.
    """
    root = _scenes(settings, folder, console) if settings.data.path is None else Path(settings.data.path)
    datasets = find_splits(root).open(settings.seed, orientation=settings.data.orientation)
    splits = {"train": datasets.train, "nas_val": datasets.nas_val, "val": datasets.val}
    record = {name: describe_data(dataset) for name, dataset in splits.items()}
    begun = any((folder / name).exists() for name in (SUPERNET_FOLDER, NETWORKS))
    keep_record(folder / DATA, record, what="a run on other data", begun=begun)
    if settings.data.path is not None:
        # A wrong area in nas_val or val would come up in every candidate, so these are checked whole.
        limits: dict[CocoPanoptic, int | None] = {datasets.train: CHECKED, datasets.nas_val: None, datasets.val: None}
        for dataset, limit in limits.items():
            with _shown(console), bar(console, "checking the data") as progress:
                check(dataset, limit=limit, seed=settings.seed, progress=progress)
    with _shown(console):
        config = network_config(settings, datasets.train.categories)
        check_anchors(datasets.train, settings.transform(), config, seed=settings.seed)
    return datasets


def require_begun_data(run: Path, splits: Mapping[str, CocoPanoptic], *, turned_alike: bool = True) -> None:
    """Refuse data that are not those with which a run began, though they lie where those lay.

    The order of the categories is not compared, for networks know them by name.

    Args:
        run: Its folder.
        splits: Some of its splits by their names, as they are found now.
        turned_alike: Whether images must also be turned as in the run.

    Raises:
        ValueError: If they differ, naming the first differences, or nothing says what the run began with.
    """
    path = run / DATA
    if not path.exists():
        raise ValueError(f"{run} has lost {DATA}, which says what data are its own: give the data, by --data DIR")
    begun = read_object(path)
    for split, dataset in splits.items():
        old, new = (_compared(one, turned_alike) for one in (begun.get(split) or {}, describe_data(dataset)))
        if shown := told_differences(old, new):
            raise ValueError(
                f"{dataset.source} is no more the {split} split with which the run {run} began: it differs in {shown}. "
                "Put back the run's data, or give those that are meant, by --data DIR"
            )


def _compared(described: Mapping[str, Any], turned_alike: bool) -> dict[str, Any]:
    left_out = {"categories"} if turned_alike else {"categories", "orientation"}
    kept = {key: value for key, value in described.items() if key not in left_out}
    return {**kept, "categories": {str(one[0]): one[1:] for one in described.get("categories", ())}}


def _scenes(settings: Settings, folder: Path, console: Console) -> Path:
    """Generate the scenes of the run's folder, where they are not there, and return where they are."""
    scenes = settings.data.require_scenes()
    counts = {"train": scenes.train, "nas_val": scenes.nas_val, "val": scenes.val}
    with bar(console, "generating scenes") as progress:
        return write_scenes(folder / SCENES, counts, seed=settings.seed, progress=progress)


@contextmanager
def _shown(console: Console) -> Iterator[None]:
    """Show warnings about the data on the terminal, without the line of the program that they came from."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DatasetWarning)
        try:
            yield
        finally:
            about_data = [warning for warning in caught if issubclass(warning.category, DatasetWarning)]
            for warning in about_data:
                console.print(f"Warning: {warning.message}", style="yellow", markup=False)
    for warning in (other for other in caught if other not in about_data):
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
