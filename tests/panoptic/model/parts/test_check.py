from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from autopanoptic.nas import ElasticConv2d
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.parts.check import check_parts
from autopanoptic.panoptic.model.parts.kinds import AnyPart, BackboneBlock, FusionOperator, HeadOperator, PyramidNeck
from autopanoptic.panoptic.model.parts.registry import own_parts, register

CONFIG = PanopticConfig.scenes(3, 2)


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    with own_parts():
        yield


class Calls(nn.Module):
    """A layer without weights that does what a function says."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(x)


def conv(entering: Any, leaving: Any, kernel: int = 3, padding: int = 1, stride: int = 1) -> nn.Module:
    layer: nn.Module = ElasticConv2d(entering, leaving, kernel, stride, padding)
    return layer


def levels(features: dict[str, Tensor], channels: int = 48, most: int = 6) -> dict[str, Tensor]:
    batch, _, height, width = features["c2"].shape
    return {
        f"p{level}": torch.zeros(batch, channels, -(-height * 4 // 2**level), -(-width * 4 // 2**level))
        for level in range(2, most + 1)
    }


GOOD = [
    HeadOperator("own", conv, elastic=True),
    HeadOperator("own", lambda entering, leaving: nn.Conv2d(entering, leaving, 1)),  # type: ignore[arg-type]
    BackboneBlock(
        "own", lambda entering, leaving, stride, config: conv(entering, leaving, stride=stride), elastic=True
    ),
    PyramidNeck("own", lambda entering, channels, config: Calls(levels)),
    FusionOperator("own", lambda entering, leaving, config: nn.Linear(entering, leaving)),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("part", GOOD, ids=lambda part: part.what)
def test_parts_that_do_what_their_kind_says_pass(part: AnyPart) -> None:
    register(part)
    check_parts(with_part(part))
    if part.elastic:
        check_parts(replace(with_part(part), space="elastic"))


def with_part(part: AnyPart) -> PanopticConfig:
    names = {
        HeadOperator: {"head_operators": ("dw3", "own")},
        BackboneBlock: {"blocks": ("own",), "elastic_blocks": ("shuffle3", "own")},
        PyramidNeck: {"neck": "own"},
        FusionOperator: {"fusion_units": ("own",)},
    }
    return replace(CONFIG, **names[type(part)])  # type: ignore[arg-type]


BAD: list[tuple[AnyPart, str]] = [
    (
        HeadOperator("own", lambda entering, leaving: conv(entering, leaving, 4, 2)),
        r"^head_operators: the head operator 'own', tried as the first layer of the segmentation branch, gives "
        r"\(2, 24, 14, 19\) for \(2, 48, 13, 18\) and must give \(2, 24, 13, 18\): height and width \(13, 18\), not "
        r"\(14, 19\); see to its padding",
    ),
    (
        HeadOperator("own", lambda entering, leaving: conv(entering, entering)),
        r"gives \(2, 48, 13, 18\) .* must give \(2, 24, 13, 18\): 24 channels, not 48",
    ),
    (
        HeadOperator("own", lambda entering, leaving: conv(leaving, leaving)),
        r"'own', tried as the first layer of the segmentation branch, fails for \(2, 48, 13, 18\): RuntimeError: ",
    ),
    (
        HeadOperator("own", lambda entering, leaving: Calls(lambda x: (x, x))),
        "gives a tuple for .*; it must give a ten",
    ),
    (HeadOperator("own", lambda entering, leaving: Calls(lambda x: x.mean((2, 3)))), "4 dimensions, not 2"),
    (HeadOperator("own", lambda entering, leaving: 5), "is built as 5; build must return a module"),  # type: ignore
    (HeadOperator("own", lambda entering: conv(entering, 1)), "cannot be built: TypeError: "),  # type: ignore
    (
        BackboneBlock("own", lambda entering, leaving, stride, config: conv(entering, leaving)),
        r"^blocks: the backbone block 'own', tried as the first block of C2, with stride 2, gives \(2, 24, 16, 24\) "
        r"for \(2, 16, 16, 24\) and must give \(2, 24, 8, 12\)",
    ),
    (
        BackboneBlock("own", lambda entering, leaving, stride, config: conv(entering, leaving, stride=2)),
        r"'own', tried as a further block of C2, gives \(2, 24, 8, 12\) .* must give \(2, 24, 16, 24\)",
    ),
    (
        PyramidNeck("own", lambda entering, channels, config: Calls(lambda x: levels(x, most=5))),
        r"^neck: the neck 'own', tried as the neck, gives \['p2', 'p3', 'p4', 'p5'\]; it must give a dictionary of p2",
    ),
    (
        PyramidNeck("own", lambda entering, channels, config: Calls(lambda x: [*x.values()])),
        "gives list; it must give a dictionary of p2, p3, p4, p5, p6, in order",
    ),
    (
        PyramidNeck(
            "own", lambda entering, channels, config: Calls(lambda x: dict.fromkeys(levels(x), levels(x)["p2"]))
        ),
        r"gives \(2, 48, 56, 40\) at p3, of stride 8, for images of \(224, 160\), and must give \(2, 48, 28, 20\)",
    ),
    (
        PyramidNeck("own", lambda entering, channels, config: Calls(lambda x: levels(x, 32))),
        r"at p2, of stride 4, .* 48 channels, not 32",
    ),
    (
        FusionOperator("own", lambda entering, leaving, config: nn.Linear(entering, 1)),  # type: ignore[arg-type]
        r"^fusion_units: the fusion unit 'own', tried from things to stuff \(f2b\), gives \(2, 1\) for \(2, 192\)",
    ),
]


@pytest.mark.parametrize(("part", "message"), BAD)
def test_what_is_wrong_with_a_part_is_said(part: AnyPart, message: str) -> None:
    register(part)
    with pytest.raises(ValueError, match=message):
        check_parts(with_part(part))


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (
            HeadOperator("own", conv),
            "^head_operators: the head operator 'own' is registered for fixed widths alone, .* elastic=True",
        ),
        (
            HeadOperator("own", lambda entering, leaving: nn.Conv2d(entering, leaving, 1), elastic=True),  # type: ignore
            r"cannot be built: TypeError: .* is a size that an architecture chooses, and no number",
        ),
        (
            PyramidNeck("own", lambda entering, channels, config: Calls(lambda x: levels(x, 96)), elastic=True),
            r"at p2, of stride 4, .* 36 channels, not 96",
        ),
        (
            HeadOperator("own", lambda entering, leaving: Calls(lambda x: x), elastic=True),
            r"gives \(2, 96, 13, 18\) for \(2, 96, 13, 18\) and must give \(2, 48, 13, 18\)",
        ),
    ],
)
def test_a_part_must_do_for_all_widths_of_the_elastic_space(part: AnyPart, message: str) -> None:
    register(part)
    with pytest.raises(ValueError, match=message):
        check_parts(replace(with_part(part), space="elastic"))


@pytest.mark.parametrize("space", ["auto-panoptic", "elastic"])
def test_those_that_ship_do_what_their_kinds_say(space: str) -> None:
    elastic = {"elastic_blocks": BackboneBlock.shipped, "c2_widths": (16, 48), "mask_widths": (36, 96)}
    check_parts(replace(CONFIG, space=space, neck="search", **elastic), shipped=True)  # type: ignore[arg-type]


def test_a_part_that_was_refused_leaves_nothing_behind() -> None:
    register(HeadOperator("own", lambda entering, leaving: 1 / 0))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="ZeroDivisionError"):
        check_parts(replace(CONFIG, head_operators=("own",)))
    check_parts(replace(CONFIG, head_operators=("dw3",)), shipped=True)
