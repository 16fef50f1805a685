"""What the searched network has more than others of its budget."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.search_worth.parts import own
from benchmarks.search_worth.parts.as_many import AS_MANY, EXPECTED_OF_AS_MANY
from benchmarks.search_worth.parts.equal import EQUAL
from benchmarks.search_worth.parts.own import (
    BAYESIAN,
    EXPECTED,
    EXPECTED_OF_BAYESIAN,
    EXPECTED_OF_FINALISTS,
    FINALISTS,
    OWN,
)
from benchmarks.search_worth.parts.worth import named_budgets, row_name
from benchmarks.search_worth.rows import Rows
from benchmarks.search_worth.sections import drawn as drawn_section
from benchmarks.search_worth.sections import selection, shipped
from benchmarks.search_worth.sections.text import NONE, effect, p_of, paragraph, seeds_of, table
from benchmarks.search_worth.statistics import TESTED, Paired, holm, paired
from benchmarks.search_worth.study import FEW, MANY, Problem, Study

REMEDIES = (OWN, BAYESIAN, FINALISTS)
OPPONENTS = {
    "hand-made": "the hand-made network",
    "random": "the best random draw by the same supernet",
    MANY: "many random networks, trained alone as shortly",
    FEW: "few random networks, trained alone for longer",
}
Differences = dict[str, dict[str, dict[int, float]]]
"""By budget, opponent and seed."""


def section(study: Study, rows: Rows) -> Iterator[str]:
    """Yield the section's parts."""
    for problem in study.problems:
        found = differences(study, problem, rows)
        if not any(found.values()):
            continue
        yield f"### {problem.title[0].upper()}{problem.title[1:]}\n"
        yield paragraph(_about(study, problem))
        yield table(["seed", "budget, GFLOPs", "searched", *OPPONENTS], _seeds(study, problem, rows))
        yield paragraph(
            "The searched network's PQ on val minus the others', mean over the seeds that have both, with 95% over the "
            "seeds by Student's t:"
        )
        yield table(["budget", "minus", "seeds", "difference", "p"], _effects(problem, found))
        if any(form in of for of in found.values() for form in (MANY, FEW)):
            yield from drawn_section.on_another_processor(study, problem, rows)
        yield from _verdict(problem, found)
        yield from _at_equal_cost(study, problem, rows)
        yield from _own_search(study, problem, rows)
    yield from shipped.section(study, rows)
    yield from drawn_section.section(study, rows)


def differences(study: Study, problem: Problem, rows: Rows) -> Differences:
    """Return the searched network's PQ on val minus that of each opponent."""
    found: Differences = {}
    for budget, _ in named_budgets(problem):
        of = found.setdefault(budget, {})
        for seed in study.seeds_of(problem.worth_seeds):
            pq = {name: one["pq"] for name, one in networks_of(problem, seed, budget, rows).items()}
            for name in OPPONENTS:
                if name in pq:
                    of.setdefault(name, {})[seed] = pq["searched"] - pq[name]
    return found


def networks_of(problem: Problem, seed: int, budget: str, rows: Rows) -> dict[str, Mapping[str, Any]]:
    """Return each network that has been trained at a budget, by its name, with its PQ on val and its GFLOPs."""
    row = rows.get(row_name(problem, seed, dict(named_budgets(problem))[budget]))
    if row is None:
        return {}
    found = dict(row["networks"])
    for form in (MANY, FEW):
        drawn = rows.get(row_name(problem, seed, f"{form}-{budget}/end"))
        if drawn is not None:
            found[form] = drawn
    return found


def _about(study: Study, problem: Problem) -> str:
    alone = (
        ", and of the best on nas_val among random networks that are trained from scratch until the time of the whole "
        "run is spent"
    )
    search = problem.settings().search
    short = f" and short trainings of {search.screened} candidates before" if search.screened else ""
    return (
        "PQ on val (GFLOPs) of the networks that a run's search, the family made by hand, and as many random draws by "
        "the same supernet have at a budget, all trained alike from the supernet's weights"
        f"{alone if problem == study.elastic else ''}. The search goes over the whole range of costs "
        f"(`search.max_share=null`). The searched network has {search.finalists} finalists{short}."
    )


def _seeds(study: Study, problem: Problem, rows: Rows) -> Iterator[list[str]]:
    for seed in study.seeds_of(problem.worth_seeds):
        for budget, last in named_budgets(problem):
            found = networks_of(problem, seed, budget, rows)
            if found:
                cost = rows[row_name(problem, seed, last)]["budget"]
                known = (found.get(name) for name in ("searched", *OPPONENTS))
                cells = [NONE if one is None else f"{one['pq']:.1f} ({one['gflops']:.3f})" for one in known]
                yield [str(seed), f"{cost:.3f}", *cells]


def _effects(problem: Problem, found: Differences) -> Iterator[list[str]]:
    for budget, of in found.items():
        for name, pairs in of.items():
            one = paired(list(pairs.values()))
            yield [budget, OPPONENTS[name], seeds_of(one), effect(one), p_of(one) if _tests(problem, one) else NONE]


def _tests(problem: Problem, one: Paired) -> bool:
    """Whether a difference is tested: a problem with two seeds in all is described."""
    return problem.worth_seeds >= TESTED and one.pairs >= TESTED


def _verdict(problem: Problem, found: Differences) -> Iterator[str]:
    of = {budget: paired(list(pairs["hand-made"].values())) for budget, pairs in found.items() if "hand-made" in pairs}
    if not of or not all(_tests(problem, one) for one in of.values()):
        return
    held = [budget for budget, one in of.items() if one.value > 0 and one.p < 0.05]
    where = f"at the budget {' and '.join(held)}" if held else "at no budget"
    adjusted = ", ".join(
        f"{p:.3f} ({budget})" for budget, p in zip(of, holm([one.p for one in of.values()]), strict=True)
    )
    yield paragraph(selection.told(problem.settings().search.finalists, of[next(iter(of))].pairs))
    yield paragraph(
        f"The bar, searched minus hand-made above 0 with p < 0.05 at one budget at least, is "
        f"{'reached' if held else 'missed'}: {where}. With Holm's correction for the budgets p is {adjusted}."
    )


def _at_equal_cost(study: Study, problem: Problem, rows: Rows) -> Iterator[str]:
    known = [row for seed in study.seeds_of(problem.worth_seeds) if (row := rows.get(row_name(problem, seed, EQUAL)))]
    if not known:
        return
    yield paragraph(
        "At the small budget the network made by hand costs all of it, for the budget is its cost, and the searched "
        "one may cost less. So this is the searched network beside the hand-made family at its own cost, read on the "
        "line through the PQ of the two nearest of the family, over the logarithm of GFLOPs, which are trained "
        "likewise. It was thought of when the first rows at this budget were there, and is described, not tested:"
    )
    cells = (
        [str(row["seed"]), f"{row['gflops']:.3f}", *(f"{row[key]:.1f}" for key in ("searched", "hand-made"))]
        for row in known
    )
    yield table(["seed", "GFLOPs", "searched", "the family at this cost"], cells)
    yield paragraph(f"Mean difference: {effect(paired([row['difference'] for row in known]))}.")


def _own_search(study: Study, problem: Problem, rows: Rows) -> Iterator[str]:
    known = _of_seeds(study, problem, rows, OWN)
    if not known:
        return
    before, after = ([row["candidates"][of] for row in known] for of in ("whole", "own"))
    yield paragraph(
        f"The cause that was looked for: of the search over the whole range of costs {min(before)} to {max(before)} "
        "candidates were measured to the end within the small budget. The remedy, which the config has taken over "
        "since, is to search the same supernet within that budget, which leaves "
        f"{min(after)} to {max(after)}. {EXPECTED} PQ on val (GFLOPs):"
    )
    yield from _remedied(study, problem, rows, [OWN])
    yield from _bayesian(study, problem, rows, known)


def _bayesian(study: Study, problem: Problem, rows: Rows, before: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    known = _of_seeds(study, problem, rows, BAYESIAN)
    if not known:
        return
    nsga2, random, bayesian = (
        sum(row["paths"][name] for row in found) / len(found)
        for found, name in ((before, "searched"), (known, "random"), (known, "searched"))
    )
    yield paragraph(
        "The next cause: with as many candidates NSGA-II finds no better paths within the budget than random draws "
        f"are. The best path has {nsga2:.1f} PQ on nas_val by NSGA-II, on average, and {random:.1f} among as many "
        "random draws. So the second remedy, which the config has taken over as well, is Bayesian optimization with "
        f"the cost known, by which the best path has {bayesian:.1f}. {EXPECTED_OF_BAYESIAN} PQ on val (GFLOPs), of the "
        "same supernets:"
    )
    yield from _remedied(study, problem, rows, [OWN, BAYESIAN])
    by_seed = _by_seed(before)
    more = paired([pq - by_seed[seed] for seed, pq in _by_seed(known).items() if seed in by_seed])
    yield paragraph(f"Searched by Bayesian optimization minus by NSGA-II: {effect(more)}, of {more.pairs} seeds.")
    yield from _more_finalists(study, problem, rows, known)


def _more_finalists(study: Study, problem: Problem, rows: Rows, before: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    known = _of_seeds(study, problem, rows, FINALISTS)
    if not known:
        return
    yield paragraph(
        "The last cause: one candidate of a search was trained to the end, and short trainings, which chose it, tell "
        "little of what it comes to. So the third remedy, which the config has taken over, has no short trainings, and "
        "for their time trains two candidates more to the end, a tenth of their choices apart, beside the hand-made "
        f"network; the best of them on nas_val is the answer. {EXPECTED_OF_FINALISTS} PQ on val (GFLOPs), of the same "
        "searches:"
    )
    yield from _remedied(study, problem, rows, REMEDIES)
    by_seed = _by_seed(before)
    more = paired([pq - by_seed[seed] for seed, pq in _by_seed(known).items() if seed in by_seed])
    yield paragraph(f"With three candidates minus with one: {effect(more)}, p {p_of(more)}, of {more.pairs} seeds.")
    yield from _as_many(_of_seeds(study, problem, rows, AS_MANY))
    yield from _next(study, problem, rows)


def beside_the_next(study: Study, problem: Problem, rows: Rows) -> list[tuple[float, float, float]]:
    """Return what the network made by hand, the next of its family, and the searched one have, where all are trained.

    The next of its family is the dearest that costs less than the budget. It was trained for the comparison at equal
    cost, of the same supernets and alike.
    """
    equal = {row["seed"]: row for row in _of_seeds(study, problem, rows, EQUAL)}
    found = []
    for row in _of_seeds(study, problem, rows, FINALISTS):
        by_hand, searched = (row["networks"][name] for name in ("hand-made", "searched"))
        family = equal[row["seed"]]["family"] if row["seed"] in equal else []
        cheaper = [one for one in family if one["gflops"] < by_hand["gflops"]]
        if cheaper:
            found.append((by_hand["pq"], max(cheaper, key=lambda one: one["gflops"])["pq"], searched["pq"]))
    return found


def _next(study: Study, problem: Problem, rows: Rows) -> Iterator[str]:
    found = beside_the_next(study, problem, rows)
    if len(found) < TESTED:
        return
    more = paired([following - by_hand for by_hand, following, _ in found])
    left = paired([searched - following for _, following, searched in found])
    yield paragraph(
        "The network made by hand is the dearest of its family within the budget, as scaling by hand would take it, "
        "which need not be the best. The next of the family, with less in its heads, was trained likewise for the "
        "comparison at "
        f"equal cost. It has {effect(more)} over the dearest, of {more.pairs} seeds, and the searched network "
        f"{effect(left)} over it, in {sum(searched > one for _, one, searched in found)} of "
        f"{left.pairs} seeds more. In the others the answer "
        "of the search over the whole range had been the network made by hand, so that there was no other cost to "
        "train the family at. This was looked at when all rows were there, and is described."
    )


def _as_many(known: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not known:
        return
    yield paragraph(
        "Of the random draws one was trained. So three of them, the best by their paths that are a tenth of their "
        "choices apart, were trained likewise, and the best on nas_val was taken. "
        f"{EXPECTED_OF_AS_MANY} PQ on val (GFLOPs):"
    )
    cells = ([str(row["seed"]), f"{row['searched']:.1f}", f"{row['pq']:.1f} ({row['gflops']:.3f})"] for row in known)
    yield table(["seed", "searched", "best of three random draws"], cells)
    one = paired([row["difference"] for row in known])
    yield paragraph(
        f"Searched minus the best of three random draws: {effect(one)}, p {p_of(one)}, of {one.pairs} seeds."
    )


def _remedied(study: Study, problem: Problem, rows: Rows, remedies: Sequence[str]) -> Iterator[str]:
    """Tell the last of some remedies, and whether it reaches the bar among all tests beside the hand-made network."""
    known = _of_seeds(study, problem, rows, remedies[-1])
    names = ("searched", "hand-made", "random")
    yield table(["seed", *names], ([str(row["seed"]), *(_trained(row, name) for name in names)] for row in known))
    for name in names[1:]:
        one = _minus(known, name)
        p = f", p {p_of(one)}" if _tests(problem, one) else ""
        yield paragraph(f"Searched minus {OPPONENTS[name]}: {effect(one)}{p}, of {_seeds_in_words(one)}.")
    one = _minus(known, "hand-made")
    if not _tests(problem, one):
        return
    yield paragraph(selection.told(finalists_of(problem, remedies[-1]), one.pairs))
    tests = _tests_beside_hand_made(study, problem, rows, remedies)
    adjusted = holm([test.p for test in tests])[-1]
    reached = "reaches" if one.value > 0 and one.p < 0.05 else "does not reach"
    alone = " by itself, and not with the correction" if one.value > 0 and one.p < 0.05 <= adjusted else ""
    yield paragraph(
        f"So by the number the remedy {reached} the bar beside the hand-made network{alone}. With Holm's correction "
        f"for all {len(tests)} tests beside it so far, its p is {adjusted:.3f}."
    )


def corrected_p(study: Study, problem: Problem, rows: Rows) -> tuple[float, int, float, int]:
    """Return the p of the last remedy beside the hand-made network with Holm's correction, for two families of tests.

    Returns:
        For the tests beside that network: p, and how many they are; and for all tests with these seeds: the same.
    """
    beside = [test.p for test in _tests_beside_hand_made(study, problem, rows, REMEDIES)]
    every = [*_other_tests(study, problem, rows), *beside]
    return holm(beside)[-1], len(beside), holm(every)[-1], len(every)


def _other_tests(study: Study, problem: Problem, rows: Rows) -> list[float]:
    """Return the p of what else was tested with these seeds: beside random draws, and by how much is trained."""
    whole = [paired(list(of["random"].values())) for of in differences(study, problem, rows).values() if of]
    known = [of for last in REMEDIES if (of := _of_seeds(study, problem, rows, last))]
    found: list[Paired] = [*whole, *(_minus(of, "random") for of in known)]
    one, three = (_by_seed(_of_seeds(study, problem, rows, last)) for last in REMEDIES[-2:])
    pairs = [[three[seed] - one[seed] for seed in three if seed in one]]
    drawn = _of_seeds(study, problem, rows, AS_MANY)
    by_hand = {row["seed"]: row["networks"]["hand-made"]["pq"] for row in _of_seeds(study, problem, rows, FINALISTS)}
    pairs += [[row["difference"] for row in drawn]]
    pairs += [[row["pq"] - by_hand[row["seed"]] for row in drawn if row["seed"] in by_hand]]
    found += [paired(pair) for pair in pairs if pair]
    return [test.p for test in found if test.pairs >= TESTED]


def finalists_of(problem: Problem, remedy: str) -> int:
    """Return how many trainings the searched network is the best of, by a remedy."""
    return int(own.REMEDIES[remedy].get("search.finalists", problem.settings().search.finalists))


def _by_seed(known: Sequence[Mapping[str, Any]]) -> dict[int, float]:
    return {row["seed"]: row["networks"]["searched"]["pq"] for row in known}


def _seeds_in_words(one: Paired) -> str:
    return f"{one.pairs} seeds" + (f", in {one.alike} of which both are one network" if one.alike else "")


def _tests_beside_hand_made(study: Study, problem: Problem, rows: Rows, remedies: Sequence[str]) -> list[Paired]:
    """Return what was tested beside the hand-made network: at each budget as planned, and by some remedies."""
    whole = [paired(list(of["hand-made"].values())) for of in differences(study, problem, rows).values() if of]
    known = (_of_seeds(study, problem, rows, last) for last in remedies)
    return [*whole, *(_minus(found, "hand-made") for found in known if found)]


def _of_seeds(study: Study, problem: Problem, rows: Rows, last: str) -> list[dict[str, Any]]:
    seeds = study.seeds_of(problem.worth_seeds)
    return [row for seed in seeds if (row := rows.get(row_name(problem, seed, last)))]


def _minus(known: Sequence[Mapping[str, Any]], name: str) -> Paired:
    return paired([row["networks"]["searched"]["pq"] - row["networks"][name]["pq"] for row in known])


def _trained(row: Mapping[str, Any], name: str) -> str:
    network = row["networks"][name]
    return f"{network['pq']:.1f} ({network['gflops']:.3f})"
