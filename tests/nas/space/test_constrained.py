from __future__ import annotations

import itertools

import numpy as np
import pytest

from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.choice import Choice
from autopanoptic.nas.space.constrained import InfeasibleError
from autopanoptic.nas.space.space import SearchSpace

WHOLE = SearchSpace(Choice(f"c{i}", range(4)) for i in range(4))
HUGE = SearchSpace(Choice(f"c{i}", range(4)) for i in range(60))


def total(architecture: Architecture) -> int:
    return sum(int(option) for option in architecture.values())


def at_most_four(architecture: Architecture) -> bool:
    return total(architecture) <= 4


CHEAP = WHOLE.where(at_most_four, "total <= 4")


def test_everything_it_makes_is_accepted() -> None:
    rng = np.random.default_rng(0)
    drawn = [CHEAP.sample(rng) for _ in range(200)]
    assert all(map(at_most_four, drawn))
    assert all(at_most_four(CHEAP.mutate(found, rng)) and CHEAP.mutate(found, rng) != found for found in drawn)
    pairs = itertools.pairwise(drawn)
    assert all(at_most_four(CHEAP.crossover(one, other, rng)) for one, other in pairs)
    assert all(at_most_four(neighbor) for found in drawn[:20] for neighbor in CHEAP.neighbors(found))


def test_iteration_skips_what_is_refused_and_keeps_the_order() -> None:
    assert list(CHEAP) == [architecture for architecture in WHOLE if at_most_four(architecture)]
    assert CHEAP.size == WHOLE.size, "the size is that of the whole space"


def test_sampling_is_uniform_over_what_is_accepted_in_a_flat_space() -> None:
    rng = np.random.default_rng(0)
    accepted = list(CHEAP)
    counts = dict.fromkeys(accepted, 0)
    for _ in range(100 * len(accepted)):
        counts[CHEAP.sample(rng)] += 1
    assert max(abs(count - 100) for count in counts.values()) < 50


def test_membership_and_acceptance() -> None:
    cheap, dear = (
        WHOLE.canonical(dict.fromkeys(["c0", "c1", "c2", "c3"], 1)),
        WHOLE.canonical({f"c{i}": 3 for i in range(4)}),
    )
    assert CHEAP.accepts(cheap)
    assert cheap in CHEAP
    assert not CHEAP.accepts(dear)
    assert dear not in CHEAP
    assert dear in WHOLE
    assert WHOLE.accepts(dear)
    assert CHEAP.canonical(dear) == dear, "the canonical form exists for refused architectures too"


def test_conditions_add_up() -> None:
    both = CHEAP.where(lambda found: int(found["c0"]) > 0, "c0 > 0")
    assert list(both) == [found for found in WHOLE if at_most_four(found) and int(found["c0"]) > 0]
    assert both.constraint is not None
    assert both.constraint.description == "total <= 4 and c0 > 0"


def test_spaces_with_different_conditions_are_different() -> None:
    assert CHEAP != WHOLE
    assert WHOLE != CHEAP
    assert WHOLE.where(at_most_four, "the same") == CHEAP
    assert WHOLE.where(lambda found: True, "anything") != CHEAP
    assert hash(CHEAP) == hash(WHOLE.where(at_most_four, "the same"))


def test_sampling_gives_up_with_the_acceptance_rate() -> None:
    rng = np.random.default_rng(0)
    space = HUGE.where(lambda found: total(found) == 0, "total = 0")
    with pytest.raises(InfeasibleError, match=r"1000 architectures in a row break .* total = 0; 0 of 1000 .*\(0.00%\)"):
        space.sample(rng)
    only = HUGE.canonical({choice.label: 0 for choice in HUGE.choices})
    with pytest.raises(InfeasibleError, match=r"100 architectures in a row .* 0 of 1100 tried"):
        space.mutate(only, rng)
    other = HUGE.canonical({choice.label: 1 for choice in HUGE.choices})
    with pytest.raises(InfeasibleError, match=r"100 architectures in a row .* 0 of 1200 tried"):
        space.crossover(other, other, rng)


def test_a_walk_through_a_huge_space_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autopanoptic.nas.space.constrained.ENUMERABLE", 500)
    space = HUGE.where(lambda found: total(found) <= 1 and found["c0"] == 0, "at most one")
    walk = iter(space)
    assert total(next(walk)) == 0
    assert total(next(walk)) == 1
    with pytest.raises(InfeasibleError, match="500 architectures in a row break the constraint at most one"):
        list(walk)


def test_without_its_constraint_it_is_the_whole_space() -> None:
    assert CHEAP.unconstrained == WHOLE
    assert CHEAP.where(lambda _: False, "nothing").unconstrained == WHOLE
    assert WHOLE.unconstrained is WHOLE
