"""The images that a trained network is measured on."""

from __future__ import annotations

from pathlib import Path

from autopanoptic.panoptic.data.coco.images import Orientation
from autopanoptic.panoptic.data.coco.layout import SPLITS, find_split, find_splits
from autopanoptic.panoptic.data.coco.reader import CocoPanoptic
from autopanoptic.panoptic.run.folder import load_run
from autopanoptic.panoptic.stages.prepare import SCENES, require_begun_data
from autopanoptic.panoptic.trained.networks import TrainedNetwork, run_of


def labelled_as(dataset: CocoPanoptic, trained: TrainedNetwork) -> CocoPanoptic:
    """Return a data set with the labels of a network, whose classes it has by name and kind; ids may be others.

    Raises:
        ValueError: If the classes differ; the message names the first that does.
    """
    known = trained.usage.categories
    return dataset.with_categories(dataset.categories.ordered_as(known) or known, f"the network {trained.folder}")


def open_split(
    folder: Path, data: str | Path | None, split: str = "val", orientation: Orientation | None = None
) -> CocoPanoptic:
    """Open a split of a data set, or of the data of the run that a network is in.

    Args:
        folder: Of the network.
        data: A folder in COCO panoptic format, which need not hold the other splits; None for the run's own data, cut
            as the run has cut them.
        split: ``"train"``, ``"nas_val"`` or ``"val"``.
        orientation: As of `CocoPanoptic`; by default what the folder of another data set says, and for its own data
            what the run does.

    Raises:
        FileNotFoundError: If the data or the split is missing.
        ValueError: If the network is in no run and no data are given, the run's own are others than those with which it
            began, or the data break the format.
    """
    if split not in SPLITS:
        raise ValueError(f"split={split!r} is none of {', '.join(SPLITS)}")
    if data is not None:
        return find_split(data, split).open(orientation)
    run = run_of(folder)
    if run is None:
        raise ValueError(f"{folder} is in no run's folder, so that it has no data of its own: give some, by --data DIR")
    settings = load_run(run)
    root = run / SCENES if settings.data.path is None else Path(settings.data.path)
    dataset = _own(root, split, settings.seed, orientation or settings.data.orientation)
    require_begun_data(run, {split: dataset}, turned_alike=orientation is None)
    return dataset


def _own(root: Path, split: str, seed: int, orientation: Orientation | None) -> CocoPanoptic:
    if split == "val":
        return find_split(root, split).open(orientation)
    datasets = find_splits(root).open(seed, orientation=orientation)
    return datasets.train if split == "train" else datasets.nas_val
