"""A scoreboard of options, and the architectures that it puts first."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

from autopanoptic.nas.space.architecture import Architecture, Option
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.trials.history import History
from autopanoptic.nas.trials.trial import Trial, TrialState

Scores: TypeAlias = dict[str, dict[Option, float]]
"""For every choice of a space the score of each of its options."""

EXPANSIONS = 100_000


def rank_points(space: SearchSpace, history: History, cycles: Iterable[Sequence[Trial]]) -> Scores:
    """Return the points that options earn in cycles of trials.

    In a cycle with c completed trials the best gives c - 1 points to each of its options, the next c - 2, the last 0.
    Failed and stopped trials give none. Running ones do not count.

    In complete cycles that are fair to every option these sums are the scores. Where options of a choice stood in
    unequally many trials (an unfinished cycle, a constraint that forced an unfair deal, a conditional choice) each
    sum is scaled to the mean number of comparisons of the choice's options: an option is not better for being used
    more often. An option that was never compared scores 0.
    """
    points: Counter[tuple[str, Option]] = Counter()
    comparisons: Counter[tuple[str, Option]] = Counter()
    for cycle in cycles:
        ranked = history.ranked(cycle)
        for earned, trial in enumerate(reversed(ranked)):
            points.update(dict.fromkeys(trial.architecture.items(), earned))
        for trial in cycle:
            if trial.state is not TrialState.RUNNING:
                comparisons.update(dict.fromkeys(trial.architecture.items(), max(len(ranked) - 1, 0)))
    scores: Scores = {}
    for choice in space.choices:
        mean = sum(comparisons[choice.label, option] for option in choice.options) / len(choice.options)
        scores[choice.label] = {
            option: points[choice.label, option] * mean / max(comparisons[choice.label, option], 1)
            for option in choice.options
        }
    return scores


def ranked_options(scores: Scores) -> dict[str, list[Option]]:
    """Return each choice's options from best to worst; equal ones keep the choice's order."""
    return {label: sorted(options, key=lambda o: -options[o]) for label, options in scores.items()}


def nth_best(space: SearchSpace, scores: Scores, rank: int) -> Architecture:
    """Return the architecture of each choice's option of that rank, 0 for the best; its last one has any rank above."""
    ranked = ranked_options(scores)
    return space.canonical({label: options[min(rank, len(options) - 1)] for label, options in ranked.items()})


def centred(scores: Scores) -> Scores:
    """Return the scores minus each choice's mean, so that an inactive choice, which adds 0, counts as an average one.

    It changes no order between architectures that make the same choices.
    """
    means = {label: sum(options.values()) / len(options) for label, options in scores.items()}
    return {
        label: {option: score - means[label] for option, score in options.items()} for label, options in scores.items()
    }


def total_of(scores: Scores) -> Callable[[Architecture], float]:
    """Return the function that sums an architecture's scores."""
    return lambda architecture: sum(scores[label][option] for label, option in architecture.items())


def best_first(space: SearchSpace, scores: Scores) -> Iterator[Architecture]:
    """Yield architectures by the sum of their centred scores, largest first, without regard to a constraint.

    A best-first search over the choices in order, bounded by the best that the choices left could add. Ends after
    100,000 steps where the space is larger.
    """
    gains = centred(scores)
    best = [max(gains[choice.label].values()) for choice in space.choices]
    left = [*itertools.accumulate(reversed(best), initial=0.0)][::-1]
    order = itertools.count()
    # (minus the bound, minus the number of choices decided: deeper first among equals, age, sum, options)
    heap: list[tuple[float, int, int, float, dict[str, Option]]] = [(-left[0], 0, next(order), 0.0, {})]
    for _ in range(EXPANSIONS):
        if not heap:
            return
        _, minus_decided, _, total, options = heapq.heappop(heap)
        decided = -minus_decided
        if decided == len(best):
            yield Architecture(options)
            continue
        choice = space.choices[decided]
        steps = [({**options, choice.label: option}, gain) for option, gain in gains[choice.label].items()]
        for extended, gain in steps if choice.active(options) else [(options, 0.0)]:
            bound = total + gain + left[decided + 1]
            heapq.heappush(heap, (-bound, -decided - 1, next(order), total + gain, extended))


def climbs(space: SearchSpace, scores: Scores, starts: Iterable[Architecture], count: int) -> Iterator[Architecture]:
    """Yield what the ``count`` starts of the largest sums reach by :func:`climb`, by their own sums, largest first."""
    total = total_of(centred(scores))
    reached = [climb(space, scores, start) for start in heapq.nlargest(count, starts, key=total)]
    yield from sorted(reached, key=total, reverse=True)


def climb(space: SearchSpace, scores: Scores, start: Architecture) -> Architecture:
    """Raise the sum of centred scores from an accepted architecture by single changes that the constraint accepts."""
    ranked, total = ranked_options(scores), total_of(centred(scores))
    first = {label: options[0] for label, options in ranked.items()}
    current, improved = start, True
    while improved:
        improved = False
        for label, option in ((label, option) for label, options in ranked.items() for option in options):
            if label not in current or option == current[label]:
                continue
            changed = space.canonical({**first, **current.replace(label, option)})
            if total(changed) > total(current) and space.accepts(changed):
                current, improved = changed, True
    return current
