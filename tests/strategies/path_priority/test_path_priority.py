from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from autopanoptic.nas.space.architecture import Architecture
from autopanoptic.nas.space.choice import Choice
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.supernet.fairness import cycle_length
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.objective import Objective
from autopanoptic.nas.trials.trial import Trial, TrialState
from autopanoptic.strategies import PathPriority
from autopanoptic.strategies.testing import NESTED
from autopanoptic.strategies.testing.simulation import VALUE, Outcome, Simulation, completed, score

PANOPTIC = SearchSpace(
    [Choice(f"block{i}", ["s3", "s5", "s7", "x"]) for i in range(10)]
    + [Choice(f"head{i}", range(6)) for i in range(4)]
    + [Choice(f"fuse{i}", [4, 8, 16]) for i in range(5)]
)
HAND = SearchSpace([Choice("op", ["a", "b", "c"]), Choice("k", [3, 5, 7])])
HAND_TRIALS: list[tuple[dict[str, Any], float | None]] = [
    ({"op": "a", "k": 3}, 0.9),
    ({"op": "b", "k": 5}, 0.5),
    ({"op": "c", "k": 7}, 0.1),
    ({"op": "a", "k": 5}, 0.3),
    ({"op": "b", "k": 7}, 0.8),
    ({"op": "c", "k": 3}, 0.6),
]
"""Two cycles. Points: a 2 + 0, b 1 + 2, c 0 + 1; 3: 2 + 1, 5: 1 + 0, 7: 0 + 2."""


def history_of(trials: list[tuple[dict[str, Any], float | None]]) -> History:
    """Return a history of completed trials; None fails one."""
    history = History(VALUE)
    for number, (options, value) in enumerate(trials):
        architecture = Architecture(options)
        history.add(Trial(number, architecture))
        state = TrialState.FAILED if value is None else TrialState.COMPLETED
        history.update(Trial(number, architecture, state, {} if value is None else {"value": value}))
    return history


def uses(architectures: list[Architecture]) -> Counter[tuple[str, Any]]:
    return Counter(item for architecture in architectures for item in architecture.items())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cycles": 0}, "cycles to be a whole number of at least 1, not 0"),
        ({"top": 0}, "top to be"),
        ({"answer": "best"}, "'options' or 'sum', not 'best'"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PathPriority(**given)


def test_several_objectives_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one objective, not \['pq', 'latency_ms'\]"):
        PathPriority().check(HAND, [Objective("pq"), Objective("latency_ms", "min")])


def test_the_papers_budget() -> None:
    assert PathPriority().trials(PANOPTIC) == 60
    assert len(Simulation(PathPriority(), PANOPTIC).run(1000).history) == 61, "and the answer"


@pytest.mark.parametrize("workers", [1, 5, 40])
def test_every_cycle_is_fair(workers: int) -> None:
    search = Simulation(PathPriority(cycles=4), PANOPTIC, workers=workers).run(1000)
    for cycle in range(4):
        counted = uses(search.architectures[12 * cycle : 12 * cycle + 12])
        for choice in PANOPTIC.choices:
            assert {counted[choice.label, option] for option in choice.options} == {12 // len(choice.options)}


def test_within_a_cycle_each_option_stands_once_in_every_round() -> None:
    search = Simulation(PathPriority(cycles=2), PANOPTIC).run(24)
    for choice in PANOPTIC.choices:
        dealt = [architecture[choice.label] for architecture in search.architectures]
        for start in range(0, 24, len(choice.options)):
            assert set(dealt[start : start + len(choice.options)]) == set(choice.options)


def test_choices_are_dealt_independently() -> None:
    pairs = Counter(
        (architecture["block0"], architecture["block1"])
        for seed in range(60)
        for architecture in Simulation(PathPriority(cycles=1), PANOPTIC, seed).run(12).architectures
    )
    # 720 pairs over 16 cells: 45 each, standard deviation below 6.5.
    assert len(pairs) == 16
    assert max(pairs.values()) < 45 + 4.5 * 6.5


def test_conditional_choices_are_dealt_fairly_among_the_trials_that_make_them() -> None:
    space = SearchSpace([*NESTED.choices, *HAND.choices, *PANOPTIC.choices])
    for seed in range(20):
        search = Simulation(PathPriority(cycles=3), space, seed).run(36)
        for cycle in range(3):
            members = search.architectures[12 * cycle : 12 * cycle + 12]
            for choice in space.choices:
                counts = Counter(member[choice.label] for member in members if choice.label in member)
                counts.update(dict.fromkeys(choice.options, 0))
                assert max(counts.values()) - min(counts.values()) <= 1, (choice.label, counts)


def test_scoreboard_of_a_hand_computed_example() -> None:
    history = history_of(HAND_TRIALS)
    scores = PathPriority(cycles=2).scoreboard(HAND, history)
    assert scores == {"op": {"a": 2, "b": 3, "c": 1}, "k": {3: 3, 5: 1, 7: 2}}


def test_only_the_cycles_earn_points() -> None:
    history = history_of([*HAND_TRIALS, ({"op": "c", "k": 5}, 1.0)])
    assert PathPriority(cycles=2).scoreboard(HAND, history) == PathPriority(cycles=2).scoreboard(
        HAND, history_of(HAND_TRIALS)
    )


def test_answers_take_the_kth_best_option_of_each_choice() -> None:
    history = history_of(HAND_TRIALS)
    answers = PathPriority(cycles=2, top=3).answers(HAND, history)
    assert answers == [{"op": "b", "k": 3}, {"op": "a", "k": 7}, {"op": "c", "k": 5}]


def test_answers_by_sum_are_the_largest_sums() -> None:
    history = history_of(HAND_TRIALS)
    strategy = PathPriority(cycles=2, top=9, answer="sum")
    scores = strategy.scoreboard(HAND, history)
    sums = [scores["op"][found["op"]] + scores["k"][found["k"]] for found in strategy.answers(HAND, history)]
    assert sums == [6, 5, 5, 4, 4, 4, 3, 3, 2]


def test_a_choice_with_fewer_options_gives_its_last_to_later_answers() -> None:
    space = SearchSpace([*HAND.choices, Choice("se", [True, False])])
    history = history_of([({**options, "se": n % 2 == 0}, value) for n, (options, value) in enumerate(HAND_TRIALS)])
    strategy = PathPriority(cycles=1, top=3)
    assert cycle_length(space) == 6
    # Ranks 5, 2, 0, 1, 4, 3: a 6, b 6, c 3; 3: 8, 5: 3, 7: 4; True 5 + 0 + 4, False 2 + 1 + 3.
    assert strategy.scoreboard(space, history) == {
        "op": {"a": 6, "b": 6, "c": 3},
        "k": {3: 8, 5: 3, 7: 4},
        "se": {True: 9, False: 6},
    }
    assert strategy.answers(space, history) == [
        {"op": "a", "k": 3, "se": True},
        {"op": "b", "k": 7, "se": False},
        {"op": "c", "k": 5, "se": False},
    ]


def test_failed_trials_earn_nothing_and_shorten_the_ranking() -> None:
    trials = [*HAND_TRIALS]
    trials[0] = (trials[0][0], None)
    scores = PathPriority(cycles=2).scoreboard(HAND, history_of(trials))
    # First cycle: b5 1, c7 0. Its members had one comparison each, those of the second cycle two.
    assert scores == {"op": {"a": 0, "b": 3, "c": 1}, "k": {3: 1, 5: 1, 7: 2}}


def test_an_option_is_not_better_for_being_used_more_often() -> None:
    trials: list[tuple[dict[str, Any], float | None]] = [
        ({"op": "a", "k": 3}, 0.5),
        ({"op": "a", "k": 5}, 0.6),
        ({"op": "b", "k": 7}, 0.9),
    ]
    scores = PathPriority(cycles=1).scoreboard(HAND, history_of(trials))
    # a: 0 + 1 points in 4 comparisons, b: 2 points in 2; the three options had 2 comparisons on average.
    assert scores["op"] == {"a": pytest.approx(0.5), "b": pytest.approx(2), "c": 0}


def test_answers_are_tried_last_and_known_ones_are_not_repeated() -> None:
    value_of = {Architecture(options): value for options, value in HAND_TRIALS}

    def outcome(trial: Trial) -> Outcome:
        return TrialState.COMPLETED, {"value": value_of.get(trial.architecture) or 0.0}

    strategy = PathPriority(cycles=2, top=3)
    search = Simulation(strategy, HAND, outcome=outcome)
    search.history = history_of(HAND_TRIALS)
    assert [search.ask() for _ in range(2)] == [{"op": "b", "k": 3}, {"op": "a", "k": 7}]
    assert search.ask() == {"op": "c", "k": 5}
    assert search.ask() is None
    again = PathPriority(cycles=2, top=1)
    history = history_of([*HAND_TRIALS[:5], ({"op": "b", "k": 3}, 0.95)])
    assert again.answers(HAND, history)[0] in history
    search = Simulation(again, HAND)
    search.history = history
    assert search.ask() is None, "the answer has been tried in a cycle"


def test_answers_wait_for_the_cycles_to_end() -> None:
    search = Simulation(PathPriority(cycles=2), PANOPTIC)
    for _ in range(24):
        assert search.ask() is not None, "dealing does not wait"
    assert search.ask() is None
    for trial in search.history[:23]:
        search.end(trial)
        assert search.ask() is None
    (expected,) = PathPriority(cycles=2).answers(PANOPTIC, search.history)
    assert expected not in search.history
    search.end(search.history[23])
    (expected,) = PathPriority(cycles=2).answers(PANOPTIC, search.history)
    assert search.ask() == expected


def test_answers_of_an_unfinished_search() -> None:
    strategy = PathPriority(top=2)
    assert strategy.answers(HAND, History(VALUE)) == []
    history = history_of([HAND_TRIALS[0], HAND_TRIALS[1]])
    assert strategy.answers(HAND, history)[0] == {"op": "a", "k": 3}


def test_no_answers_where_every_trial_failed() -> None:
    def outcome(trial: Trial) -> Outcome:
        return TrialState.FAILED, {}

    search = Simulation(PathPriority(cycles=2), PANOPTIC, outcome=outcome).run(100)
    assert len(search.history) == 24


def test_it_finds_the_optimum_of_a_separable_function() -> None:
    strategy = PathPriority(cycles=80)
    space = SearchSpace(Choice(f"c{i}", ["a", "b", "c"]) for i in range(6))
    search = Simulation(strategy, space).run(1000)
    best = max(space, key=score)
    assert strategy.answers(space, search.history) == [best]
    assert search.history.best is not None
    assert search.history.best.architecture == best


def cost(architecture: Architecture) -> int:
    return sum(("s3", "s5", "s7", "x").index(str(architecture[f"block{i}"])) for i in range(10))


def test_under_a_constraint_cycles_are_as_fair_as_it_allows() -> None:
    space = PANOPTIC.where(lambda found: cost(found) <= 14, "cost <= 14")
    search = Simulation(PathPriority(cycles=5), space).run(60)
    assert all(cost(architecture) <= 14 for architecture in search.architectures)
    for cycle in range(5):
        members = search.architectures[12 * cycle : 12 * cycle + 12]
        drawn = Simulation(PathPriority(cycles=1), space, 99 + cycle).run(12).architectures
        assert sum(map(cost, members)) < 12 * 15, "a fair cycle costs 12 x 15, which the constraint excludes"
        assert _unevenness(members) < 0.5 * _unevenness([space.sample(search._order) for _ in drawn])


def _unevenness(members: list[Architecture]) -> int:
    counted = uses(members)
    return sum(
        abs(counted[choice.label, option] - 12 // len(choice.options))
        for choice in PANOPTIC.choices
        for option in choice.options
    )


@pytest.mark.parametrize("answer", ["options", "sum"])
@pytest.mark.parametrize("limit", [12, 6])
def test_answers_satisfy_the_constraint_and_beat_the_cycles_sums(answer: Any, limit: int) -> None:
    def dear_is_good(trial: Trial) -> Outcome:
        return TrialState.COMPLETED, {"value": cost(trial.architecture) + 0.01 * score(trial.architecture)}

    space = PANOPTIC.where(lambda found: cost(found) <= limit, f"cost <= {limit}")
    strategy = PathPriority(cycles=3, top=3, answer=answer)
    search = Simulation(strategy, space, outcome=dear_is_good).run(100)
    answers = strategy.answers(space, search.history)
    assert len(set(answers)) == 3
    assert all(cost(found) <= limit for found in answers)
    assert answers == search.architectures[36:]
    scores = strategy.scoreboard(space, search.history)
    total = {found: sum(scores[label][o] for label, o in found.items()) for found in search.architectures}
    assert total[answers[0]] > max(total[found] for found in search.architectures[:36])
    unlimited = strategy.answers(PANOPTIC, search.history)
    assert cost(unlimited[0]) > limit, "the constraint matters here"


def test_a_small_space_is_not_exhausted_by_fair_deals_alone() -> None:
    search = Simulation(PathPriority(cycles=4), HAND).run(100)
    assert len(search.history) == HAND.size
    assert search.ended
    fair = [uses(search.architectures[3 * cycle : 3 * cycle + 3]) for cycle in range(1)]
    assert all(set(counted.values()) == {1} for counted in fair)


def test_completed_trials_may_end_in_any_order() -> None:
    one = Simulation(PathPriority(cycles=3), PANOPTIC, outcome=completed).run(100)
    many = Simulation(PathPriority(cycles=3), PANOPTIC, outcome=completed, workers=7).run(100)
    assert one.architectures == many.architectures


@pytest.mark.parametrize(
    ("counts", "length"),
    [
        ((4, 6, 3), 12),
        ((1,), 1),
        ((5, 4), 20),
        ((5, 4, 3), 5),
        ((7, 8), 8),
        ((100,), 100),
        ((50, 100), 100),
        ((7, 9), 9),
        ((100, 99), 100),
        ((7, 8, 9, 11, 13), 13),
    ],
)
def test_the_length_of_a_cycle(counts: tuple[int, ...], length: int) -> None:
    space = SearchSpace(Choice(f"c{n}", range(count)) for n, count in enumerate(counts))
    assert PathPriority().length(space) == length
    assert PathPriority(cycles=3).trials(space) == 3 * length
    assert PathPriority(cycle_length=17).length(space) == 17


@pytest.mark.parametrize("length", [None, 20, 26])
def test_option_counts_with_little_in_common_take_few_trials_and_differ_by_one(length: int | None) -> None:
    space = SearchSpace(Choice(f"c{count}", range(count)) for count in (7, 8, 9, 11, 13))
    strategy = PathPriority(cycles=3, cycle_length=length)
    trials = strategy.trials(space)
    assert trials == 3 * (length or 13)
    search = Simulation(strategy, space).run(1000)
    assert trials <= len(search.history) <= trials + 1
    for start in range(0, trials, strategy.length(space)):
        counted = uses(search.architectures[start : start + strategy.length(space)])
        for choice in space.choices:
            numbers = [counted[choice.label, option] for option in choice.options]
            assert min(numbers) > 0
            assert max(numbers) - min(numbers) <= 1


@pytest.mark.parametrize("length", [1, 2.5, True])
def test_a_cycle_compares_two_trials_at_least(length: Any) -> None:
    with pytest.raises(ValueError, match=f"cycle_length to be a whole number of at least 2, not {length}"):
        PathPriority(cycle_length=length)


def test_a_budget_without_an_answer_is_said() -> None:
    assert PathPriority().advise(PANOPTIC, 61) is None
    said = PathPriority().advise(PANOPTIC, 60)
    assert said is not None
    assert "needs 60 trials for 5 cycles of 12" in said
    assert "Give cycles=4," in said
