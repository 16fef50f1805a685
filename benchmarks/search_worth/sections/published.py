"""Path priority on the published space."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import mean
from typing import Any

from benchmarks.search_worth.parts.published import PATH_PRIORITY, STRATEGIES, search_name
from benchmarks.search_worth.rows import Rows
from benchmarks.search_worth.sections.text import NONE, effect, p_of, paragraph, table
from benchmarks.search_worth.statistics import TESTED, Paired, paired
from benchmarks.search_worth.study import Study

Row = dict[str, Any]


def section(study: Study, rows: Rows) -> Iterator[str]:
    """Yield the section's parts."""
    of = found(study, rows)
    if not any(of.values()):
        return
    yield paragraph(
        f"Each strategy's answer, as a path of the seed's supernet, after {_candidates(of)}; PQ in percent, the "
        "differences on val paired by seeds. Of the others the answer is the best candidate seen."
    )
    yield table(["strategy", "seeds", "PQ on nas_val", "PQ on val", "path priority minus it", "p"], _lines(of))
    own = answer_minus_best(list(of[PATH_PRIORITY].values()))
    if own is not None and own.pairs >= TESTED:
        yield paragraph(
            "Path priority's answer minus the best of the candidates before it, by nas_val, on val: "
            f"{effect(own)}, p {own.p:.3f}, of {own.pairs} seeds."
        )


def found(study: Study, rows: Rows) -> dict[str, dict[int, Row]]:
    """Return the searches that have ended, by strategy and seed."""
    seeds = study.seeds_of(study.published_seeds)
    return {
        strategy: {seed: row for seed in seeds if (row := rows.get(search_name(strategy, seed))) is not None}
        for strategy in STRATEGIES
    }


def answer_minus_best(searches: list[Row]) -> Paired | None:
    """Return what path priority's answers have more on val than the best candidates seen; None without any."""
    return paired([row["answer"]["val"] - row["best"]["val"] for row in searches]) if searches else None


def _candidates(of: dict[str, dict[int, Row]]) -> str:
    """Say how many candidates the strategies had."""
    own = {row["trials"] for row in of[PATH_PRIORITY].values()}
    others = {row["trials"] for kind, found in of.items() if kind != PATH_PRIORITY for row in found.values()}
    if not own or not others or own == others:
        return f"{max(own | others)} candidates"
    return f"{max(others)} candidates, by path priority {max(own) - 1} and its answer"


def _lines(of: dict[str, dict[int, Row]]) -> Iterator[list[str]]:
    first = of[PATH_PRIORITY]
    for strategy, rows in of.items():
        if not rows:
            continue
        means = [f"{mean(row['answer'][split] for row in rows.values()):.1f}" for split in ("nas_val", "val")]
        both = [seed for seed in rows if seed in first] if strategy != PATH_PRIORITY else []
        minus = paired([first[seed]["answer"]["val"] - rows[seed]["answer"]["val"] for seed in both]) if both else None
        p = p_of(minus) if minus is not None and minus.pairs >= TESTED else NONE
        yield [strategy, str(len(rows)), *means, effect(minus), p]
