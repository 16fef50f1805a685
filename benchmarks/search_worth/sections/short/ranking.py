"""How paths rank networks, in short."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import mean

from benchmarks.search_worth.parts.ranking import LONGER
from benchmarks.search_worth.rows import Rows
from benchmarks.search_worth.sections.noise import noise_of, tau_of_truth
from benchmarks.search_worth.sections.ranked import (
    BARS,
    best_taus,
    compared,
    gflops_of,
    groups_of,
    paths_of,
    shared_names,
    trained_alone,
    truth_of,
)
from benchmarks.search_worth.sections.text import capital, interval
from benchmarks.search_worth.study import Problem, Study


def answers(study: Study, rows: Rows) -> Iterator[str]:
    """Yield the figures."""
    problem = study.elastic
    tried = paths_of(problem, rows, problem.recipes)
    for where, (title, tau) in best_taus(problem, rows, problem.recipes).items():
        word = "reaches" if tau[0] >= BARS[where] else "misses"
        yield (
            f"Paths with shared weights rank networks {where} as their own trainings do with Kendall's tau "
            f"{interval(tau)} at most ({title}, the best of {len(tried)}), which {word} the bar of {BARS[where]}."
        )
    yield from _ceilings(problem, rows)
    yield from _without_training(study, rows)
    remedied = best_taus(problem, rows, problem.remedies)
    if remedied:
        before, after = (
            max(mean(pq.values()) for pq in paths_of(problem, rows, recipes).values())
            for recipes in (problem.recipes, problem.remedies)
        )
        taus = " and ".join(f"{interval(tau)} {where}" for where, (_, tau) in remedied.items())
        yield (
            f"Of a supernet that is trained {LONGER} times as long paths have {after:.0f} PQ on average, where they "
            f"have {before:.0f} at most by the recipes above; the better of its two orders has tau {taus}."
        )
    for other in study.problems:
        if other != problem:
            yield from _other_ranking(other, rows)
            title = f"{other.title[0].upper()}{other.title[1:]}: two"
            yield from (line.replace("Two", title, 1) for line in _ceilings(other, rows, barred=False))


def _ceilings(problem: Problem, rows: Rows, *, barred: bool = True) -> Iterator[str]:
    """Tell how trainings agree with each other, which no path can exceed, and that there is a bar."""
    alone = trained_alone(problem, rows)
    if len(alone) < 2:
        return
    for where, names in groups_of(problem).items():
        both = compared(alone[0], alone[1], names)
        if both is None:
            continue
        noise, count = noise_of([{name: one[name] for name in names if name in one} for one in alone]), len(alone)
        assert noise is not None
        bar = f": the bar was {BARS[where]}" if barred else ""
        yield (
            f"Two seeds of the trainings alone agree with tau {interval(both['tau'])} {where} "
            f"({len(shared_names(alone, names))} networks), by which paths without any fault would have "
            f"{tau_of_truth(noise, count):.2f} to their mean, roughly{bar}."
        )


def _without_training(study: Study, rows: Rows) -> Iterator[str]:
    """Tell where the cost alone, without any supernet, ranks networks as well as the best of the paths."""
    for problem in study.problems:
        truth, cost = truth_of(trained_alone(problem, rows)), gflops_of(problem, rows)
        best = best_taus(problem, rows, problem.recipes)
        told = [
            f"{interval(own['tau'])} {where}, where the best paths have {best[where][1][0]:.2f}"
            for where, names in groups_of(problem).items()
            if where in best and (own := compared(cost, truth, names)) is not None
        ]
        if told:
            yield f"{capital(problem.title)}: GFLOPs, without any training, have tau {' and '.join(told)}."


def _other_ranking(problem: Problem, rows: Rows) -> Iterator[str]:
    paths, alone = paths_of(problem, rows, problem.recipes), truth_of(trained_alone(problem, rows, "nas_val"))
    means = [mean(pq.values()) for pq in paths.values()]
    for where, (title, tau) in best_taus(problem, rows, problem.recipes).items():
        yield (
            f"{capital(problem.title)}: paths of {min(means):.0f} to {max(means):.0f} PQ on nas_val on "
            f"average, whose networks have {mean(alone.values()):.0f} alone, rank these {where} with Kendall's tau "
            f"{interval(tau)} at most ({title}, the best of {len(paths)}; {len(alone)} networks)."
        )
