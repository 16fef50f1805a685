from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from torch import nn

from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.parts.kinds import COMPONENTS, MaskHead, SemanticHead
from autopanoptic.panoptic.model.parts.registry import own_parts, register


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    with own_parts():
        yield


@pytest.mark.parametrize("field", COMPONENTS)
def test_an_unknown_component_is_refused_with_those_that_there_are(field: str) -> None:
    what = COMPONENTS[field].what
    with pytest.raises(ValueError, match=rf"PanopticConfig: {field}: there is no {what} 'mine', only .*One of your"):
        replace(PanopticConfig(), **{field: "mine"})


def test_a_component_refuses_a_partner_that_does_not_give_what_it_needs() -> None:
    with pytest.raises(
        ValueError,
        match=r"fusion: the fusion 'attention' needs features of stuff at P2 to P5, which the semantic head "
        r"'panoptic-fpn' does not give; give semantic_head one of searched.* or take another partner",
    ):
        replace(PanopticConfig(), semantic_head="panoptic-fpn")
    assert replace(PanopticConfig(), semantic_head="panoptic-fpn", fusion="none").fusion == "none"


def test_a_need_that_no_part_gives_is_said() -> None:
    register(MaskHead("depths", lambda *_: nn.Identity(), needs=("depths of pixels",)))
    with pytest.raises(ValueError, match="the mask head 'depths' needs depths of pixels, which no part gives"):
        replace(PanopticConfig(), mask_head="depths")
    register(SemanticHead("depths", lambda *_: nn.Identity(), gives=("depths of pixels",)))  # type: ignore[arg-type, return-value]
    with pytest.raises(ValueError, match="'searched' does not give; give semantic_head one of depths"):
        replace(PanopticConfig(), mask_head="depths")
    assert replace(PanopticConfig(), mask_head="depths", semantic_head="depths", fusion="none").mask_head == "depths"
