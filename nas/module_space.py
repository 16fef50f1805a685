"""Reads the choices of a network that is built with NNI's mutable modules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from autopanoptic.nas import _nni
from autopanoptic.nas.architecture import Option
from autopanoptic.nas.choice import Choice, Condition
from autopanoptic.nas.mutables import InputChoice


@dataclass
class Site:
    """All places in a network at which one choice is made."""

    label: str
    values: dict[Option, Any]
    modules: list[nn.Module] = field(default_factory=list)
    conditions: list[Condition | None] = field(default_factory=list)
    tied: bool = True

    def choice(self) -> Choice:
        """Return the search space's choice: active while any of its places is."""
        alternatives = () if None in self.conditions else dict.fromkeys(self.conditions)
        return Choice(self.label, self.values, list(alternatives))


def choices_of(module: nn.Module) -> list[Choice]:
    """Return the choices of a network, in the order of its modules."""
    return [site.choice() for site in sites_of(module).values()]


def sites_of(module: nn.Module) -> dict[str, Site]:
    """Return the places of every choice by label.

    Raises:
        ValueError: for a label that stands twice without ``tied=True``, different options under one label, or a
            mutable module that cannot be switched in place.
    """
    sites: dict[str, Site] = {}
    for mutable, condition in _walk(module, None):
        label, values = mutable.label, mutable_values(mutable)
        site = sites.setdefault(label, Site(label, values))
        if list(site.values) != list(values):
            raise ValueError(f"Label {label!r} stands for {list(site.values)} and for {list(values)}; rename one.")
        if not any(known is mutable for known in site.modules):
            site.modules.append(mutable)
            site.tied = site.tied and getattr(mutable, "tied", False)
        site.conditions.append(condition)
        if len(site.modules) > 1 and not site.tied:
            raise ValueError(
                f"Label {label!r} stands at {len(site.modules)} choices. Give each its own label, or tied=True to "
                "all of them if they shall always take the same option. (Inside Repeat, build the label from the "
                "index.)"
            )
    return sites


def _walk(module: nn.Module, condition: Condition | None) -> Iterator[tuple[Any, Condition | None]]:
    if isinstance(module, _nni.LayerChoice):
        yield module, condition
        for name in module.names:
            yield from _walk(module[name], (module.label, (name,)))
    elif isinstance(module, _nni.InputChoice):
        yield module, condition
    elif isinstance(module, _nni.Repeat):
        yield from _walk_repeat(module, condition)
    else:
        _refuse_other_mutables(module)
        # named_children() would hide a module that is registered under a second name.
        for child in module._modules.values():
            if child is not None:
                yield from _walk(child, condition)


def _walk_repeat(module: Any, condition: Condition | None) -> Iterator[tuple[Any, Condition | None]]:
    if module.label is not None:
        yield module, condition
    elif not isinstance(module.depth_choice, int):
        raise ValueError(f"Repeat with depth {module.depth_choice!r}: use a number or (fewest, most).")
    for index, block in enumerate(module.blocks):
        if index < module.min_depth:
            yield from _walk(block, condition)
        else:
            deeper = tuple(range(index + 1, module.max_depth + 1))
            yield from _walk(block, (module.label, deeper))


def _refuse_other_mutables(module: nn.Module) -> None:
    if isinstance(module, _nni.MutableModule) and (
        not isinstance(module, _nni.ModelSpace) or getattr(module, "_mutables", None)
    ):
        raise ValueError(
            f"{type(module).__name__} cannot be switched in place; express it with LayerChoice, InputChoice or Repeat."
        )


def mutable_values(module: Any) -> dict[Option, Any]:
    """Return NNI's value of each option of a mutable module."""
    if isinstance(module, _nni.LayerChoice):
        return {name: name for name in module.names}
    if isinstance(module, _nni.InputChoice):
        selections = InputChoice.combinations(module.n_candidates, module.n_chosen)
        if module.n_chosen == 1:
            return {indices[0]: list(indices) for indices in selections}
        return {"+".join(map(str, indices)): list(indices) for indices in selections}
    return {depth: depth for depth in range(module.min_depth, module.max_depth + 1)}
