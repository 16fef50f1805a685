from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from autopanoptic.nas import InputChoice, LayerChoice, ModelSpace, Repeat, Supernet


class Space(ModelSpace):
    def __init__(self, make: Any) -> None:
        super().__init__()
        self.part = make()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.part(*args, **kwargs)


class Sum(nn.Module):
    def forward(self, x: Tensor, *others: Tensor, scale: float = 1.0) -> Tensor:
        return (x + sum(others)) * scale


@pytest.mark.parametrize(
    "candidates",
    [
        {"a": Sum(), "b": nn.Identity()},
        OrderedDict(a=Sum(), b=nn.Identity()),
        nn.ModuleDict({"a": Sum(), "b": nn.Identity()}),
        [Sum(), nn.Identity()],
        (Sum(), nn.Identity()),
        nn.ModuleList([Sum(), nn.Identity()]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_candidates_in_any_container(candidates: Any) -> None:
    supernet = Supernet(Space(lambda: LayerChoice(candidates, label="op")))
    first, second = supernet.space["op"].options
    assert (first, second) in [("a", "b"), (0, 1)]
    ones = torch.ones(2)
    for network in (supernet, supernet.subnet({"op": first})):
        assert network(ones, ones, ones, scale=2.0).tolist() == [6, 6]
    supernet.activate({"op": second})
    assert supernet(ones) is ones
    assert supernet.subnet({"op": second})(ones) is ones


@pytest.mark.parametrize(
    "name", ["forward", "float", "training", "tied", "names", "choice", "label", "a.b", "", "_x", 3]
)
def test_option_names_that_a_module_cannot_have(name: Any) -> None:
    with pytest.raises(ValueError, match=r"of LayerChoice 'op' cannot be a module's name"):
        Space(lambda: LayerChoice({name: nn.Identity()}, label="op"))


@pytest.mark.parametrize("label", ["", "a/b", None, 3])
def test_labels_that_nni_cannot_carry(label: Any) -> None:
    makers = [
        lambda: LayerChoice([nn.Identity()], label=label),
        lambda: InputChoice(2, label=label),
        lambda: Repeat(lambda i: nn.Identity(), (1, 2), label=label),
    ]
    for make in makers:
        with pytest.raises(ValueError, match=r"(?i)label"):
            Space(make)


def test_layer_choice_needs_modules() -> None:
    with pytest.raises(ValueError, match="has no candidates"):
        Space(lambda: LayerChoice({}, label="op"))
    with pytest.raises(TypeError, match="Candidate 'a' of LayerChoice 'op' must be a module, not <class"):
        Space(lambda: LayerChoice({"a": nn.ReLU}, label="op"))  # type: ignore[dict-item]


def test_label_is_required() -> None:
    with pytest.raises(TypeError, match="label"):
        Space(lambda: LayerChoice([nn.Identity()]))  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("reduction", "expected"), [("sum", [5.0]), ("mean", [2.5]), ("concat", [1.0, 4.0]), ("none", None)]
)
def test_input_choice_reduces(reduction: str, expected: list[float] | None) -> None:
    supernet = Supernet(Space(lambda: InputChoice(3, 2, reduction, label="in")))
    assert supernet.space["in"].options == ("0+1", "0+2", "1+2")
    inputs = [torch.full((1, 1), float(value)) for value in (1, 2, 4)]
    supernet.activate({"in": "0+2"})
    for network in (supernet, supernet.subnet({"in": "0+2"})):
        found = network(inputs)
        assert [t.item() for t in found] == [1, 4] if expected is None else found.flatten().tolist() == expected


def test_input_choice_of_one_has_indices_for_options() -> None:
    supernet = Supernet(Space(lambda: InputChoice(3, label="in")))
    assert supernet.space["in"].options == (0, 1, 2)
    inputs = [torch.tensor([value]) for value in (1.0, 2.0, 3.0)]
    for option in (0, 1, 2):
        supernet.activate({"in": option})
        assert supernet(inputs) == supernet.subnet({"in": option})(inputs) == inputs[option]


@pytest.mark.parametrize(("candidates", "chosen"), [(0, 1), (2, 3), (2, 0), (2, -1)])
def test_impossible_selections(candidates: int, chosen: int) -> None:
    with pytest.raises(ValueError, match=f"cannot take n_chosen={chosen} of n_candidates={candidates}"):
        Space(lambda: InputChoice(candidates, chosen, label="in"))


def test_selection_with_too_many_options() -> None:
    assert len(InputChoice.combinations(10, None)) == 1023
    with pytest.raises(ValueError, match="more than 1024 options; split it"):
        Space(lambda: InputChoice(11, None, label="in"))


class Add(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.value


@pytest.mark.parametrize(("depth", "options"), [((1, 3), (1, 2, 3)), ((0, 2), (0, 1, 2)), ((2, 2), (2,))])
def test_repeat_runs_a_prefix(depth: tuple[int, int], options: tuple[int, ...]) -> None:
    supernet = Supernet(Space(lambda: Repeat(lambda i: Add(10.0**i), depth, label="d")))
    assert supernet.space["d"].options == options
    for option in options:
        supernet.activate({"d": option})
        network = supernet.subnet({"d": option})
        zero = torch.zeros(())
        assert supernet(zero).item() == network(zero).item() == sum(10**i for i in range(option))
        assert len(list(network.parameters())) == option


def test_repeat_of_a_fixed_depth_is_no_choice() -> None:
    supernet = Supernet(Space(lambda: Repeat(lambda i: Add(float(i)), 3)))
    assert len(supernet.space.choices) == 0
    assert supernet(0).item() == supernet.subnet({})(0).item() == 3


@pytest.mark.parametrize("depth", [(2, 1), (-1, 2), (0, 0), 0, [1, 3], 2.0, (1, 2, 3)])
def test_impossible_depths(depth: Any) -> None:
    with pytest.raises(ValueError, match=r"Repeat cannot have depth="):
        Space(lambda: Repeat(lambda i: Add(0.0), depth, label="d"))


def test_range_of_depths_needs_a_label() -> None:
    with pytest.raises(ValueError, match=r"depth=\(1, 2\) is a choice and needs a label"):
        Space(lambda: Repeat(lambda i: Add(0.0), (1, 2)))


def test_arguments_and_defaults_of_the_constructor_are_repeated() -> None:
    class Wide(ModelSpace):
        def __init__(self, width: int, *rest: int, depth: int = 2, **more: int) -> None:
            super().__init__()
            self.given = (width, rest, depth, more)
            self.op = LayerChoice([nn.Linear(width, width), nn.Identity()], label="op")

    class Wider(Wide):
        def __init__(self, factor: int) -> None:
            super().__init__(2 * factor, 5, 6, extra=7)

    network: Any = Supernet(Wider(3)).subnet({"op": 0})
    assert network.given == (6, (5, 6), 2, {"extra": 7})
    assert network.op.weight.shape == (6, 6)
