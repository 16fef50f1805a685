"""Which of a search's candidates are trained, in which order, and what their folders are called."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from autopanoptic.nas import Architecture, Choice, RandomSearch, Result, Search, SearchSpace
from autopanoptic.panoptic.results.finalists import Shortlist, best_candidates, names_of, within_budget
from autopanoptic.panoptic.results.fronts import Fronts

SPACE = SearchSpace([Choice("id", range(100))])


def one(number: int) -> Architecture:
    return Architecture({"id": number})


def searched(points: Sequence[tuple[float, float]], first: int = 0) -> Result:
    """A search whose n-th trial has the n-th cost and value."""
    given = {one(first + number): point for number, point in enumerate(points)}
    search = Search(
        SPACE,
        RandomSearch(),
        lambda architecture: {"pq": given[architecture][1]},
        objectives={"pq": "max", "gflops": "min"},
        costs={"gflops": lambda architecture: given[architecture][0]},
        initial=list(given),
    )
    return search.run(len(given), progress=False)


FOUND = searched([(0.3, 90.0), (0.1, 75.0), (0.2, 70.0), (0.15, 69.0), (0.09, 76.0), (0.2, 71.0), (0.05, 80.0)])
FAMILY = searched([(0.1, 1.0), (0.2, 2.0), (0.4, 3.0)], first=50)


def test_the_best_goes_before_the_best_dear_ones() -> None:
    fronts = Fronts.of(FOUND, FOUND, FAMILY, images=1)
    assert fronts.budget == 0.2
    found = within_budget(FOUND, fronts)
    assert found.candidates[:4] == [one(6), one(5), one(2), one(3)]
    assert found.finalists(found.candidates, 1) == [fronts.chosen("searched").architecture]
    assert len(found.candidates) == 6
    # The search has not measured the network made by hand, or has given it up.
    by_hand = fronts.chosen("hand-made").architecture
    assert by_hand not in found.candidates
    assert found.finalists(found.candidates, 2) == [one(6), by_hand]


def test_the_last_of_several_is_the_network_made_by_hand() -> None:
    """What a scaled network is worth shows once it is trained, and it may be no better than the rest as a path."""
    fronts = Fronts.of(FOUND, FOUND, searched([(0.1, 75.0), (0.15, 69.0), (0.4, 3.0)], first=1), images=1, limit=0.2)
    by_hand = fronts.chosen("hand-made").architecture
    assert by_hand == one(2)
    found = within_budget(FOUND, fronts)
    assert found.finalists(found.candidates, 3) == [one(6), one(5), one(2)]
    assert found.finalists([one(3), one(5), one(6)], 2) == [one(3), one(2)]  # by another ranking than the paths'
    worse = Fronts.of(FOUND, FOUND, searched([(0.1, 75.0), (0.2, 70.0), (0.15, 69.0)], first=1), images=1, limit=0.17)
    assert worse.chosen("hand-made").architecture == one(3)
    found = within_budget(FOUND, worse)
    assert found.finalists(found.candidates, 2) == [one(6), one(3)]
    assert found.finalists(found.candidates, 1) == [one(6)]


def test_finalists_differ_in_a_tenth_of_their_choices_where_there_are_such() -> None:
    def made(*options: int) -> Architecture:
        return Architecture({f"choice {place}": option for place, option in enumerate(options)})

    best, like_it, further = made(*[0] * 11), made(*[0] * 10, 1), made(*[0] * 9, 1, 1)
    shorter = Architecture({f"choice {place}": 0 for place in range(9)})  # choices that are not made differ as well
    ranked = [best, like_it, further, shorter]
    assert Shortlist(ranked).finalists(ranked, 3) == [best, further, shorter]
    assert Shortlist(ranked).finalists(ranked, 4) == [best, further, shorter, like_it]
    assert Shortlist(ranked, by_hand=shorter).finalists(ranked, 2) == [best, shorter]
    assert Shortlist(ranked, by_hand=like_it).finalists(ranked, 3) == [best, further, like_it]
    assert Shortlist(ranked, by_hand=best).finalists(ranked, 2) == [best, further]


def test_the_cheapest_alone_is_trained_where_none_keeps_the_budget() -> None:
    fronts = Fronts.of(FOUND, FOUND, FAMILY, images=1, limit=0.01)
    assert within_budget(FOUND, fronts).candidates == [one(6)]


@pytest.mark.parametrize(("first", "others"), [(0, [6, 4]), (4, [0, 6]), (99, [0, 6])])
def test_an_answer_goes_before_the_best_candidates(first: int, others: list[int]) -> None:
    assert best_candidates(FOUND, first=one(first)).candidates[:3] == [one(first), *map(one, others)]


def test_one_finalist_has_the_folder_of_the_searched_network() -> None:
    assert names_of([one(1)]) == {"searched": one(1)}
    assert names_of([one(1), one(2)]) == {"searched-1": one(1), "searched-2": one(2)}
