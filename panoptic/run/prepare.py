"""The first stage: the data of a run."""

from __future__ import annotations

from pathlib import Path

import torch

from autopanoptic.nas import Architecture
from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.data.scenes.kinds import CATEGORIES
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.config_checks import KNOWN_BACKBONES, SEARCHED_BACKBONE
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.weights import read_tensors
from autopanoptic.panoptic.results.pretrained import weights_of
from autopanoptic.panoptic.run.folder import Run
from autopanoptic.panoptic.run.pretrained import classified
from autopanoptic.panoptic.search.supernet_start import SCRATCH, describe_start
from autopanoptic.panoptic.settings.settings import STARTS, Settings
from autopanoptic.panoptic.stages.networks import network_config
from autopanoptic.panoptic.stages.prepare import DATA, SUPERNET_FOLDER
from autopanoptic.panoptic.stages.prepare import prepare as prepare_data
from autopanoptic.panoptic.stages.search import JOURNAL, check_feasible, require_choices, require_warm_start
from autopanoptic.panoptic.stages.starts import check_start
from autopanoptic.panoptic.stages.supernet import SUPERNET


def prepare(run: Run, architecture: Architecture | None = None) -> Datasets:
    """Generate or open the data of a run, check them, and refuse what no later stage could do with them.

    Where the settings have a pretraining without images of its own, crops of the data are cut for it.

    Each program that works on the run does so first, which takes as long as reading the annotations and a part of the
    pixels. What is generated is generated once.

    Args:
        run: The run. Where nothing has been done in its folder, one that is refused leaves no settings there.
        architecture: The only one that is trained, where none is searched.

    Raises:
        FileNotFoundError: If a file or folder is missing, also that of weights from which the supernet is to start.
        ValueError: If the data break the format, listing what is wrong, are not what the run began with, or leave the
            search or the trainings of the settings no way to begin.
    """
    with run.stage("data"), run.refusable():
        begun = (run.folder / JOURNAL).exists()
        if not (run.folder / DATA).exists():
            _require_early(run, architecture)
        datasets = prepare_data(run.settings, run.folder, run.console)
        _describe(run, datasets)
        left_out = check_feasible(run.settings, datasets, architecture, begun=begun)
        _describe_weights(run, left_out)
        untrained = architecture is None and not (run.folder / SUPERNET_FOLDER / SUPERNET).exists()
        begins = _supernet_start(run.settings, datasets.train.categories) if untrained else None
        if begins is not None:
            run.say(begins)
        if run.settings.pretraining.wanted:
            images = classified(run, datasets)
            run.say(f"{len(images.classes)} classes of {len(images.train)} images to pretrain on")
    run.datasets = datasets
    return datasets


def prepared(run: Run) -> Datasets:
    """Return the data of a run, prepared if this program has not done so."""
    return prepare(run) if run.datasets is None else run.datasets


def _require_early(run: Run, architecture: Architecture | None) -> None:
    """Refuse what settings and files alone show, before data are generated or all of them read."""
    settings = run.settings
    if architecture is None:
        require_choices(settings)
        require_warm_start(settings)
    if settings.data.path is None:  # the classes of scenes are known
        check_start(settings, CATEGORIES, architecture)
        if architecture is None:
            _supernet_start(settings, CATEGORIES)
        return
    for given in {settings.init, settings.supernet_init} - {*STARTS, SCRATCH}:
        read_tensors(Path(given))


def _supernet_start(settings: Settings, categories: Categories) -> str | None:
    """Refuse weights that the supernet cannot begin with, and return what it takes of a file; None without one."""
    if settings.supernet_init == SCRATCH:
        return None
    with torch.device("meta"):
        network = PanopticNetwork(network_config(settings, categories))
    return describe_start(network, settings.supernet_init, categories)


def _describe_weights(run: Run, left_out: tuple[str, ...]) -> None:
    """Say what the networks begin with, where that is nothing that the run itself has trained."""
    settings = run.settings
    for retrained in dict.fromkeys((False, settings.retrained_network is not None)):
        source, network = settings.backbone(retrained=retrained), settings.network
        if source != SEARCHED_BACKBONE:
            network = network if settings.retrained_network is None or not retrained else settings.retrained_network
            file = f" ({weights_of(source).name})" if source in KNOWN_BACKBONES else ""
            run.say(f"{'Retrained b' if retrained else 'B'}ackbone {source}{file}: {_frozen(network)}")
    if left_out:
        run.say(
            f"init: {settings.init} is of other classes: left out, and drawn from the seed, are {', '.join(left_out)}"
        )


def _frozen(network: PanopticConfig) -> str:
    parts = ("", "the stem", *(f"the stem to C{level}" for level in range(2, 6)))[network.frozen_parts]
    norms = "all batch norms" if network.has_frozen_norms else ""
    return f"frozen are {' and '.join(filter(None, (parts, norms)))}" if parts or norms else "nothing of it is frozen"


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
