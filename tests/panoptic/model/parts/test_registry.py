from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from torch import nn

from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.parts import registry
from autopanoptic.panoptic.model.parts.kinds import KINDS, AnyPart, BackboneBlock, HeadOperator, Part, PyramidNeck
from autopanoptic.panoptic.model.parts.registry import built, flop_formulas, names_of, own_parts, part_of, register


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    with own_parts():
        yield


def conv(entering: int, leaving: int, kernel: int = 3) -> nn.Module:
    return nn.Conv2d(entering, leaving, kernel, padding=kernel // 2)


@pytest.mark.parametrize("kind", KINDS)
def test_what_ships_is_registered_like_the_rest(kind: type[AnyPart]) -> None:
    known = registry._KNOWN[kind]
    assert tuple(known) == kind.shipped == names_of(kind)
    assert all(part_of(kind, name) == part for name, part in known.items())
    with pytest.raises(ValueError, match=f"there is another {kind.what} named '{kind.shipped[0]}', built by autopan"):
        register(kind(kind.shipped[0], conv))


def test_a_part_is_known_until_the_block_ends() -> None:
    with own_parts():
        assert register(HeadOperator("conv3", conv)) is part_of(HeadOperator, "conv3")
        assert names_of(HeadOperator) == (*HeadOperator.shipped, "conv3")
        assert replace(PanopticConfig(), head_operators=("dw3", "conv3")).head_operators == ("dw3", "conv3")
    with pytest.raises(ValueError, match=r"no head operator 'conv3', only dw3, .*, at5\. One of your own .* --import"):
        part_of(HeadOperator, "conv3")
    with pytest.raises(ValueError, match="head_operators: there is no head operator 'conv3'"):
        replace(PanopticConfig(), head_operators=("dw3", "conv3"))


def test_kinds_have_names_of_their_own() -> None:
    register(HeadOperator("both", conv))
    register(BackboneBlock("both", lambda entering, leaving, stride, config: nn.Identity()))
    assert isinstance(part_of(HeadOperator, "both"), HeadOperator)
    assert isinstance(part_of(BackboneBlock, "both"), BackboneBlock)


def test_the_same_code_may_register_again_and_other_code_not() -> None:
    register(HeadOperator("conv5", partial(conv, kernel=5)))
    again = register(HeadOperator("conv5", partial(conv, kernel=5)))
    assert part_of(HeadOperator, "conv5") is again

    def other(entering: int, leaving: int) -> nn.Module:
        return conv(entering, leaving)

    with pytest.raises(ValueError, match=r"another head operator named 'conv5', built by .*test_registry.*conv in"):
        register(HeadOperator("conv5", other))
    register(HeadOperator("short", lambda entering, leaving: conv(entering, leaving)))
    with pytest.raises(ValueError, match=r"another head operator named 'short', built by .*<lambda> of line \d+ in"):
        register(HeadOperator("short", lambda entering, leaving: conv(leaving, leaving)))


def test_what_is_no_part_is_refused() -> None:
    with pytest.raises(TypeError, match=r"a part to register is one of HeadOperator, BackboneBlock, .* not <function"):
        register(conv)  # type: ignore[type-var]
    with pytest.raises(TypeError, match="a part to register is one of"):
        register(Part("conv", conv))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blocks": ("shuffle3", "resnet")}, "blocks: there is no backbone block 'resnet', only shuffle3"),
        ({"elastic_blocks": ("resnet",)}, "elastic_blocks: there is no backbone block 'resnet'"),
        ({"necks": ("fpn", "nas")}, "necks: there is no neck 'nas', only fpn, panet, bifpn"),
        ({"neck": "nas"}, "neck must be one of fpn, panet, bifpn, search, not 'nas'. One of your own is known once"),
        ({"fusion_units": ("r4", "r32")}, "fusion_units: there is no fusion unit 'r32', only r4, r8, r16"),
        ({"fusion_units": ()}, "fusion_units must hold at least one name, each once"),
        ({"blocks": ("shuffle3", 5)}, "blocks must hold at least one name, each once"),
    ],
)
def test_a_config_knows_its_parts(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(PanopticConfig(), **changes)


def test_parts_of_fixed_widths_are_not_built_in_the_elastic_space() -> None:
    register(HeadOperator("conv3", conv))
    config = replace(PanopticConfig.scenes(3, 2), head_operators=("dw3", "conv3"))
    assert list(built(HeadOperator, config.head_operators, config, 8, 8)) == ["dw3", "conv3"]
    with pytest.raises(ValueError, match=r"head operator 'conv3' is registered for fixed widths .* with elastic=True"):
        built(HeadOperator, config.head_operators, replace(config, space="elastic"), 8, 8)


def test_formulas_come_from_the_parts_that_are_named() -> None:
    def formula(*_: Any, **__: Any) -> int:
        return 1

    register(PyramidNeck("odd", lambda entering, channels, config: nn.Identity(), flops={"an operator": formula}))
    config = replace(PanopticConfig.scenes(3, 2), head_operators=("dw3",))
    assert flop_formulas(config) == {}
    assert flop_formulas(replace(config, neck="odd")) == {"an operator": formula}
    assert len(flop_formulas(replace(config, head_operators=("df3", "df5")))) == 1
