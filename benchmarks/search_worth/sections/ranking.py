"""How paths with shared weights rank beside trainings alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from statistics import mean

from benchmarks.search_worth.parts.ranking import EXPECTED_OF_LONGER, LONGER, NORMS, names_of
from benchmarks.search_worth.rows import Rows
from benchmarks.search_worth.sections.noise import FEWEST, luckiest, mean_without, noise_of, tau_of_truth
from benchmarks.search_worth.sections.ranked import (
    BARS,
    PQ,
    best_taus,
    by_category,
    compared,
    gflops_of,
    groups_of,
    paths_of,
    shared_names,
    trained_alone,
    truth_of,
)
from benchmarks.search_worth.sections.text import NONE, interval, paragraph, table
from benchmarks.search_worth.study import Problem, Study

TOP = 5
"""Of the paths of a supernet, whose networks one might train."""


def section(study: Study, rows: Rows) -> Iterator[str]:
    """Yield the section's parts."""
    for problem in study.problems:
        alone = trained_alone(problem, rows)
        if not any(alone):
            continue
        yield f"### {problem.title[0].upper()}{problem.title[1:]}\n"
        yield paragraph(_about(problem, alone))
        lines = list(_lines(problem, alone, rows))
        if all(cell == NONE for _, _, *cells in lines for cell in cells):
            yield paragraph("There is nothing to compare them with yet.")
            continue
        yield table(["compared", "mean PQ", *_measures(problem)], lines)
        yield from _verdict(problem, rows)
        yield from _norms(problem, alone, rows)
        yield from _noise(problem, alone, rows)
        yield from _chosen(problem, alone, rows)
        yield from _remedy(problem, alone, rows)


def _about(problem: Problem, alone: Sequence[PQ]) -> str:
    trained = ", ".join(f"{len(one)} with seed {seed}" for seed, one in enumerate(alone))
    return (
        f"Of {len(names_of(problem))} architectures these have been trained alone, for {problem.alone_passes} passes "
        f"from scratch: {trained}. Their PQ on val, the mean of the seeds with which each has been trained, is "
        "compared with that of their paths on nas_val, in one supernet by each recipe. In brackets 95% over the "
        "architectures; another supernet by the same recipe would differ, too."
    )


def _measures(problem: Problem) -> list[str]:
    return [f"{measure}, {where}" for where in groups_of(problem) for measure in ("tau", "rho")]


def _lines(problem: Problem, alone: Sequence[PQ], rows: Rows) -> Iterator[list[str]]:
    groups, truth = groups_of(problem).values(), truth_of(alone)
    on_nas_val = truth_of(trained_alone(problem, rows, "nas_val"))
    if len(alone) > 1:
        yield ["trained alone, one seed beside the other", NONE, *_cells(alone[0], alone[1], groups)]
    yield ["trained alone, on nas_val", f"{mean(on_nas_val.values()):.1f}", *_cells(on_nas_val, truth, groups)]
    yield ["GFLOPs, without any training", NONE, *_cells(gflops_of(problem, rows), truth, groups)]
    for title, pq in paths_of(problem, rows, problem.recipes).items():
        yield [title, f"{mean(pq.values()):.1f}", *_cells(pq, truth, groups)]


def _cells(a: PQ, b: PQ, groups: Collection[Collection[str]]) -> list[str]:
    found = [compared(a, b, names) for names in groups]
    return [NONE if one is None else interval(one[measure]) for one in found for measure in ("tau", "rho")]


def _verdict(problem: Problem, rows: Rows) -> Iterator[str]:
    if not problem.sizes:  # the bars are of the problem that has some
        return
    tried = len(paths_of(problem, rows, problem.recipes))
    for where, (best, tau) in best_taus(problem, rows, problem.recipes).items():
        word = "reached" if tau[0] >= BARS[where] else "missed"
        yield paragraph(
            f"The bar of tau {BARS[where]} {where} is {word}: {interval(tau)} by {best}, the best of {tried}."
        )


def _norms(problem: Problem, alone: Sequence[PQ], rows: Rows) -> Iterator[str]:
    """Tell what recalibration changes, of which it was expected to be little."""
    truth, (where, names) = truth_of(alone), next(iter(groups_of(problem).items()))
    taus: dict[str, list[float]] = {}
    for title, pq in paths_of(problem, rows, problem.recipes).items():
        one = compared(pq, truth, names)
        if one is not None:
            taus.setdefault(title.rpartition(", ")[2], []).append(one["tau"][0])
    if len(taus) == len(NORMS):
        told = ", ".join(f"{mean(values):.2f} {norms}" for norms, values in taus.items())
        yield paragraph(f"Tau {where}, the mean of the recipes: {told}.")


def _noise(problem: Problem, alone: Sequence[PQ], rows: Rows) -> Iterator[str]:
    for where, names in groups_of(problem).items():
        found, count = noise_of(_among(names, alone)), len(shared_names(alone, names))
        if found is not None:
            yield paragraph(
                f"{where[0].upper()}{where[1:]}, of {count} networks, trainings of one deviate "
                f"by {found.within:.1f} PQ, and networks by {found.between:.1f} from each other when that is taken out "
                "(standard deviations, which so few networks tell roughly). Were both normal and so, paths without any "
                f"fault would have tau {tau_of_truth(found, len(alone)):.2f} to the mean of {len(alone)} seeds."
            )
    trained = by_category(problem, rows)
    category = luckiest(trained)
    if category is not None:
        yield from _without(problem, category, trained)


def _without(problem: Problem, category: str, trained: Sequence[Mapping[str, PQ]]) -> Iterator[str]:
    """Tell what is left when the category is left out that differs most between trainings of one network."""
    of = [{name: one[category] for name, one in seed.items()} for seed in trained]
    least = [{name: mean_without(category, one) for name, one in seed.items()} for seed in trained]
    noise, left = noise_of(of), noise_of(least)
    if noise is None or left is None:
        return
    values = [value for seed in of for value in seed.values()]
    text = (
        f"In one category these trainings differ most, {category}: it has {min(values):.0f} to {max(values):.0f} PQ, "
        f"which differs by {noise.within:.0f} between trainings of one network. Without it all of these deviate by "
        f"{left.within:.1f} PQ, and networks by {left.between:.1f}."
    )
    for where, names in groups_of(problem).items():
        both = compared(least[0], least[1], names)
        if both is not None:
            text += f" {where[0].upper()}{where[1:]} the two seeds then agree with tau {interval(both['tau'])}."
    yield paragraph(text)


def _among(names: Collection[str], alone: Sequence[PQ]) -> list[dict[str, float]]:
    return [{name: pq for name, pq in one.items() if name in names} for one in alone]


def _chosen(problem: Problem, alone: Sequence[PQ], rows: Rows) -> Iterator[str]:
    """Tell what the networks with the best paths are worth when they are trained alone."""
    truth = truth_of(alone)
    orders = {"the dearest, without a supernet": gflops_of(problem, rows), **paths_of(problem, rows, problem.recipes)}
    lines = []
    for title, value in orders.items():
        ranked = sorted((name for name in truth if name in value), key=lambda name: -value[name])
        if len(ranked) >= FEWEST:
            lines.append([title, f"{truth[ranked[0]]:.1f}", f"{mean(truth[name] for name in ranked[:TOP]):.1f}"])
    if len(lines) < 2:
        return
    yield paragraph(
        f"What one gets: PQ on val, trained alone, of the network with the best path, and the mean of the {TOP} with "
        f"the best paths. One that is drawn at random has {mean(truth.values()):.1f} on average, the worst of these "
        f"{len(truth)} has {min(truth.values()):.1f}, and the best {max(truth.values()):.1f}."
    )
    yield table(["chosen by", "best", f"{TOP} best"], lines)


def _remedy(problem: Problem, alone: Sequence[PQ], rows: Rows) -> Iterator[str]:
    remedied = paths_of(problem, rows, problem.remedies)
    if not remedied:
        return
    truth, groups = truth_of(alone), groups_of(problem)
    before = [mean(pq.values()) for pq in paths_of(problem, rows, problem.recipes).values()]
    on_nas_val = mean(truth_of(trained_alone(problem, rows, "nas_val")).values())
    yield paragraph(
        f"The cause that was looked for: supernets of so few passes are far from trained. Their paths have "
        f"{min(before):.0f} to {max(before):.0f} PQ on average, where the networks have {on_nas_val:.0f} alone. The "
        f"remedy that was tried is to train one for {LONGER} times the passes, its largest network too. "
        f"{EXPECTED_OF_LONGER}"
    )
    lines = [[title, f"{mean(pq.values()):.1f}", *_cells(pq, truth, groups.values())] for title, pq in remedied.items()]
    yield table(["supernet", "mean PQ", *_measures(problem)], lines)
    for where, (title, tau) in best_taus(problem, rows, problem.remedies).items():
        word = "reached" if tau[0] >= BARS[where] else "missed all the same"
        yield paragraph(f"With it the bar {where} is {word}: {interval(tau)} by {title}, the best of {len(remedied)}.")
