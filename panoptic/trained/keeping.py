"""What was measured of a run's networks on its own val, kept in its folder for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autopanoptic.nas import Architecture
from autopanoptic.panoptic.data.coco.layout import find_splits
from autopanoptic.panoptic.data.image_id import ImageId
from autopanoptic.panoptic.results.json_files import read_object, write_object
from autopanoptic.panoptic.results.saved import ARCHITECTURE, CONFIG, WEIGHTS, read_config
from autopanoptic.panoptic.run.folder import load_run
from autopanoptic.panoptic.search.costs import costs_of
from autopanoptic.panoptic.stages.comparison import COUNTS_FILE, METRICS_FILE
from autopanoptic.panoptic.stages.costs import counted_size
from autopanoptic.panoptic.stages.prepare import NETWORKS, SCENES, require_begun_data
from autopanoptic.panoptic.trained.evaluation import NetworkEvaluation
from autopanoptic.panoptic.trained.networks import find_networks, run_of

MEASURED = "evaluation.json"
"""File in the folder of a network: everything that was measured of it on val, its architecture and its costs."""
COSTS = ("gflops", "mparams")


def keep(measured: Mapping[str, NetworkEvaluation], folders: Mapping[str, Path], image_ids: Sequence[ImageId]) -> bool:
    """Keep in a run's folder what was measured of its networks on its own val.

    Of a run that has compared its networks nothing is kept, for its comparison says the same.

    Args:
        measured: The networks by their names.
        folders: Theirs.
        image_ids: Of the images of val, in the order in which they were measured.

    Returns:
        Whether it was kept: the networks are a run's, which has compared none yet.

    Raises:
        OSError: If the run's data are gone or its folder cannot be written.
        ValueError: If the data break the format, or are no more those with which the run began.
    """
    run = run_of(next(iter(folders.values())))
    if run is None or (run / METRICS_FILE).exists():
        return False
    settings = load_run(run)
    root = run / SCENES if settings.data.path is None else Path(settings.data.path)
    datasets = find_splits(root).open(settings.seed, orientation=settings.data.orientation)
    require_begun_data(run, {"train": datasets.train, "nas_val": datasets.nas_val, "val": datasets.val})
    for name, one in measured.items():
        architecture, config = Architecture.load(folders[name] / ARCHITECTURE), read_config(folders[name] / CONFIG)
        cost = costs_of(config, *counted_size(settings, datasets, config.image_divisor))
        one.quality.images.save(folders[name] / COUNTS_FILE, image_ids)
        values = {key: cost[key](architecture) for key in COSTS}
        write_object(folders[name] / MEASURED, {"architecture": architecture.to_json(), **values, **one.to_json()})
    return True


def kept(run: Path) -> dict[str, dict[str, Any]]:
    """Return what `keep` has kept of the networks that a run compares, or would, as `NetworkReport.to_json` says it.

    Raises:
        ValueError: If a file is damaged; names it.
    """
    if not any((run / NETWORKS).glob(f"*/{WEIGHTS}")):
        return {}
    paths = {name: folder / MEASURED for name, folder in find_networks(run).items()}
    return {name: _read(path) for name, path in paths.items() if path.exists()}


def _read(path: Path) -> dict[str, Any]:
    found = read_object(path)
    try:
        return {**found["metrics"], **{key: found[key] for key in ("architecture", "quality", *COSTS)}}
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is damaged: it lacks {error}; `autopanoptic panoptic evaluate` writes it again"
        ) from error
