"""How paths with shared weights rank beside trainings alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from statistics import mean

from benchmarks.search_worth.ranking import (
    EXPECTED_OF_LONGER,
    LONGER,
    NORMS,
    SPREAD,
    alone_name,
    names_of,
    paths_name,
)
from benchmarks.search_worth.rows import Rows
from benchmarks.search_worth.sections.noise import FEWEST, luckiest, mean_without, noise_of
from benchmarks.search_worth.sections.text import NONE, interval, paragraph, table
from benchmarks.search_worth.statistics import Interval, rank_correlations
from benchmarks.search_worth.study import Problem, Study

TOP = 5
"""Of the paths of a supernet, whose networks one might train."""
BARS = {"over the cost range": 0.8, "at nearly equal cost": 0.5}
PQ = Mapping[str, float]


def section(study: Study, rows: Rows) -> Iterator[str]:
    """Yield the section's parts."""
    for problem in study.problems:
        alone = [_alone(problem, seed, rows) for seed in range(problem.alone_seeds)]
        if not any(alone):
            continue
        yield f"### {problem.title[0].upper()}{problem.title[1:]}\n"
        yield paragraph(_about(problem, alone))
        lines = list(_lines(problem, alone, rows))
        if all(cell == NONE for _, *cells in lines for cell in cells):
            yield paragraph("There is nothing to compare them with yet.")
            continue
        yield table(
            ["compared", *(f"{measure}, {where}" for where in _groups(problem) for measure in ("tau", "rho"))], lines
        )
        yield from _verdict(problem, rows)
        yield from _noise(problem, alone, rows)
        yield from _chosen(problem, alone, rows)
        yield from _remedy(problem, alone, rows)


def truth_of(alone: Sequence[PQ]) -> dict[str, float]:
    """Return each architecture's PQ, the mean of the seeds with which it has been trained."""
    names = list(dict.fromkeys(name for one in alone for name in one))
    return {name: mean(one[name] for one in alone if name in one) for name in names}


def compared(a: PQ, b: PQ, among: Collection[str]) -> dict[str, Interval] | None:
    """Return the rank correlations of what both sides have among some names; None where those are too few, or equal."""
    names = [name for name in among if name in a and name in b]
    if len(names) < FEWEST or any(len({one[name] for name in names}) == 1 for one in (a, b)):
        return None
    return rank_correlations([a[name] for name in names], [b[name] for name in names])


def _about(problem: Problem, alone: Sequence[PQ]) -> str:
    trained = ", ".join(f"{len(one)} with seed {seed}" for seed, one in enumerate(alone))
    return (
        f"Of {len(names_of(problem))} architectures have been trained alone, for {problem.alone_passes} passes from "
        f"scratch: {trained}. Their PQ on val, the mean of the seeds, is compared with that of their paths on nas_val. "
        "In brackets 95% over the architectures."
    )


def _alone(problem: Problem, seed: int, rows: Rows) -> dict[str, float]:
    found = {name: rows.get(alone_name(problem, seed, name)) for name in names_of(problem)}
    return {name: row["val"] for name, row in found.items() if row is not None}


def _categories(problem: Problem, seed: int, rows: Rows) -> dict[str, dict[str, float]]:
    found = {name: rows.get(alone_name(problem, seed, name)) for name in names_of(problem)}
    return {name: row["by_category"] for name, row in found.items() if row is not None and "by_category" in row}


def _gflops(problem: Problem, rows: Rows) -> dict[str, float]:
    found = {name: rows.get(alone_name(problem, 0, name)) for name in names_of(problem)}
    return {name: row["gflops"] for name, row in found.items() if row is not None}


def _groups(problem: Problem) -> dict[str, list[str]]:
    spread = [name for name in names_of(problem) if name.startswith(SPREAD)]
    equal = [name for name in names_of(problem) if not name.startswith(SPREAD)]
    return dict(zip(BARS, (spread, equal), strict=True)) if equal else {next(iter(BARS)): spread}


def _lines(problem: Problem, alone: Sequence[PQ], rows: Rows) -> Iterator[list[str]]:
    groups, truth = _groups(problem).values(), truth_of(alone)
    if len(alone) > 1:
        yield ["trained alone, two seeds (the ceiling)", *_cells(alone[0], alone[1], groups)]
    yield ["GFLOPs, without any training", *_cells(_gflops(problem, rows), truth, groups)]
    for title, pq in _paths(problem, rows):
        yield [title, *_cells(pq, truth, groups)]


def _cells(a: PQ, b: PQ, groups: Collection[Collection[str]]) -> list[str]:
    found = [compared(a, b, names) for names in groups]
    return [NONE if one is None else interval(one[measure]) for one in found for measure in ("tau", "rho")]


def _paths(problem: Problem, rows: Rows, recipes: Sequence[str] | None = None) -> Iterator[tuple[str, PQ]]:
    for recipe in problem.recipes if recipes is None else recipes:
        for norms, recalibrated in NORMS.items():
            row = rows.get(paths_name(problem, recipe, norms))
            if row is not None:
                yield f"{row['recipe']}, {'recalibrated' if recalibrated else 'shared norms'}", row["pq"]


def best_taus(problem: Problem, rows: Rows) -> dict[str, tuple[str, float]]:
    """Return the supernet with the largest tau to the trainings alone, and that tau, over the cost range and at one."""
    truth = truth_of([_alone(problem, seed, rows) for seed in range(problem.alone_seeds)])
    found = {where: best_tau(problem, truth, names, rows) for where, names in _groups(problem).items()}
    return {where: one for where, one in found.items() if one is not None}


def best_tau(problem: Problem, truth: PQ, among: Collection[str], rows: Rows) -> tuple[str, float] | None:
    """Return the supernet whose paths have the largest tau to some truth, and that tau; None without any."""
    known = {title: compared(pq, truth, among) for title, pq in _paths(problem, rows)}
    taus = {title: one["tau"][0] for title, one in known.items() if one is not None}
    return max(taus.items(), key=lambda item: item[1]) if taus else None


def _verdict(problem: Problem, rows: Rows) -> Iterator[str]:
    if not problem.sizes:  # the bars are of the problem that has some
        return
    for where, (best, tau) in best_taus(problem, rows).items():
        word = "reached" if tau >= BARS[where] else "missed"
        yield paragraph(f"The bar of tau {BARS[where]} {where} is {word}: {tau:.2f} by {best}.")


def _noise(problem: Problem, alone: Sequence[PQ], rows: Rows) -> Iterator[str]:
    found = noise_of(alone)
    if found is None:
        return
    yield paragraph(
        f"Trainings of one network deviate by {found.within:.1f} PQ, networks by {found.between:.1f} from each other "
        "when that is taken out (standard deviations)."
    )
    trained = [_categories(problem, seed, rows) for seed in range(problem.alone_seeds)]
    category = luckiest(trained)
    if category is not None:
        yield from _without(problem, category, trained, rows)


def _without(problem: Problem, category: str, trained: Sequence[Mapping[str, PQ]], rows: Rows) -> Iterator[str]:
    """Tell what is left when the category is left out that differs most between trainings of one network."""
    of = [{name: one[category] for name, one in seed.items()} for seed in trained]
    least = [{name: mean_without(category, one) for name, one in seed.items()} for seed in trained]
    noise, left = noise_of(of), noise_of(least)
    if noise is None or left is None:
        return
    values = [value for seed in of for value in seed.values()]
    text = (
        f"In one category they differ most, {category}: from {min(values):.0f} to {max(values):.0f} PQ, by "
        f"{noise.within:.0f} between trainings of one network. Without it these deviate by {left.within:.1f} PQ, and "
        f"networks by {left.between:.1f}."
    )
    for where, names in _groups(problem).items():
        ceiling = compared(least[0], least[1], names)
        best = best_tau(problem, truth_of(least), names, rows)
        if ceiling is not None and best is not None:
            text += (
                f" {where[0].upper()}{where[1:]} the two seeds then agree with tau {interval(ceiling['tau'])}, and "
                f"{best[0]} with {best[1]:.2f}."
            )
    yield paragraph(text)


def _chosen(problem: Problem, alone: Sequence[PQ], rows: Rows) -> Iterator[str]:
    """Tell what who takes the best path gets when it is trained alone."""
    truth = truth_of(alone)
    lines = []
    for title, pq in _paths(problem, rows):
        ranked = sorted((name for name in truth if name in pq), key=lambda name: -pq[name])
        if len(ranked) >= FEWEST:
            lines.append([title, f"{truth[ranked[0]]:.1f}", f"{mean(truth[name] for name in ranked[:TOP]):.1f}"])
    if not lines:
        return
    yield paragraph(
        f"What one gets: PQ on val, trained alone, of the network with the best path, and the mean of the {TOP} with "
        f"the best paths. Of all {len(truth)} the mean is {mean(truth.values()):.1f}, the worst "
        f"{min(truth.values()):.1f} and the best {max(truth.values()):.1f}."
    )
    yield table(["supernet", "best path", f"{TOP} best paths"], lines)


def _remedy(problem: Problem, alone: Sequence[PQ], rows: Rows) -> Iterator[str]:
    remedied = list(_paths(problem, rows, problem.remedies))
    if not remedied:
        return
    truth, groups = truth_of(alone), _groups(problem)
    before = [mean(pq.values()) for _, pq in _paths(problem, rows)]
    yield paragraph(
        f"The cause that was looked for: supernets of so few passes are far from trained. Their paths have "
        f"{min(before):.0f} to {max(before):.0f} PQ on nas_val on average, where the networks have "
        f"{mean(truth.values()):.0f} on val alone. The remedy that was tried is to train one for {LONGER} times the "
        f"passes, its largest network too. {EXPECTED_OF_LONGER}"
    )
    lines = [[title, f"{mean(pq.values()):.1f}", *_cells(pq, truth, groups.values())] for title, pq in remedied]
    names = [f"{measure}, {where}" for where in groups for measure in ("tau", "rho")]
    yield table(["supernet", "mean PQ of paths", *names], lines)
    for where, names in groups.items():
        known = [one["tau"][0] for _, pq in remedied if (one := compared(pq, truth, names)) is not None]
        if known:
            word = "reached" if max(known) >= BARS[where] else "missed all the same"
            yield paragraph(f"With it the bar {where} is {word}: {max(known):.2f}.")
