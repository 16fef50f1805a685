"""What the searched network is worth, in short."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import fmean
from typing import Any

from autopanoptic.panoptic.results.fronts import HAND_MADE
from benchmarks.search_worth.parts.as_many import AS_MANY
from benchmarks.search_worth.parts.own import FINALISTS
from benchmarks.search_worth.parts.worth import row_name
from benchmarks.search_worth.rows import Rows
from benchmarks.search_worth.sections import drawn, selection, shipped, worth
from benchmarks.search_worth.sections.text import effect, p_of
from benchmarks.search_worth.statistics import TESTED, Paired, paired
from benchmarks.search_worth.study import FEW, MANY, Study


def verdict(study: Study, rows: Rows) -> Iterator[str]:
    """Yield what a reader who asks whether to search is to know first."""
    known = drawn.known_of(study, rows)
    one = drawn.differences(known).get(drawn.LEFT)
    if one is not None and one.pairs >= TESTED:
        count = _count(known)
        yield (
            f"For one network of this size a search of ten minutes {'pays' if one.value > 0 else 'does not pay'}: in "
            f"the time of a run one can train {count} random networks within its budget for {study.few_passes} passes "
            f"from scratch, and the best of them has {effect(_other_way(one))} PQ over what the run leaves (p "
            f"{p_of(one)}, {one.pairs} seeds)."
        )
    alone = shipped.differences(shipped.known_of(study, rows)).get((shipped.ALONE, HAND_MADE))
    if alone is not None and alone.pairs >= TESTED:
        shown = "is better than" if alone.value > 0 and alone.p < 0.05 else "is not shown to be better than"
        yield (
            f"As an architecture, trained from scratch, what was searched {shown} the network made by hand: "
            f"{effect(alone)} (p {p_of(alone)})."
        )
    as_often = _as_often(study, rows)
    if as_often is not None:
        yield (
            f"Over as many random draws, measured by the same supernet and trained as often, the search has "
            f"{effect(as_often)} PQ (p {p_of(as_often)})."
        )
    if one is not None and one.pairs >= TESTED and one.value < 0:
        yield (
            "What a run brings is a front over the costs and a supernet that serves other budgets without another "
            "training; whoever wants one network does better to train a few of them for longer."
        )


def answers(study: Study, rows: Rows) -> Iterator[str]:
    """Yield the figures."""
    yield from _without_search(study, rows)
    yield from _shipped(study, rows)
    yield from _planned(study, rows)
    yield from _remedied(study, rows)
    yield from _drawn(study, rows)
    yield from _described(study, rows)


def _without_search(study: Study, rows: Rows) -> Iterator[str]:
    known = drawn.known_of(study, rows)
    found = drawn.differences(known)
    if drawn.ALONE in found and found[drawn.ALONE].pairs >= TESTED:
        one = found[drawn.ALONE]
        best = fmean(float(seed.drawn["pq"]) for seed in known.values())
        yield (
            f"The best of {_count(known)} random networks, trained from scratch in a run's time, has {best:.1f} PQ on "
            f"average. The searched architecture, trained from scratch after the run, has {effect(one)} to that."
        )


def _shipped(study: Study, rows: Rows) -> Iterator[str]:
    known = shipped.known_of(study, rows)
    found = shipped.differences(known)
    told = {form: found[form, HAND_MADE] for form in (shipped.ALONE, shipped.FURTHER) if (form, HAND_MADE) in found}
    more = {
        shipped.FURTHER: ", where it is the best of up to four trainings and the test says nothing of architectures",
        shipped.ALONE: ", one training each, which is the test",
    }
    for form, one in told.items():
        if one.pairs >= TESTED:
            yield (
                f"The config as it ships, with {one.pairs} seeds that had no part in the remedies: {form}{more[form]}, "
                f"searched minus hand-made is {effect(one)} PQ (p {p_of(one)})."
            )
    forms = shipped.forms_of(known)
    if forms is not None:
        passes = study.shipped.settings().retrain.passes
        yield (
            f"These networks have {forms[shipped.FURTHER]:.1f} PQ on average where a run leaves them, trained further "
            f"for {passes} passes from the supernet's weights, and {forms[shipped.ALONE]:.1f} after "
            f"{study.shipped.alone_passes} passes from scratch: {shipped.conclusion(forms)}."
        )


def _planned(study: Study, rows: Rows) -> Iterator[str]:
    planned = {
        budget: paired(list(of["hand-made"].values()))
        for budget, of in worth.differences(study, study.elastic, rows).items()
        if len(of.get("hand-made", ())) >= TESTED
    }
    if planned:
        told = " and ".join(
            f"{effect(one)} PQ at the {budget} budget (p {p_of(one)}, {one.pairs} seeds)"
            for budget, one in planned.items()
        )
        yield f"As it was planned, with a search over the whole range of costs, searched minus hand-made is {told}."


def _remedied(study: Study, rows: Rows) -> Iterator[str]:
    known, random = _of_seeds(study, rows, FINALISTS), _of_seeds(study, rows, AS_MANY)
    both = [seed for seed in known if seed in random]
    if len(both) < TESTED:
        return
    by_hand = paired([_pq(known[seed], "searched") - _pq(known[seed], "hand-made") for seed in both])
    chosen = paired([random[seed]["pq"] - _pq(known[seed], "hand-made") for seed in both])
    left = paired([_pq(known[seed], "searched") - random[seed]["pq"] for seed in both])
    count = len(random[both[0]]["on_nas_val"])
    beside, tests, every, all_tests = worth.corrected_p(study, study.elastic, rows)
    chance = selection.chance_of_choice(worth.finalists_of(study.elastic, FINALISTS), by_hand.pairs)
    yield (
        "After three remedies, which these seeds' results had a part in and which the config has taken over, a search "
        f"within the small budget finds {effect(by_hand)} PQ more than the network made by hand (p {p_of(by_hand)}; "
        f"with Holm's correction {beside:.3f} for the {tests} tests beside that network, {every:.3f} for all "
        f"{all_tests} with these {by_hand.pairs} seeds). Choosing among as many trainings brings {chance.mean:+.1f} "
        f"where all architectures are alike, and p below {selection.LEVEL} in {100 * chance.below:.0f}% of studies."
    )
    yield (
        f"What is owed to the supernet and to several trainings: the best of {count} random draws, measured by the "
        f"same supernet and trained as often, has {effect(chosen)} over the network made by hand (p {p_of(chosen)}), "
        f"which is trained once. What the search itself adds: {effect(left)} (p {p_of(left)})."
    )
    following = worth.beside_the_next(study, study.elastic, rows)
    if len(following) >= TESTED:
        more = paired([searched - one for _, one, searched in following])
        yield (
            f"Beside a network of the hand-made family with less in its heads it is {effect(more)}, described of "
            f"{more.pairs} seeds."
        )


def _drawn(study: Study, rows: Rows) -> Iterator[str]:
    """Tell of random networks beside the searches as they were planned."""
    passes = {MANY: study.elastic.settings().retrain.passes, FEW: study.few_passes}
    found = worth.differences(study, study.elastic, rows)
    for form in (FEW, MANY):
        told = " and ".join(
            f"{fmean(of[form].values()):+.1f} at the {budget} budget ({_seeds(len(of[form]))})"
            for budget, of in found.items()
            if form in of
        )
        if told:
            yield (
                f"As it was planned, searched minus the best of {form} random networks that a run's time trains from "
                f"scratch, {passes[form]} passes each: {told}, described and not tested."
            )


def _described(study: Study, rows: Rows) -> Iterator[str]:
    """Tell of the problems that have too few seeds for a test."""
    for problem in study.problems:
        for budget, of in worth.differences(study, problem, rows).items() if problem != study.elastic else ():
            told = " and ".join(
                f"{fmean(one.values()):+.1f} beside {worth.OPPONENTS[name]}" for name, one in of.items()
            )
            if told:
                yield (
                    f"{problem.title}, {budget} budget, trained further: searched has {told} "
                    f"({_seeds(len(of[HAND_MADE]))}, described and not tested)."
                )


def _as_often(study: Study, rows: Rows) -> Paired | None:
    drawn_rows = _of_seeds(study, rows, AS_MANY).values()
    return paired([row["difference"] for row in drawn_rows]) if len(drawn_rows) >= TESTED else None


def _of_seeds(study: Study, rows: Rows, last: str) -> dict[int, dict[str, Any]]:
    return {row["seed"]: row for seed in study.seeds if (row := rows.get(row_name(study.elastic, seed, last)))}


def _count(known: Mapping[int, drawn.Seed]) -> str:
    counts = sorted({int(one.drawn["networks"]) for one in known.values()})
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def _other_way(one: Paired) -> Paired:
    return Paired(-one.value, one.half, one.p, one.pairs, one.alike)


def _seeds(count: int) -> str:
    return "1 seed" if count == 1 else f"{count} seeds"


def _pq(row: dict[str, Any], name: str) -> float:
    return float(row["networks"][name]["pq"])
