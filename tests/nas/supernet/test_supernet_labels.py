from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from autopanoptic.nas import LayerChoice, ModelSpace, Repeat, Supernet


def _space(*modules: nn.Module) -> type[ModelSpace]:
    class Made(ModelSpace):
        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.ModuleList(modules)

    return Made


def _choice(label: str, *, tied: bool = False, **candidates: nn.Module) -> LayerChoice:
    with_default = candidates or {"a": nn.Identity(), "b": nn.ReLU()}
    return LayerChoice(with_default, label=label, tied=tied)


class Labels(ModelSpace):
    def __init__(self, make: Any) -> None:
        super().__init__()
        self.parts = nn.ModuleList(make())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: [_choice("x"), _choice("x")], "'x' stands at 2 choices.*tied=True"),
        (lambda: [_choice("x", tied=True), _choice("x")], "'x' stands at 2 choices"),
        (
            lambda: [_choice("x", tied=True), _choice("x", tied=True, a=nn.Identity(), c=nn.ReLU())],
            r"'x' stands for \['a', 'b'\] and for \['a', 'c'\]",
        ),
        (lambda: [Repeat(lambda i: _choice("x"), (1, 2), label="d")], "'x' stands at 2 choices"),
        (lambda: [_choice("x", a=_choice("x", tied=True), b=nn.ReLU())], "cycle|tied"),
    ],
)
def test_labels_that_cannot_be_told_apart(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Supernet(Labels(make))


def test_labels_that_nni_made_up_are_refused() -> None:
    from nni.nas.nn.pytorch import LayerChoice as Unlabelled

    class Prefixed(ModelSpace, label_prefix="net"):
        def __init__(self) -> None:
            super().__init__()
            self.op = Unlabelled([nn.Identity(), nn.ReLU()])

    with pytest.raises(ValueError, match=r"Label 'net/1' has a '/'"):
        Supernet(Prefixed())


def test_mutables_that_nni_would_initialise_anew_are_refused() -> None:
    import nni
    from nni.nas.nn.pytorch import MutableLinear

    class Elastic(ModelSpace):
        def __init__(self) -> None:
            super().__init__()
            self.op = MutableLinear(4, nni.choice("width", [2, 3]))

    with pytest.raises(ValueError, match=r"MutableLinear cannot be switched in place; .* a size by Width or Kernel"):
        Supernet(Elastic())


def test_tied_parents_of_which_one_holds_a_choice_alone_are_refused() -> None:
    def make() -> list[nn.Module]:
        inside = _choice("x", tied=True, a=nn.Identity(), b=_choice("y"))
        return [_choice("x", tied=True), _choice("outer", off=nn.Identity(), on=inside)]

    with pytest.raises(ValueError, match="'y' stands inside 'x', which is tied"):
        Supernet(Labels(make))


def test_tied_parents_with_the_same_choices_inside() -> None:
    def make() -> list[nn.Module]:
        first, second = (_choice("x", tied=True, a=nn.Identity(), b=_choice("y", tied=True)) for _ in range(2))
        return [first, _choice("outer", off=nn.Identity(), on=second)]

    space = Supernet(Labels(make)).space
    assert space["y"].conditions == (("x", ("b",)),)
    assert space.size == 2 * 3


def test_choice_that_is_reached_in_two_ways_is_active_by_either() -> None:
    def make() -> list[nn.Module]:
        shared = _choice("y")
        return [_choice("one", off=nn.Identity(), on=shared), _choice("two", off=nn.Identity(), on=shared)]

    supernet = Supernet(Labels(make))
    assert supernet.space.size == 1 + 3 * 2
    assert "y" in supernet.activate({"one": "off", "two": "on", "y": "b"})
    assert "y" not in supernet.activate({"one": "off", "two": "off", "y": "b"})
