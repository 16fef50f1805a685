"""What is trained and compared: a network by its name, as settings and an architecture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from autopanoptic.nas import Architecture, SearchSpace, Supernet
from autopanoptic.panoptic.compare.hand_made import at_cost
from autopanoptic.panoptic.compare.naming import Kind, Named
from autopanoptic.panoptic.configs.config import values_of
from autopanoptic.panoptic.configs.layers import Layer
from autopanoptic.panoptic.configs.schema import settings_of
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.search.strategies import hand_made
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.stages.costs import costs
from autopanoptic.panoptic.stages.networks import network_config
from autopanoptic.panoptic.stages.starts import check_start


@dataclass(frozen=True)
class Contestant:
    """A network of a comparison.

    Attributes:
        name: In the table, and of its folders.
        settings: With which it is trained; their seed is the first one's.
        architecture: Which of their networks it is.
        kind: What it is.
        gflops: Of one image, a multiply and an add as one operation.
        mparams: Millions of parameters.
    """

    name: str
    settings: Settings
    architecture: Architecture
    kind: Kind
    gflops: float
    mparams: float

    def to_json(self) -> dict[str, Any]:
        """Everything as a JSON object."""
        return {
            "kind": self.kind,
            "gflops": self.gflops,
            "mparams": self.mparams,
            "architecture": self.architecture.to_json(),
            "settings": values_of(self.settings),
        }

    @classmethod
    def from_json(cls, name: str, values: Mapping[str, Any]) -> Contestant:
        """Return what `to_json` was given.

        Raises:
            KeyError: If something is missing.
            ValueError: If something is damaged.
        """
        return cls(
            name,
            settings_of(Layer(dict(values["settings"]))),
            Architecture(values["architecture"]),
            values["kind"],
            float(values["gflops"]),
            float(values["mparams"]),
        )


def contestant_of(named: Named, datasets: Datasets) -> Contestant:
    """Return the network that a name of ``--models`` stands for, on some data.

    Raises:
        ValueError: If the data lack a kind of classes that the network needs, its starting weights do not fit, or it
            cannot be scaled to a cost; begins with the name.
        FileNotFoundError: If there is no file of starting weights.
    """
    try:
        settings = named.settings
        if named.cost is not None:
            settings = _at_cost(settings, _wanted(named.cost, datasets), datasets)
        architecture = named.architecture or hand_made(_space(network_config_of(settings, datasets)))
        check_start(settings, datasets.train.categories, architecture)
        cost = {name: price(architecture) for name, price in costs(settings, datasets).items()}
    except (ValueError, FileNotFoundError) as error:
        raise type(error)(f"{named.name}: {error}") from error
    return Contestant(named.name, settings, architecture, named.kind, cost["gflops"], cost["mparams"])


def network_config_of(settings: Settings, datasets: Datasets) -> PanopticConfig:
    """Return the config of the networks that settings train, for the classes of some data."""
    return network_config(settings, datasets.train.categories, searched=True)


def _wanted(cost: float | Named, datasets: Datasets) -> float:
    return contestant_of(cost, datasets).gflops if isinstance(cost, Named) else cost


def _at_cost(settings: Settings, wanted: float, datasets: Datasets) -> Settings:
    """Return settings whose network has the widths with which it costs so much."""

    def with_network(config: PanopticConfig) -> Settings:
        return replace(settings, network=config, retrained_network=None)

    def cost(config: PanopticConfig) -> float:
        own = with_network(config)
        return costs(own, datasets)["gflops"](hand_made(_space(network_config_of(own, datasets))))

    return with_network(at_cost(settings.retrained_network or settings.network, wanted, cost))


def _space(config: PanopticConfig) -> SearchSpace:
    with torch.device("meta"):
        return Supernet(PanopticNetwork(config)).space


def equal(one: Contestant, other: Contestant) -> bool:
    """Return whether two are the same network, trained the same way, whatever they are called."""
    return (one.settings, one.architecture) == (other.settings, other.architecture)
