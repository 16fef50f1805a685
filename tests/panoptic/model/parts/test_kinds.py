from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from autopanoptic.panoptic.model.parts.kinds import KINDS, AnyPart


@pytest.mark.parametrize("name", ["", "a.b", "3x3", "conv 3", "search", "c" * 33, "größe", 5])
@pytest.mark.parametrize("kind", KINDS)
def test_a_name_must_do_in_an_architecture_a_state_dict_and_a_picture(kind: type[AnyPart], name: Any) -> None:
    with pytest.raises(ValueError, match=rf"the name of a {kind.what} must be a letter and at most 31 more .*; it is"):
        kind(name, lambda *_: nn.Identity())


@pytest.mark.parametrize("name", ["a", "large-kernel_13", "c" * 32])
def test_names_may_be_long(name: str) -> None:
    assert KINDS[0](name, lambda *_: nn.Identity()).name == name


def test_a_part_is_of_fixed_widths_unless_it_says_otherwise() -> None:
    assert not KINDS[0]("conv", lambda *_: nn.Identity()).elastic
