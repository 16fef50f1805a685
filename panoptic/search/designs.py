"""Published models as architectures of the space in which components are choices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from autopanoptic.nas import Architecture, Option, SearchSpace
from autopanoptic.panoptic.configs.models import MODELS, model_named
from autopanoptic.panoptic.model.designs.names import HEAD, label_of
from autopanoptic.panoptic.model.parts.fitting import OPTIONS
from autopanoptic.panoptic.search.scaling import SHARE, scaled

Design = Mapping[str, Option]
"""The options of the choices of components, by their labels."""


def architecture_of(model: str, space: SearchSpace, share: float = SHARE, **options: Option) -> Architecture:
    """Return a published model as an architecture of a supernet's space ``published``.

    The parts that all have in common, such as the box head, are those of the space.

    Args:
        model: One of `MODELS`.
        space: Of a supernet whose components are choices.
        share: How large it is, where widths and depths are choices: 0 the smallest, 1 the largest.
        **options: Other options than the plain ones, by label.

    Raises:
        ValueError: If there is no such model, or the space has no network of it; names the component.
    """
    parts = model_named(model).parts
    found = _design(parts)
    labels = {choice.label for choice in space.choices}
    if HEAD not in labels:
        raise ValueError("components are no choices of this space; take search.space published")
    for label, name in found.items():
        if label not in labels or name not in space[label].options:
            known = space[label].options if label in labels else ()
            raise ValueError(
                f"the space has no {model}: its {label} is {name}, and here it is one of {', '.join(map(str, known))}"
            )
    return space.canonical({**scaled(space, share, found), **options})


def designs(space: SearchSpace) -> list[Design]:
    """Return what one would build by hand: the published models that a space has, and each other semantic head.

    A semantic head that none of them has stands beside the first options of its partners. The first is that of
    Auto-Panoptic where the space has it. Where components are no choices, there is one design without any.
    """
    return list(_designs(space)) or [{}]


def _designs(space: SearchSpace) -> Iterator[Design]:
    options = {choice.label: choice.options for choice in space.choices}
    heads = set[Option]()
    for model in MODELS.values():
        found = _design(model.parts)
        if all(name in options.get(label, ()) for label, name in found.items()):
            heads.add(found[HEAD])
            yield found
    for head in options.get(HEAD, ()):
        if head not in heads:
            labels = [label_of(field, str(head)) for field in OPTIONS if field != HEAD]
            yield {HEAD: head, **{label: options[label][0] for label in labels}}


def _design(parts: Mapping[str, str]) -> dict[str, Option]:
    return {label_of(field, parts[HEAD]): parts[field] for field in OPTIONS}
