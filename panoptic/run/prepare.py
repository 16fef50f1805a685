"""The first stage: the data of a run."""

from __future__ import annotations

import torch

from autopanoptic.nas import Architecture
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.config_checks import KNOWN_BACKBONES, SEARCHED_BACKBONE
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.results.pretrained import weights_of
from autopanoptic.panoptic.run.folder import Run
from autopanoptic.panoptic.run.pretrained import classified
from autopanoptic.panoptic.search.supernet_start import SCRATCH, describe_start
from autopanoptic.panoptic.stages.checks import require_warm_start
from autopanoptic.panoptic.stages.networks import network_config
from autopanoptic.panoptic.stages.prepare import SUPERNET_FOLDER
from autopanoptic.panoptic.stages.prepare import prepare as prepare_data
from autopanoptic.panoptic.stages.search import JOURNAL, check_feasible
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
        if architecture is None and not begun:
            require_warm_start(run.settings)  # before scenes are generated
        datasets = prepare_data(run.settings, run.folder, run.console)
        _describe(run, datasets)
        left_out = check_feasible(run.settings, datasets, architecture, begun=begun)
        _describe_weights(run, left_out)
        if architecture is None and not (run.folder / SUPERNET_FOLDER / SUPERNET).exists():
            _check_supernet(run, datasets)
        if run.settings.pretraining.wanted:
            images = classified(run, datasets)
            run.say(f"{len(images.classes)} classes of {len(images.train)} images to pretrain on")
    run.datasets = datasets
    return datasets


def prepared(run: Run) -> Datasets:
    """Return the data of a run, prepared if this program has not done so."""
    return prepare(run) if run.datasets is None else run.datasets


def _check_supernet(run: Run, datasets: Datasets) -> None:
    """Refuse weights that the supernet cannot begin with, and say what it takes of a file."""
    given = run.settings.supernet_init
    if given == SCRATCH:
        return
    with torch.device("meta"):
        network = PanopticNetwork(network_config(run.settings, datasets.train.categories))
    run.say(describe_start(network, given, datasets.train.categories))


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
