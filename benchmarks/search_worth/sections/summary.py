"""The answers in short, each with its interval; what is not measured yet is left out."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean, mean
from typing import Any

from autopanoptic.panoptic.results.fronts import HAND_MADE
from benchmarks.search_worth.parts.as_many import AS_MANY
from benchmarks.search_worth.parts.own import FINALISTS
from benchmarks.search_worth.parts.published import PATH_PRIORITY
from benchmarks.search_worth.parts.ranking import LONGER
from benchmarks.search_worth.parts.traces import TRACES
from benchmarks.search_worth.parts.worth import row_name
from benchmarks.search_worth.rows import Rows
from benchmarks.search_worth.sections import published, racing, shipped, worth
from benchmarks.search_worth.sections.ranked import (
    BARS,
    best_taus,
    compared,
    groups_of,
    paths_of,
    shared_names,
    trained_alone,
    truth_of,
)
from benchmarks.search_worth.sections.text import effect, interval, items, p_of
from benchmarks.search_worth.statistics import TESTED, paired
from benchmarks.search_worth.study import FEW, MANY, Problem, Study


def section(study: Study, rows: Rows) -> Iterator[str]:
    """Yield the section, or nothing where no part has an answer."""
    found = [
        *_worth(study, rows),
        *_shipped(study, rows),
        *_drawn(study, rows),
        *_described(study, rows),
        *_ranking(study, rows),
        *_price(study, rows),
        *_published(study, rows),
    ]
    if found:
        yield f"## In short\n\n{items(found)}"


def _worth(study: Study, rows: Rows) -> Iterator[str]:
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
    known, drawn = (
        {row["seed"]: row for seed in study.seeds if (row := rows.get(row_name(study.elastic, seed, last)))}
        for last in (FINALISTS, AS_MANY)
    )
    both = [seed for seed in known if seed in drawn]
    if len(both) < TESTED:
        return
    by_hand = paired([_pq(known[seed], "searched") - _pq(known[seed], "hand-made") for seed in both])
    random = paired([drawn[seed]["pq"] - _pq(known[seed], "hand-made") for seed in both])
    left = paired([_pq(known[seed], "searched") - drawn[seed]["pq"] for seed in both])
    count = len(drawn[both[0]]["on_nas_val"])
    yield (
        "After three remedies, which these seeds' results had a part in and which the config has taken over, a search "
        f"within the small budget finds {effect(by_hand)} PQ more than the network made by hand (p {p_of(by_hand)}, "
        f"{worth.corrected_p(study, study.elastic, rows):.3f} with Holm's correction for all tests with these "
        f"{by_hand.pairs} seeds)."
    )
    yield (
        f"What is owed to the supernet and to several trainings: the best of {count} random draws, measured by the "
        f"same supernet and trained as often, has {effect(random)} over the network made by hand (p {p_of(random)}), "
        f"which is trained once. What the search itself adds: {effect(left)} (p {p_of(left)})."
    )
    following = worth.beside_the_next(study, study.elastic, rows)
    if len(following) >= TESTED:
        more = paired([searched - one for _, one, searched in following])
        yield (
            f"Beside a network of the hand-made family with less in its heads it is {effect(more)}, described of "
            f"{more.pairs} seeds."
        )


def _shipped(study: Study, rows: Rows) -> Iterator[str]:
    known = shipped.known_of(study, rows)
    found = shipped.differences(known)
    told = {form: one for (form, name), one in found.items() if name == HAND_MADE and one.pairs >= TESTED}
    more = {shipped.FURTHER: ", where it is the best of up to four trainings", shipped.ALONE: ", one training each"}
    for form, one in told.items():
        yield (
            f"The config as it ships, with {one.pairs} seeds that had no part in the remedies: {form}{more[form]}, "
            f"searched minus hand-made is {effect(one)} PQ (p {p_of(one)})."
        )
    forms = shipped.forms_of(known)
    if forms is not None:
        passes = study.shipped.settings().retrain.passes
        yield (
            f"These networks have {forms[shipped.FURTHER]:.1f} PQ on average where a run leaves them, {passes} passes "
            f"from the supernet's weights, and {forms[shipped.ALONE]:.1f} after {study.shipped.alone_passes} passes "
            f"from scratch: {shipped.conclusion(forms)}."
        )


def _drawn(study: Study, rows: Rows) -> Iterator[str]:
    """Tell of random networks, which are as good as what the time of a run brings without a search."""
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
                f"Searched minus the best of as many random networks as the time of a whole run trains from scratch, "
                f"{passes[form]} passes each: {told}, described and not tested."
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


def _seeds(count: int) -> str:
    return "1 seed" if count == 1 else f"{count} seeds"


def _pq(row: dict[str, Any], name: str) -> float:
    return float(row["networks"][name]["pq"])


def _ranking(study: Study, rows: Rows) -> Iterator[str]:
    problem = study.elastic
    tried = paths_of(problem, rows, problem.recipes)
    for where, (title, tau) in best_taus(problem, rows, problem.recipes).items():
        word = "reaches" if tau[0] >= BARS[where] else "misses"
        yield (
            f"Paths with shared weights rank networks {where} as their own trainings do with Kendall's tau "
            f"{interval(tau)} at most ({title}, the best of {len(tried)}), which {word} the bar of {BARS[where]}."
        )
    alone = trained_alone(problem, rows)
    for where, names in groups_of(problem).items():
        both = compared(alone[0], alone[1], names)
        if both is not None:
            count = len(shared_names(alone, names))
            yield f"Two seeds of the trainings alone agree with tau {interval(both['tau'])} {where} ({count} networks)."
    remedied = best_taus(problem, rows, problem.remedies)
    if remedied:
        before, after = (
            max(mean(pq.values()) for pq in paths_of(problem, rows, recipes).values())
            for recipes in (problem.recipes, problem.remedies)
        )
        taus = " and ".join(f"{interval(tau)} {where}" for where, (_, tau) in remedied.items())
        yield (
            f"Of a supernet that is trained {LONGER} times as long paths have {after:.0f} PQ on average, where they "
            f"have {before:.0f} at most by the recipes above; their tau is {taus} at most."
        )
    for other in study.problems:
        if other != problem:
            yield from _other_ranking(other, rows)


def _other_ranking(problem: Problem, rows: Rows) -> Iterator[str]:
    paths, alone = paths_of(problem, rows, problem.recipes), truth_of(trained_alone(problem, rows))
    means = [mean(pq.values()) for pq in paths.values()]
    for where, (title, tau) in best_taus(problem, rows, problem.recipes).items():
        yield (
            f"{problem.title[0].upper()}{problem.title[1:]}: paths of {min(means):.0f} to {max(means):.0f} PQ on "
            f"average, whose networks have {mean(alone.values()):.0f} alone, rank these {where} with Kendall's tau "
            f"{interval(tau)} at most ({title}, the best of {len(paths)}; {len(alone)} networks)."
        )


def _price(study: Study, rows: Rows) -> Iterator[str]:
    stages = [row["stages"] for seed in study.seeds if (row := rows.get(row_name(study.elastic, seed, "run")))]
    if stages:
        took = mean(sum(one.values()) for one in stages) / 60
        yield f"A run, as the config was then, took {took:.0f} minutes, the mean of {len(stages)}."
    races = racing.races(study, rows)
    if races:
        times = mean(whole["measured"] / raced["measured"] for raced, whole in races)
        same = sum(raced["answer"]["id"] == whole["answer"]["id"] for raced, whole in races)
        yield (
            f"Racing measures {times:.1f} times fewer images, with the same answer in {same} of {len(races)} searches, "
            f"where the bar is {racing.TIMES:.0f} times in 8 of 10."
        )
    row = rows.get(TRACES)
    if row is not None:
        found, lost, same, price = racing.halved(row)
        low, high = (f"{100 * end:.0f}" for end in same[1:])
        yield (
            f"Successive halving of random candidates, replayed, measures {1 / found.measured:.1f} times fewer images, "
            f"with the best of them in {100 * same[0]:.0f}% [{low}, {high}] of draws and {interval(lost)} PQ of paths "
            f"less on average; of {len(row['pq'])} candidates it finds {interval(price.gained, 1)} more, on nas_val, "
            f"than the best of {price.seconds}, which take as many seconds."
        )


def _published(study: Study, rows: Rows) -> Iterator[str]:
    own = published.answer_minus_best(list(published.found(study, rows)[PATH_PRIORITY].values()))
    if own is not None and own.pairs >= TESTED:
        yield (
            f"On the published space path priority's answer has {effect(own)} PQ more than the best candidate that it "
            f"has seen (p {p_of(own)}, {own.pairs} seeds)."
        )
