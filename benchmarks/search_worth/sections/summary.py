"""The answers in short, each with its interval; what is not measured yet is left out."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import mean

from benchmarks.search_worth.as_many import AS_MANY
from benchmarks.search_worth.own import FINALISTS
from benchmarks.search_worth.published import PATH_PRIORITY
from benchmarks.search_worth.rows import Rows
from benchmarks.search_worth.sections import price, published, ranking, worth
from benchmarks.search_worth.sections.text import effect, items, p_of
from benchmarks.search_worth.statistics import paired
from benchmarks.search_worth.study import Study
from benchmarks.search_worth.worth import row_name


def section(study: Study, rows: Rows) -> Iterator[str]:
    """Yield the section, or nothing where no part has an answer."""
    found = [*_worth(study, rows), *_ranking(study, rows), *_price(study, rows), *_published(study, rows)]
    if found:
        yield f"## In short\n\n{items(found)}"


def _worth(study: Study, rows: Rows) -> Iterator[str]:
    known, drawn = ([row for seed in study.seeds if (row := rows.get(row_name(study.elastic, seed, last)))]
                    for last in (FINALISTS, AS_MANY))  # fmt: skip
    if not known or not drawn:
        return
    by_hand, random = (
        paired([row["networks"]["searched"]["pq"] - row["networks"][name]["pq"] for row in known])
        for name in ("hand-made", "random")
    )
    as_often = paired([row["difference"] for row in drawn])
    text = (
        f"Within the cost of the network made by hand the search, as the config has it now, finds {effect(by_hand)} PQ "
        f"more (p {p_of(by_hand)}, {by_hand.pairs} seeds); {effect(random)} more than the best random draw by the same "
        f"supernet (p {p_of(random)}), and {effect(as_often)} more than the best of three that are trained as often "
        f"(p {p_of(as_often)})."
    )
    following = worth.beside_the_next(study, study.elastic, rows)
    if len(following) >= worth.TESTED:
        left = paired([searched - one for _, one, searched in following])
        text += f" Beside a network of the hand-made family with less in its heads it is {effect(left)}, untested."
    yield text


def _ranking(study: Study, rows: Rows) -> Iterator[str]:
    found = ranking.best_taus(study.elastic, rows)
    if found:
        taus = ", ".join(f"{tau:.2f} {where} ({title})" for where, (title, tau) in found.items())
        yield f"Paths with shared weights rank networks as their own trainings do with Kendall's tau {taus}."


def _price(study: Study, rows: Rows) -> Iterator[str]:
    stages = [row["stages"] for seed in study.seeds if (row := rows.get(row_name(study.elastic, seed, "run")))]
    if stages:
        took = mean(sum(one.values()) for one in stages) / 60
        yield f"A run took {took:.0f} minutes, the mean of {len(stages)}."
    races = price.races(study, rows)
    if races:
        times = mean(whole["measured"] / raced["measured"] for raced, whole in races)
        same = sum(raced["answer"]["id"] == whole["answer"]["id"] for raced, whole in races)
        yield (
            f"Racing measures {times:.1f} times fewer images, with the same answer in {same} of {len(races)} searches."
        )


def _published(study: Study, rows: Rows) -> Iterator[str]:
    own = published.answer_minus_best(list(published.found(study, rows)[PATH_PRIORITY].values()))
    if own is not None:
        yield (
            f"On the published space path priority's answer has {effect(own)} PQ more than the best candidate that it "
            f"has seen (p {p_of(own)}, {own.pairs} seeds)."
        )
