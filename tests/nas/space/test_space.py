from __future__ import annotations

import copy
import itertools
import json
import pickle
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autopanoptic.nas.space import constrained
from autopanoptic.nas.space.architecture import Architecture, Option
from autopanoptic.nas.space.choice import Choice
from autopanoptic.nas.space.constrained import InfeasibleError
from autopanoptic.nas.space.space import SearchSpace
from tests.spaces import nested_spaces

FLAT = SearchSpace([Choice("op", ["conv", "pool"]), Choice("width", [16, 24, 32]), Choice("se", [False, True])])
NESTED = SearchSpace(
    [
        Choice("depth", [1, 2]),
        Choice("op", ["conv", "pool"]),
        Choice("kernel", [3, 5, 7], ("op", "conv")),
        Choice("op2", ["conv", "skip"], ("depth", 2)),
        Choice("dilation", [1, 2], [("kernel", 7), ("op2", "conv")]),
    ]
)
ONE_WAY = SearchSpace([Choice("a", ["only"]), Choice("b", [1], ("a", "only"))])


def brute_force(space: SearchSpace) -> set[Architecture]:
    """Return the canonical forms of every combination of options."""
    labels = [choice.label for choice in space.choices]
    combinations = itertools.product(*(choice.options for choice in space.choices))
    return {space.canonical(dict(zip(labels, options, strict=True))) for options in combinations}


def test_parents_come_first_in_whatever_order_the_choices_are_given() -> None:
    shuffled = SearchSpace(reversed(NESTED.choices))
    labels = [choice.label for choice in shuffled.choices]
    assert labels.index("op") < labels.index("kernel") < labels.index("dilation")
    assert set(shuffled) == set(NESTED)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ([Choice("a", [1]), Choice("b", [1]), Choice("a", [2])], r"different labels; repeated: \['a'\]"),
        ([Choice("a", [1], ("b", 1))], "'a' depends on 'b', which is not in the space"),
        ([Choice("a", [1, 2]), Choice("b", [1], ("a", (2, 3)))], r"depends on option 3 of 'a', which has \[1, 2\]"),
        ([Choice("a", [1], ("b", 1)), Choice("b", [1], ("a", 1))], r"conditions of \['a', 'b'\] form a cycle"),
        ([Choice("a", [1], ("a", 1))], "form a cycle"),
    ],
)
def test_spaces_that_make_no_sense_are_refused(choices: list[Choice], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SearchSpace(choices)


def test_size_and_repr() -> None:
    assert FLAT.size == 12
    # conv: kernel 3, 5 with 1 + (2 + 1) ways each, kernel 7 with 2 + (2 + 2); pool: 1 + (2 + 1).
    assert NESTED.size == 2 * 4 + 6 + 4
    assert ONE_WAY.size == 1
    assert SearchSpace([]).size == 1
    assert repr(FLAT) == "SearchSpace(3 choices, 12 architectures)"


def test_sizes_beyond_the_range_of_floats_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constrained, "ENUMERABLE", 100)  # or it takes seconds
    choices = [Choice(f"c{i}", range(4)) for i in range(600)]
    huge = SearchSpace(choices)
    assert huge.size == 4**600
    assert repr(huge) == "SearchSpace(600 choices, 1.722e+361 architectures)"
    narrow = huge.where(lambda architecture: False, "nothing")
    with pytest.raises(InfeasibleError, match=r"nothing, in a space of 1\.722e\+361 that is too large"):
        next(iter(narrow))


def test_counting_does_not_depend_on_where_the_children_stand() -> None:
    parents = [Choice(f"op{i}", ["conv", "pool", "skip"]) for i in range(60)]
    children = [Choice(f"kernel{i}", [3, 5], (f"op{i}", ("conv", "pool"))) for i in range(60)]
    # By the combinations of all parents it would never end.
    assert SearchSpace([*parents, *children]).size == 5**60


def test_deep_nesting_is_counted() -> None:
    choices = [Choice("c0", [0, 1])] + [Choice(f"c{i}", [0, 1], (f"c{i - 1}", 1)) for i in range(1, 500)]
    assert SearchSpace(choices).size == 501


@settings(max_examples=60, deadline=None)
@given(space=nested_spaces(fewest=0))
def test_iteration_yields_every_architecture_once(space: SearchSpace) -> None:
    found = list(space)
    assert len(found) == len(set(found)) == space.size
    assert set(found) == brute_force(space)
    assert all(space.canonical(architecture) == architecture for architecture in found)


@settings(max_examples=60, deadline=None)
@given(space=nested_spaces(fewest=0), seed=st.integers(0, 2**32), rate=st.none() | st.floats(0, 1))
def test_draws_mutants_and_children_are_canonical(space: SearchSpace, seed: int, rate: float | None) -> None:
    rng = np.random.default_rng(seed)
    one, other = space.sample(rng), space.sample(rng)
    child = space.crossover(one, other, rng)
    assert one in space
    assert child in space
    assert list(child) == [choice.label for choice in space.choices if choice.label in child]
    for label in child.keys() & one.keys() & other.keys():
        assert child[label] in (one[label], other[label])
    if space.size > 1:
        mutant = space.mutate(one, rng, rate)
        assert mutant in space
        assert mutant != one


@settings(max_examples=100, deadline=None)
@given(space=nested_spaces(most=10), seed=st.integers(0, 2**32))
def test_a_change_turns_on_the_first_options_and_keeps_the_order(space: SearchSpace, seed: int) -> None:
    first = {choice.label: choice.options[0] for choice in space.choices}
    architecture = space.sample(np.random.default_rng(seed))
    for label in architecture:
        for option in space[label].options:
            expected = space.canonical({**first, **architecture.replace(label, option)})
            assert list(space.changed(architecture, label, option).items()) == list(expected.items())


def test_a_change_asks_dependent_choices_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    space = SearchSpace(
        choice for i in range(50) for choice in (Choice(f"p{i}", [0, 1]), Choice(f"c{i}", [0, 1], (f"p{i}", 1)))
    )
    architecture = space.canonical({choice.label: 0 for choice in space.choices})
    asked: list[str] = []
    active = Choice.active
    monkeypatch.setattr(Choice, "active", lambda self, options: (asked.append(self.label), active(self, options))[1])
    assert space.changed(architecture, "p7", 1)["c7"] == 0
    assert asked == ["c7"]


@settings(max_examples=60, deadline=None)
@given(space=nested_spaces(fewest=0), seed=st.integers(0, 2**32))
def test_neighbors_differ_in_one_choice_that_both_make(space: SearchSpace, seed: int) -> None:
    architecture = space.sample(np.random.default_rng(seed))
    found = list(space.neighbors(architecture))
    assert len(found) == sum(len(space[label].options) - 1 for label in architecture)
    assert len(set(found)) == len(found)
    for neighbor in found:
        assert neighbor in space
        common = neighbor.keys() & architecture.keys()
        assert sum(neighbor[label] != architecture[label] for label in common) == 1


def test_a_change_makes_what_becomes_active_by_first_options_and_leaves_out_the_rest() -> None:
    for start in NESTED:
        for choice in NESTED.choices:
            for option in choice.options if choice.label in start else ():
                changed = NESTED.changed(start, choice.label, option)
                assert changed in NESTED
                assert changed[choice.label] == option
                new = changed.keys() - start.keys()
                assert all(changed[label] == NESTED[label].options[0] for label in new)
                kept = changed.keys() & start.keys() - {choice.label}
                assert all(changed[label] == start[label] for label in kept)


def test_iteration_is_lexicographic_and_lazy() -> None:
    order = [tuple(architecture.values()) for architecture in FLAT]
    assert order == list(itertools.product(["conv", "pool"], [16, 24, 32], [False, True]))
    huge = SearchSpace(Choice(f"c{i}", range(4)) for i in range(200))
    assert [architecture["c199"] for architecture in itertools.islice(huge, 4)] == [0, 1, 2, 3]


def test_sampling_is_uniform_over_the_options_of_each_choice() -> None:
    rng = np.random.default_rng(0)
    drawn = [NESTED.sample(rng) for _ in range(6000)]
    assert Counter(found["depth"] for found in drawn)[1] == pytest.approx(3000, abs=4.5 * 39)
    kernels = Counter(found["kernel"] for found in drawn if "kernel" in found)
    assert all(count == pytest.approx(1000, abs=4.5 * 29) for count in kernels.values())


def test_randomness_comes_from_the_generator_alone() -> None:
    one, same = (np.random.default_rng(3) for _ in range(2))
    assert [NESTED.sample(one) for _ in range(20)] == [NESTED.sample(same) for _ in range(20)]


def test_one_gene_mutation_draws_the_choice_and_the_option_uniformly() -> None:
    rng = np.random.default_rng(0)
    parent = FLAT.canonical({"op": "conv", "width": 16, "se": False})
    mutants = Counter(FLAT.mutate(parent, rng) for _ in range(3000))
    changed = {"op": "pool", "width": None, "se": True}
    for label in changed:
        assert sum(n for found, n in mutants.items() if found[label] != parent[label]) == pytest.approx(1000, abs=120)
    assert all(sum(found[label] != parent[label] for label in parent) == 1 for found in mutants)
    assert sum(n for found, n in mutants.items() if found["width"] == 24) == pytest.approx(500, abs=100)


def test_mutation_refuses_what_it_cannot_do() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="cannot be mutated"):
        ONE_WAY.mutate(next(iter(ONE_WAY)), rng)
    for rate in (-0.1, 1.5, float("nan")):
        with pytest.raises(ValueError, match=r"mutation rate must be in \[0, 1\]"):
            FLAT.mutate(next(iter(FLAT)), rng, rate)


def test_crossover_takes_from_both_parents() -> None:
    space = SearchSpace(Choice(f"c{i}", ["a", "b"]) for i in range(40))
    one, other = (space.canonical({f"c{i}": option for i in range(40)}) for option in "ab")
    shares = [list(space.crossover(one, other, np.random.default_rng(seed)).values()).count("a") for seed in range(100)]
    assert np.mean(shares) == pytest.approx(20, abs=4 * np.sqrt(10 / 100))


def test_canonical_drops_inactive_choices_and_keeps_the_spaces_order() -> None:
    values: dict[str, Option] = {"dilation": 2, "kernel": 3, "op2": "skip", "op": "pool", "depth": 1}
    found = NESTED.canonical(values)
    assert list(found.items()) == [("depth", 1), ("op", "pool")]


def test_canonical_gives_the_spaces_own_options() -> None:
    found = FLAT.canonical({"op": "conv", "width": 16.0, "se": 1})
    assert found.id == FLAT.canonical({"op": "conv", "width": 16, "se": True}).id
    assert [type(option) for option in found.values()] == [str, int, bool]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"op": "conv"}, r"lacks choice 'width', one of \[16, 24, 32\]"),
        ({"op": "max", "width": 16, "se": True}, r"'op' has no option 'max'; it has \['conv', 'pool'\]"),
        ({"op": ["conv"], "width": 16, "se": True}, r"'op' has no option \['conv'\]; it has"),
        ({"op": "conv", "width": 16, "se": True, "depth": 1}, r"no choice 'depth'; it has \['op', 'width', 'se'\]"),
    ],
)
def test_canonical_names_what_is_wrong(values: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FLAT.canonical(values)


def test_membership() -> None:
    inside = NESTED.canonical({"depth": 1, "op": "pool"})
    assert inside in NESTED
    assert Architecture({"depth": 1, "op": "pool", "kernel": 3}) not in NESTED, "not canonical"
    assert Architecture({"depth": 1}) not in NESTED
    assert {"depth": 1, "op": "pool"} not in NESTED, "not an architecture"
    assert inside not in FLAT


def test_choices_are_found_by_label() -> None:
    assert FLAT["width"].options == (16, 24, 32)
    with pytest.raises(KeyError, match=r"no choice 'depth'; it has \['op', 'width', 'se'\]"):
        FLAT["depth"]


def test_one_hot_encoding() -> None:
    architectures = [
        NESTED.canonical({"depth": 1, "op": "pool"}),
        NESTED.canonical({"depth": 2, "op": "conv", "kernel": 7, "op2": "skip", "dilation": 2}),
    ]
    # depth 1, 2; op conv, pool; kernel 3, 5, 7; op2 conv, skip; dilation 1, 2. The first two choices come first.
    assert NESTED.encode(architectures).tolist() == [
        [1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
        [0, 1, 1, 0, 0, 0, 1, 0, 1, 0, 1],
    ]
    assert NESTED.encode([]).shape == (0, 11)


def test_json_round_trip_and_equality() -> None:
    again = SearchSpace.from_json(json.loads(json.dumps(NESTED.to_json())))
    assert again == NESTED
    assert hash(again) == hash(NESTED)
    assert again != FLAT
    assert FLAT != "FLAT"
    assert pickle.loads(pickle.dumps(NESTED)) == NESTED


def test_a_canonical_architecture_is_not_checked_again(space: SearchSpace) -> None:
    """Whoever made it; but for another space, and for a copy or a plain mapping, it is checked in full."""
    other = SearchSpace([Choice("op", ["pool", "conv"])])
    part = space.where(lambda architecture: architecture["k0"] == 1, "k0 == 1")
    rng = np.random.default_rng(0)
    first, drawn = next(iter(space)), space.sample(rng)
    made = [first, drawn, part.sample(rng), space.mutate(drawn, rng), next(space.neighbors(drawn)), next(iter(part))]
    for architecture in made:
        assert space.canonical(architecture) is architecture
        assert part.canonical(architecture) is part.unconstrained.canonical(architecture) is architecture
        with pytest.raises(ValueError, match="no choice"):
            other.canonical(architecture)
        for again in (dict(architecture), copy.deepcopy(architecture), pickle.loads(pickle.dumps(architecture))):
            assert space.canonical(again) == architecture
            assert space.canonical(again) is not again
    wrong = Architecture({**drawn, "k0": 7})
    with pytest.raises(ValueError, match="no option 7"):
        space.canonical(wrong)


def test_only_representatives_are_not_checked_again() -> None:
    choices = [Choice("a", [0, 1]), Choice("b", [0, 1])]
    seen: list[Architecture] = []

    def ordered(architecture: Architecture) -> dict[str, Any]:
        seen.append(architecture)
        return dict(zip("ab", sorted(architecture.values()), strict=True))

    space = SearchSpace(choices, ordered)
    assert [tuple(architecture.values()) for architecture in space] == [(0, 0), (0, 1), (1, 1)]
    assert space.canonical(Architecture({"a": 1, "b": 0})) == {"a": 0, "b": 1}
    assert any(space.canonical(architecture) != architecture for architecture in seen)
