"""Components of a network of which each may be a choice: the active one, and what goes with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from torch import Tensor, nn

from autopanoptic.nas import LayerChoice
from autopanoptic.panoptic.model.merge.rules import MergeRules
from autopanoptic.panoptic.model.parts.fitting import PUBLISHED
from autopanoptic.panoptic.model.parts.kinds import COMPONENTS
from autopanoptic.panoptic.model.parts.registry import part_of

if TYPE_CHECKING:
    from autopanoptic.panoptic.model.config import PanopticConfig
    from autopanoptic.panoptic.model.network import PanopticNetwork

M = TypeVar("M", bound=nn.Module)


class Absent(nn.Module):
    """Stands among the options of a choice for having nothing there."""


@dataclass(frozen=True)
class Traits:
    """What goes with a component where components are choices.

    Attributes:
        name: The component's.
        losses: See `Component`.
        rules: See `PanopticHead`.
    """

    name: str | None = None
    losses: Mapping[str, float] = field(default_factory=dict)
    rules: Mapping[str, Any] = field(default_factory=dict)


class Active(Generic[M]):
    """An attribute of a network that is a module, a choice of modules, or neither, and is read as what is active.

    Where the active one is `Absent`, that is None.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, network: None, owner: type) -> Active[M]: ...

    @overload
    def __get__(self, network: nn.Module, owner: type) -> M | None: ...

    def __get__(self, network: nn.Module | None, owner: type) -> Active[M] | M | None:
        if network is None:
            return self
        found: Any = network._modules[self.name]
        while isinstance(found, LayerChoice):
            found = found[found._dry_run_choice]
        return None if isinstance(found, Absent) else found

    def __set__(self, network: nn.Module, module: nn.Module | None) -> None:
        # torch registers modules before it asks here; what comes is None.
        network._modules[self.name] = module


def loss_weights(network: PanopticNetwork) -> dict[str, float]:
    """Return the weights in the total of the losses that do not weigh 1: the config's, or the active components'."""
    if network.config.space != PUBLISHED:
        return network.config.loss_weights(_beside(network.config))
    own: dict[str, float] = {}
    for part in (network.segmentation, network.foreground_to_background, network.graph, network.panoptic):
        own |= _traits(part).losses
    return network.config.loss_weights(own)


def _beside(config: PanopticConfig) -> dict[str, float]:
    """Return what the components of a config say of losses that it has no weight for itself."""
    known, parts = config.loss_weights(), (part_of(kind, getattr(config, own)) for own, kind in COMPONENTS.items())
    return {name: weight for part in parts for name, weight in part.losses.items() if name not in known}


def total(network: PanopticNetwork, losses: Mapping[str, Tensor]) -> Tensor:
    """Return the sum of losses by their weights."""
    weights = loss_weights(network)
    weighted = [weight * losses[name] for name, weight in weights.items() if name in losses]
    weighted += [loss for name, loss in losses.items() if name not in weights]
    return sum(weighted[1:], start=weighted[0])


def rules_of(network: PanopticNetwork, rules: MergeRules) -> MergeRules:
    """Return the rules by which a network makes maps: those given, but where its active panoptic head has its own."""
    if network.config.space != PUBLISHED:
        return rules
    return replace(rules, **_traits(network.panoptic).rules)


def name_of(part: nn.Module, config: str) -> str:
    """Return the name of an active component: where components are no choices what the config says."""
    return _traits(part).name or config


def _traits(part: nn.Module | None) -> Traits:
    found = getattr(part, "traits", Traits())
    assert isinstance(found, Traits)
    return found
