"""Measuring trained networks: panoptic quality, AP of boxes and masks, and IoU of the semantic branch in one pass."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from rich.console import Console

from autopanoptic.nas.storage.files import whole
from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.data.coco.images import Orientation
from autopanoptic.panoptic.data.coco.reader import CocoPanoptic
from autopanoptic.panoptic.data.coco.truths import Truths
from autopanoptic.panoptic.data.loading.batch import Batch, kept
from autopanoptic.panoptic.data.loading.batches import evaluation_batches
from autopanoptic.panoptic.data.segments import PanopticMap
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.precision import Precision
from autopanoptic.panoptic.model.prediction import Prediction
from autopanoptic.panoptic.quality.precision import AveragePrecision, Things
from autopanoptic.panoptic.quality.semantic import SemanticQuality
from autopanoptic.panoptic.results.export import PanopticWriter
from autopanoptic.panoptic.search.evaluator import Validation
from autopanoptic.panoptic.stages.batches import decoded_bytes
from autopanoptic.panoptic.trained import keeping
from autopanoptic.panoptic.trained.data import labelled_as, open_split
from autopanoptic.panoptic.trained.evaluation import Evaluation, NetworkEvaluation
from autopanoptic.panoptic.trained.networks import TrainedNetwork, find_networks, load_trained, precision_of
from autopanoptic.panoptic.training.bars import bar

MEMORY = 2**30
"""Bytes up to which decoded images are kept for the next network."""
PREDICTIONS, INSTANCES = "predictions", "instances.json"


def evaluate(
    source: str | Path,
    *,
    data: str | Path | None = None,
    split: str = "val",
    networks: Sequence[str] = (),
    out: str | Path | None = None,
    device: str = "auto",
    precision: Precision | None = None,
    orientation: Orientation | None = None,
    batch_size: int = 8,
    workers: int = 0,
    keep: bool = False,
    console: Console | None = None,
) -> Evaluation:
    """Measure a run's networks, or one network, on a split of the run's own data or of another data set.

    Args:
        source: A run's folder, or the folder of one network.
        data: A folder in COCO panoptic format with the network's classes by name and kind; None for the data of the
            network's run.
        split: ``"train"``, ``"nas_val"`` or ``"val"``.
        networks: Which of a run's networks, see `find_networks`.
        out: Where predictions go, in COCO's formats: ``NAME/predictions.json`` with its PNGs in
            ``NAME/predictions/``, and the things before they were merged as ``NAME/instances.json``.
        device: ``"auto"`` (a GPU where there is one), ``"cpu"`` or ``"cuda"``.
        precision: In which networks compute; None for the run's own, and 32-true outside of a run.
        orientation: Of another data set's images, as of `CocoPanoptic`.
        batch_size: Images in a batch.
        workers: Processes that load images; 0 loads in this one.
        keep: Whether what is measured of a run on its own val is kept in its folder, for its report.
        console: Where progress is told; None for nowhere.

    Raises:
        FileNotFoundError: If a run, a network, data or files of them are missing.
        ValueError: If files are damaged, the data's classes are not the network's, a run's own data are no more those
            with which it began, or an argument is out of range.
    """
    if batch_size < 1 or workers < 0:
        raise ValueError(f"batch_size={batch_size}, workers={workers}: at least 1 and at least 0 are needed")
    where = device_named(device)
    if out is not None:
        require_folder(Path(out))
    folders = find_networks(source, networks)
    dataset = open_split(next(iter(folders.values())), data, split, orientation)
    # All of them before the first is measured, which may take long.
    loaded = [load_trained(folder, where) for folder in folders.values()]
    datasets = [labelled_as(dataset, one) for one in loaded]
    console, batches = console or Console(quiet=True), _Batches(batch_size, workers, keep=len(loaded) > 1)
    truths, measured = Truths(dataset), {}
    for name, one, own in zip(folders, loaded, datasets, strict=True):
        target = None if out is None else Path(out) / name
        how = precision_of(one.folder) if precision is None else precision
        validation = Validation(own, batches.of(own, one), one.usage.rules, precision=how, truths=truths)
        measured[name] = measure(name, one.network, validation, target, console)
    if keep and split == "val" and data is None and orientation is None:
        _keep(measured, folders, dataset, console)
    return Evaluation(dataset.source, split, len(dataset), datasets[0].categories, measured)


def _keep(
    measured: Mapping[str, NetworkEvaluation], folders: Mapping[str, Path], dataset: CocoPanoptic, console: Console
) -> None:
    """Keep what was measured, which is not lost where that cannot be."""
    try:
        kept = keeping.keep(measured, folders, dataset.image_ids.tolist())
        told = f"Kept for the report of the run: networks/*/{keeping.MEASURED}" if kept else None
    except (OSError, ValueError) as error:
        told = f"Not kept for the report of the run: {error}"
    if told is not None:
        console.print(told, markup=False, highlight=False, soft_wrap=True)


def require_folder(out: Path) -> None:
    """Refuse a file where a folder is to be written."""
    for path in (out, *out.parents):
        if path.exists() and not path.is_dir():
            raise NotADirectoryError(f"{path} is a file; give a folder")


def device_named(device: str) -> torch.device:
    """Return the device that a word stands for.

    Raises:
        ValueError: If there is no such GPU, or the word is unknown.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device={device!r} is none of auto, cpu, cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device: torch {torch.__version__} can use no GPU of this machine; take auto or cpu")
    return torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")


class _Batches:
    """The images as the networks see them, decoded once for all networks that see them alike, where they are few."""

    def __init__(self, batch_size: int, workers: int, *, keep: bool) -> None:
        self._batch_size, self._workers, self._keep = batch_size, workers, keep
        self._known: dict[object, Iterable[Batch]] = {}

    def of(self, dataset: CocoPanoptic, trained: TrainedNetwork) -> Iterable[Batch]:
        transform, divisor = trained.usage.transform, trained.network.config.image_divisor
        seen = (transform, divisor, hash(dataset.categories))
        if seen not in self._known:
            loader = evaluation_batches(
                dataset, transform, batch_size=self._batch_size, divisor=divisor, workers=self._workers,
                pin_memory=next(trained.network.parameters()).is_cuda,
            )  # fmt: skip
            few = self._keep and decoded_bytes(dataset, transform) <= MEMORY
            self._known[seen] = kept(loader) if few else loader
        return self._known[seen]


def measure(
    name: str,
    network: PanopticNetwork,
    validation: Validation,
    out: Path | None = None,
    console: Console | None = None,
) -> NetworkEvaluation:
    """Measure one network: panoptic quality, AP of boxes and masks, and IoU of the semantic branch in one pass.

    Args:
        name: Of the network.
        network: On the device where it shall run.
        validation: The images, with the labels of the network's classes.
        out: Where predictions go, see `evaluate`; None for nowhere.
        console: Where progress is told; None for nowhere.
    """
    dataset, console = validation.dataset, console or Console(quiet=True)
    categories = dataset.categories
    if out is not None:
        (out / INSTANCES).unlink(missing_ok=True)  # where this is interrupted, an older one would be of other pictures
    things = AveragePrecision(categories) if categories.things else None
    stuff = SemanticQuality(categories) if categories.stuff else None
    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(bar(console, f"measuring {name}"))
        writer = None if out is None else PanopticWriter(out / f"{PREDICTIONS}.json", out / PREDICTIONS, categories)
        if writer is not None:
            stack.enter_context(writer)

        def observe(index: int, truth: PanopticMap, found: Prediction) -> None:
            if things is not None:
                things.update(truth, things_of(found, categories))
            if stuff is not None:
                stuff.update(truth, found.semantic.cpu().numpy())
            progress(index + 1, len(dataset))

        def keep(index: int, panoptic: PanopticMap) -> None:
            if writer is not None:
                writer.add(dataset.image_ids[index].item(), dataset.annotations.image_files[index], panoptic)

        quality = validation.quality(network, keep=keep, observe=observe)
    if out is not None and things is not None:
        _write(out / INSTANCES, json.dumps(things.results(dataset.image_ids.tolist()), allow_nan=False))
    return NetworkEvaluation(
        name,
        quality,
        {} if things is None else things.compute(),
        None if stuff is None else stuff.compute(),
    )


def things_of(found: Prediction, categories: Categories) -> Things:
    """Return the things that a network has found, by their categories."""
    names = [categories.things[label - 1].id for label in found.labels.tolist()]
    boxes, scores, masks = (value.cpu().numpy() for value in (found.boxes.float(), found.scores.float(), found.masks))
    return Things(boxes, scores, names, masks)


def _write(path: Path, text: str) -> None:
    with whole(path) as partial:
        partial.write_text(text)
