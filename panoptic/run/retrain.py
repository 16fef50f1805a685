"""The fourth stage: networks of a run, each trained on its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch

from autopanoptic.nas import Architecture
from autopanoptic.panoptic.configs.models import name_of
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.results.finalists import names_of
from autopanoptic.panoptic.results.fronts import HAND_MADE, RANDOM, SEARCHED
from autopanoptic.panoptic.results.saved import ARCHITECTURE, new_network, save_network
from autopanoptic.panoptic.run.folder import Run
from autopanoptic.panoptic.run.prepare import prepare, prepared
from autopanoptic.panoptic.run.pretrained import require_pretrained
from autopanoptic.panoptic.run.screening import Screened, on_nas_val, screened, shown
from autopanoptic.panoptic.run.search import finished_search, require_finished_search, trained_of
from autopanoptic.panoptic.run.train_supernet import require_supernet
from autopanoptic.panoptic.search.architecture_files import load_shipped, options_for, read_architecture_file, shipped
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.stages.networks import network_config, require_for_any_classes, usage_of
from autopanoptic.panoptic.stages.prepare import NETWORKS, SUPERNET_FOLDER
from autopanoptic.panoptic.stages.search import the_network
from autopanoptic.panoptic.stages.side_by_side import retrain_all


class Trained(NamedTuple):
    """What a run has trained.

    Attributes:
        networks: By their names: the finalists, ``searched``, which is the best of them, and others.
        architectures: Theirs.
        folders: Names of the folders in which the trainings of architectures are.
        on_nas_val: What each finalist is worth on nas_val, in percent; empty where there is one alone.
        screened: What each candidate was after its short training, see `Screened`.
    """

    networks: dict[str, PanopticNetwork]
    architectures: dict[str, Architecture]
    folders: dict[Architecture, str]
    on_nas_val: dict[str, float]
    screened: dict[str, float]


def retrain(run: Run, architecture: Architecture | None = None, name: str | None = None) -> PanopticNetwork:
    """Train a network by the run's recipe into ``networks/<name>/``, going on from its last checkpoint.

    Without an architecture that is the run's answer, ``searched``: its best ``search.finalists`` candidates are
    trained, and the one that is then the best on nas_val is taken, as the whole run does. Where every part of the
    network is fixed it is that one, see `fixed_network`.

    Args:
        run: The run. Its data are prepared first; without an architecture it must have ended its search, and where
            ``init`` is ``supernet`` trained its supernet.
        architecture: What to train instead; it need not come from this run.
        name: Of its folder; needed with an architecture.

    Raises:
        FileNotFoundError: If the search, the supernet or a pretrained backbone is needed and not there.
        ValueError: If the architecture is none of the run's networks, the name is no folder's or is kept for what the
            run finds, or the folder holds another training.
    """
    if architecture is None and (fixed := fixed_network(run.settings)) is not None:
        name, architecture = name or fixed[0], fixed[1]
    with run.refusable():
        _require_trainable(run, architecture, name)
    if architecture is not None:
        assert name is not None
        if run.settings.init == "supernet" and the_network(run.settings) is not None:
            run.say("Nothing is searched here, so there is no supernet to start from: weights are drawn from the seed.")
            run.start_from("scratch")
        with run.stage("retraining"):
            return _train(run, {name: architecture})[name]
    searched, fronts = finished_search(run)
    _require_backbones(run, trained_of(run, searched, fronts))
    with run.stage("retraining"):
        trained = train_finalists(run, screened(run, searched, fronts), {})
    trained.architectures[SEARCHED].save(run.folder / ARCHITECTURE)
    return trained.networks[SEARCHED]


def fixed_network(settings: Settings) -> tuple[str, Architecture] | None:
    """Return the one network there is where nothing is searched, named as its model; None where there are choices."""
    architecture = the_network(settings)
    return None if architecture is None else (name_of(vars(settings.network)) or "network", architecture)


def train_finalists(run: Run, chosen: Screened, others: Mapping[str, Architecture]) -> Trained:
    """Train finalists, and others beside them, and take the best of the finalists on nas_val for ``searched``."""
    named = names_of(chosen.finalists)
    architectures = {**named, **others}
    # Names that share an architecture share the training of the first.
    folders = {one: name for name, one in reversed(architectures.items())}
    networks = _train(run, architectures)
    found = _on_nas_val(run, {name: networks[name] for name in named})
    winner = max(found, key=lambda name: found[name]) if found else SEARCHED
    networks[SEARCHED], architectures[SEARCHED] = networks[winner], architectures[winner]
    if winner != SEARCHED:
        usage = usage_of(run.settings, prepared(run).train.categories)
        save_network(networks[SEARCHED], architectures[SEARCHED], run.folder / NETWORKS / SEARCHED, usage)
    return Trained(networks, architectures, folders, found, chosen.on_nas_val)


def read_architecture(given: str, config: PanopticConfig | None = None) -> tuple[str, Architecture]:
    """Read an architecture by the name of one that ships, or from a file, and return it with a name of its own.

    Args:
        given: The name, an ``architecture.json``, or a result file of Auto-Panoptic's published code.
        config: Of the network that a result file is for; None for the published one.

    Raises:
        FileNotFoundError: If it is neither.
        ValueError: If the file holds no architecture.
    """
    path = Path(given)
    if given in shipped():
        return given, load_shipped(given)
    if not path.is_file():
        raise FileNotFoundError(f"{given} is neither an architecture's file nor one that ships: {', '.join(shipped())}")
    return path.stem, read_architecture_file(path, config)


def _train(run: Run, named: Mapping[str, Architecture]) -> dict[str, PanopticNetwork]:
    supernet = run.folder / SUPERNET_FOLDER
    return retrain_all(run.settings, named, prepared(run), run.folder / NETWORKS, supernet, run.console)


def _on_nas_val(run: Run, finalists: dict[str, PanopticNetwork]) -> dict[str, float]:
    """Say what each of several trained networks is worth on nas_val, and return it."""
    if len(finalists) == 1:
        return {}
    found = on_nas_val(run.settings, run, finalists)
    run.say(f"Finalists, {run.settings.search.objective} on nas_val: {shown(found)}")
    return found


def _require_trainable(run: Run, architecture: Architecture | None, name: str | None) -> None:
    """Refuse a training that lacks something, or whose architecture does not fit, and prepare the data."""
    if architecture is not None:
        _require_free(name)
        require_architecture(run.settings, architecture)  # before a supernet is trained for it, or scenes generated
    else:
        require_finished_search(run)
    if run.settings.init == "supernet" and the_network(run.settings) is None:
        require_supernet(run)
    if run.datasets is None:
        prepare(run, architecture)
    if architecture is not None:
        _require_of_data(run, architecture)
        _require_backbones(run, [architecture])


def _require_backbones(run: Run, architectures: Iterable[Architecture]) -> None:
    for one in architectures if run.settings.init == "pretrained" else ():
        require_pretrained(run, one)


def _require_free(name: str | None) -> None:
    """Refuse a folder that is none, or that the run fills with what it finds itself."""
    if name is None or not name.strip() or name in (".", "..") or Path(name).name != name:
        raise ValueError(f"the network's name must be that of a folder under {NETWORKS}, not {name!r}")
    if name in (RANDOM, HAND_MADE) or name.startswith(SEARCHED):
        raise ValueError(f"the name {name!r} is kept for what the run finds; give the network another")


def require_architecture(settings: Settings, architecture: Architecture) -> None:
    """Refuse what is no architecture of the networks that settings retrain, whatever classes their data have.

    Raises:
        ValueError: Naming what differs, and the options with which it fits where they are known.
    """
    require_for_any_classes(settings, lambda config: _require_fitting(config, architecture), searched=True)


def _require_of_data(run: Run, architecture: Architecture) -> None:
    _require_fitting(network_config(run.settings, prepared(run).train.categories, searched=True), architecture)


def _require_fitting(config: PanopticConfig, architecture: Architecture) -> None:
    try:
        with torch.device("meta"):
            new_network(config, architecture)
    except ValueError as error:
        way = options_for(config, architecture)
        hint = f". It fits a run with {' '.join(way)}" if way else ""
        raise ValueError(
            f"the architecture is none of the networks that the run retrains (search.space {config.space}, backbone "
            f"{config.backbone}): {str(error).rstrip('.')}{hint}"
        ) from error
