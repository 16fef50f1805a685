"""Trying a part where it will stand: does it take the sizes, run, and give what the next part reads?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from autopanoptic.nas import Architecture, Concat, ElasticConv2d, LayerChoice, ModelSpace, SearchSpace, Size, Supernet
from autopanoptic.nas.supernet.elastic.sizes import ElasticSize
from autopanoptic.panoptic.model.config import PYRAMID_STRIDES, PanopticConfig
from autopanoptic.panoptic.model.parts.imports import import_modules
from autopanoptic.panoptic.model.parts.kinds import (
    AnyPart,
    BackboneBlock,
    BoxHead,
    FusionOperator,
    HeadOperator,
    MaskHead,
    PyramidNeck,
)
from autopanoptic.panoptic.model.parts.registry import part_of, require_sizes
from autopanoptic.panoptic.model.sizes import mask_width, pyramid_width, segmentation_width, stage_width

IMAGE = 224, 160
"""Height and width of what necks are tried on, in pixels: P5 has odd sides."""
LEVELS = ("p2", "p3", "p4", "p5", "p6")
TRIED = (BoxHead, MaskHead)
"""Components that stand between two sizes alone; of the others a network that is built tells what is wrong."""


def check_parts(config: PanopticConfig, *, shipped: bool = False) -> None:
    """Build the parts that a config names, on the meta device, wherever they may stand, and run them.

    In the elastic space all widths are tried that are ends, together and one by one.

    Args:
        config: Of the networks.
        shipped: Whether to try those that ship, too, which takes seconds; the project's tests do.

    Raises:
        ValueError: If a part is for fixed widths and the space elastic, or fails, or gives another shape than its kind
            says; begins with the config's field, and names the part and the place.
    """
    import_modules(config.imports)
    components = ((kind, names) for kind, names in config.components() if kind in TRIED)
    for kind, names in (*config.parts(), *components):
        for name in names:
            try:
                require_sizes(part := part_of(kind, name), config)
                if shipped or name not in kind.shipped:
                    _check(part, config)
            except ValueError as error:
                raise ValueError(f"{config.field_of(kind)}: {error}") from error


@lru_cache(256)
def _check(part: AnyPart, config: PanopticConfig) -> None:
    for place in _places(type(part), config):
        with torch.device("meta"):
            tried = _Tried(part, place, config)
            supernet = _built(tried)
        for architecture in _ends(supernet.space):
            supernet.activate(architecture)
            tried.run()


@dataclass(frozen=True)
class _Place:
    """Where a part may stand.

    Attributes:
        words: The place in words.
        entering: Names of the sizes of what enters it, see `_size`; several for maps at several levels.
        leaving: Name of the size of what leaves it.
        stride: Between both.
    """

    words: str
    entering: tuple[str, ...]
    leaving: str
    stride: int = 1


def _places(kind: type[AnyPart], config: PanopticConfig) -> Iterator[_Place]:
    if kind is HeadOperator:
        for words, name in (("the segmentation branch", "segmentation"), ("the mask head", "mask")):
            yield _Place(f"as the first layer of {words}", ("pyramid",), name)
            yield _Place(f"as a further layer of {words}", (name,), name)
    elif kind is BackboneBlock:
        for stage, before in zip(("c2", "c3", "c4", "c5"), ("stem", "c2", "c3", "c4"), strict=True):
            yield _Place(f"as the first block of {stage.upper()}, with stride 2", (before,), stage, 2)
            yield _Place(f"as a further block of {stage.upper()}", (stage,), stage)
    elif kind is PyramidNeck:
        yield _Place("as the neck", ("c2", "c3", "c4", "c5"), "pyramid")
    elif kind in TRIED:
        yield _Place("over the pooled features", ("pyramid",), "box" if kind is BoxHead else "mask")
    else:
        yield _Place("from things to stuff (f2b)", ("pyramid",) * 4, "segmentation")
        yield _Place("from stuff to things (b2f)", ("segmentation",) * 4, "pyramid")


def _size(name: str, config: PanopticConfig) -> Size:
    if name.startswith("c"):
        return stage_width(config, int(name[1:]) - 2)
    if name in ("stem", "box"):
        return config.stem_width if name == "stem" else config.box_hidden
    return {"pyramid": pyramid_width, "segmentation": segmentation_width, "mask": mask_width}[name](config)


class _Tried(ModelSpace):
    """A part between layers that have the sizes of its neighbours."""

    def __init__(self, part: AnyPart, place: _Place, config: PanopticConfig) -> None:
        super().__init__()
        sizes = {name: _size(name, config) for name in (*place.entering, place.leaving)}
        self.entering, self.leaving = [sizes[name] for name in place.entering], sizes[place.leaving]
        self.kind, self.stride = type(part), place.stride
        self.side = config.box_roi_size if self.kind is BoxHead else config.mask_roi_size
        self.about = f"the {part.what} {part.name!r}, tried {place.words}"
        # Layers of the same sizes, so that sizes which the part itself does not have are choices all the same.
        self.neighbours = nn.ModuleList(ElasticConv2d(1, size, 1) for size in sizes.values())
        try:
            layer = part.build(*self._arguments(config))
        except Exception as error:
            raise ValueError(f"{self.about}, cannot be built: {type(error).__name__}: {error}") from error
        if not isinstance(layer, nn.Module):
            raise ValueError(f"{self.about}, is built as {layer!r}; build must return a module")
        # A component stands there alone, and may have choices within.
        self.part = layer if self.kind in TRIED else LayerChoice({part.name: layer}, label="part")

    def _arguments(self, config: PanopticConfig) -> tuple[Any, ...]:
        if self.kind is HeadOperator:
            return self.entering[0], self.leaving
        if self.kind is BackboneBlock:
            return self.entering[0], self.leaving, self.stride, config
        if self.kind is PyramidNeck:
            return self.entering, self.leaving, config
        if self.kind in TRIED:
            return (config, self.entering[0]) if self.kind is BoxHead else (config, self.entering[0], self.leaving)
        return Concat(*self.entering), self.leaving, config

    def run(self) -> None:
        """Run the part, and compare what it gives.

        Raises:
            ValueError: If that is wrong, or it fails.
        """
        entering, leaving = [_active(size) for size in self.entering], _active(self.leaving)
        if self.kind is PyramidNeck:
            self._run_neck(entering, leaving)
            return
        height, width = self._sides()
        given = torch.zeros(2, sum(entering), height, width, device="meta")
        wanted: tuple[int, ...] = (2, leaving, height // self.stride, width // self.stride)
        if self.kind is FusionOperator:
            given = given[..., 0, 0]
        if self.kind in (FusionOperator, BoxHead):
            wanted = wanted[:2]
        self._compare(self._run(given, tuple(given.shape)), wanted, f"for {tuple(given.shape)}")

    def _sides(self) -> tuple[int, int]:
        """Height and width of what a layer is tried on."""
        if self.kind in TRIED:
            return self.side, self.side
        return (13, 18) if self.kind is HeadOperator else (16, 24)

    def _run_neck(self, entering: list[int], leaving: int) -> None:
        shapes = [
            (2, channels, *(side // stride for side in IMAGE))
            for channels, stride in zip(entering, PYRAMID_STRIDES[:4], strict=True)
        ]
        given = {f"c{level}": torch.zeros(shape, device="meta") for level, shape in enumerate(shapes, 2)}
        found = self._run(given, f"C2..C5 of {shapes}")
        names = list(found) if isinstance(found, dict) else type(found).__name__
        if names != list(LEVELS):
            raise ValueError(f"{self.about}, gives {names}; it must give a dictionary of {', '.join(LEVELS)}, in order")
        for level, stride in zip(LEVELS, PYRAMID_STRIDES, strict=True):
            wanted = 2, leaving, *(-(-side // stride) for side in IMAGE)
            self._compare(found[level], wanted, f"at {level}, of stride {stride}, for images of {IMAGE},")

    def _run(self, given: Any, shape: object) -> Any:
        with torch.no_grad():
            try:
                return self.eval().part(given)
            except Exception as error:
                raise ValueError(f"{self.about}, fails for {shape}: {type(error).__name__}: {error}") from error

    def _compare(self, found: Any, wanted: tuple[int, ...], of: str) -> None:
        if not isinstance(found, Tensor):
            raise ValueError(f"{self.about}, gives a {type(found).__name__} {of}; it must give a tensor of {wanted}")
        if tuple(found.shape) != wanted:
            raise ValueError(
                f"{self.about}, gives {tuple(found.shape)} {of} and must give {wanted}: {_wrong(found, wanted)}"
            )


def _wrong(found: Tensor, wanted: tuple[int, ...]) -> str:
    """Say what is wrong with a shape, and what one would look at."""
    if found.dim() != len(wanted):
        return f"{len(wanted)} dimensions, not {found.dim()}"
    if found.shape[1] != wanted[1]:
        return f"{wanted[1]} channels, not {found.shape[1]}"
    sides = tuple(found.shape[2:])
    return f"height and width {wanted[2:]}, not {sides}; see to its padding and strides"


def _active(size: Size) -> int:
    return size.active if isinstance(size, ElasticSize) else int(size)


def _built(tried: _Tried) -> Supernet:
    try:
        return Supernet(tried)
    except Exception as error:
        raise ValueError(f"{tried.about}, cannot be searched: {type(error).__name__}: {error}") from error


def _ends(space: SearchSpace) -> Iterator[Architecture]:
    """Yield the largest widths, the smallest, and each alone smallest and largest; of several options the first."""
    choices = space.choices
    sizes = [choice.label for choice in choices if all(isinstance(option, int) for option in choice.options)]
    first = {choice.label: choice.options[-1] for choice in choices}
    small = {choice.label: choice.options[0] for choice in choices if choice.label in sizes}
    changes = [{}, small, *({label: small[label]} for label in sizes)]
    changes += [{**small, label: first[label]} for label in sizes]
    found = (space.canonical({**first, **change}) for change in changes)
    yield from dict.fromkeys(found)
