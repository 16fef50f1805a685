"""What the search costs, and what makes it cheaper."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import mean
from typing import Any

from autopanoptic.panoptic.results.fronts import TOLERANCE
from benchmarks.search_worth.parts.price import FRONT, STRATEGIES, TABLE, search_name
from benchmarks.search_worth.rows import Rows
from benchmarks.search_worth.sections import racing
from benchmarks.search_worth.sections.runs import machines_of, runs_of
from benchmarks.search_worth.sections.text import NONE, effect, p_of, paragraph, table
from benchmarks.search_worth.statistics import TESTED, paired
from benchmarks.search_worth.study import Study

SINGLE = "bayesian"
"""The strategy of the config as it ships, which searches within a budget."""
FRONT_WITHIN, STRATEGIES_WITHIN = 1.0, 0.7
"""PQ that were expected: of a front beside a single answer, and between the strategies."""
Row = dict[str, Any]


def section(study: Study, rows: Rows) -> Iterator[str]:
    """Yield the section's parts."""
    yield from _stages(study, rows)
    yield from racing.section(study, rows)
    yield from _strategies(study, rows)
    yield from _table(rows)


def _stages(study: Study, rows: Rows) -> Iterator[str]:
    found = runs_of(study, rows)
    if not found:
        return
    yield "### The parts of a run\n"
    for runs in found:
        stages = list(dict.fromkeys(stage for row in runs.rows for stage in row["stages"]))
        yield paragraph(
            f"Seconds by the clock of {len(runs.rows)} runs of the main job {runs.title}, on "
            f"{machines_of(runs.rows)}; the search has as many random draws in it, the retraining the networks that "
            "are compared:"
        )
        yield table(
            ["part", "mean", "least", "most"],
            (
                [stage, *(f"{of([row['stages'][stage] for row in runs.rows]):.0f}" for of in (mean, min, max))]
                for stage in stages
            ),
        )


def _strategies(study: Study, rows: Rows) -> Iterator[str]:
    seeds = range(study.strategy_seeds)
    of = {
        kind: {seed: row for seed in seeds if (row := rows.get(search_name(kind, seed))) is not None}
        for kind in (*STRATEGIES, FRONT)
    }
    known = [row for found in of.values() for row in found.values()]
    if not known:
        return
    yield "### Strategies, and a front beside a single answer\n"
    yield paragraph(
        f"Each strategy's answer within the middle budget, as a path with shared weights of one supernet, measured on "
        f"the same images, after {_candidates(of)}; {FRONT} searches a whole front, of which the best within the "
        "budget is taken, and begins with the hand-made family. PQ in percent, the differences on val paired by the "
        f"seeds of the searches, seconds by the clock on {machines_of(known)}:"
    )
    yield table(
        ["strategy", "seeds", "PQ on nas_val", "PQ on val", "pairs", "minus random", "p", "seconds"], _compared(of)
    )
    yield from _front(of)
    yield from _apart(of)


def _candidates(of: dict[str, dict[int, Row]]) -> str:
    """Say how many candidates the strategies had."""
    counts = {kind: {row["trials"] for row in found.values()} for kind, found in of.items() if found}
    usual = max(max(found) for found in counts.values())
    fewer = {kind: max(found) for kind, found in counts.items() if max(found) < usual}
    less = ", ".join(f"{kind} {count}, its answer among them" for kind, count in fewer.items())
    return f"{usual} candidates" + (f" ({less})" if less else "")


def _front(of: dict[str, dict[int, Row]]) -> Iterator[str]:
    """Tell what a front costs a single answer, beside the strategy of a single answer that the config has."""
    both = [seed for seed in of[FRONT] if seed in of[SINGLE]]
    if not both:
        return
    one = paired([of[FRONT][seed]["answer"]["val"] - of[SINGLE][seed]["answer"]["val"] for seed in both])
    budget = of[FRONT][both[0]]["budget"]
    within = [sum(cost <= budget * (1 + TOLERANCE) for cost, _ in of[FRONT][seed]["candidates"]) for seed in both]
    as_expected = "as was expected" if abs(one.value) <= FRONT_WITHIN else "which is more than was expected"
    yield paragraph(
        f"The answer of {FRONT}'s front minus that of {SINGLE}, which searches within the budget alone: {effect(one)}, "
        f"of {one.pairs} pairs, {as_expected}. {min(within)} to {max(within)} candidates of the front's searches "
        "lie within the budget."
    )


def _apart(of: dict[str, dict[int, Row]]) -> Iterator[str]:
    """Tell whether the strategies lie as near to each other as was expected."""
    on_val = {kind: mean(row["answer"]["val"] for row in found.values()) for kind, found in of.items() if found}
    if len(on_val) < 2:
        return
    low, high = min(on_val, key=on_val.__getitem__), max(on_val, key=on_val.__getitem__)
    apart = on_val[high] - on_val[low]
    yield paragraph(
        f"Their means lie {apart:.1f} PQ apart on val, from {low} to {high}, where less than {STRATEGIES_WITHIN} was "
        f"expected: {'so it is' if apart < STRATEGIES_WITHIN else 'more, though of few seeds'}."
    )


def _compared(of: dict[str, dict[int, Row]]) -> Iterator[list[str]]:
    for kind, found in of.items():
        if not found:
            continue
        means = [f"{mean(row['answer'][split] for row in found.values()):.1f}" for split in ("nas_val", "val")]
        both = [seed for seed in found if seed in of["random"]]
        minus = None
        if kind != "random" and both:
            minus = paired([found[seed]["answer"]["val"] - of["random"][seed]["answer"]["val"] for seed in both])
        seconds = f"{mean(row['seconds'] for row in found.values()):.0f}"
        pairs = NONE if minus is None else str(minus.pairs)
        p = NONE if minus is None or minus.pairs < TESTED else p_of(minus)
        yield [kind, str(len(found)), *means, pairs, effect(minus), p, seconds]


def _table(rows: Rows) -> Iterator[str]:
    found = rows.get(TABLE)
    if found is None:
        return
    yield "### The cost table\n"
    yield paragraph(
        f"Counting an architecture's operations takes {1e3 * found['counting']:.0f} ms. The table is made in "
        f"{found['making']:.1f} s. The first {found['looked_up']} architectures then take "
        f"{1e3 * found['early']:.2f} ms each on average, with the passes that they are the first to need, and as many "
        f"others after them {1e3 * found['looking_up']:.2f} ms, {found['counting'] / found['looking_up']:.0f} times "
        "less than a count; the largest relative error is "
        f"{found['largest_error']:.1g}."
    )
