"""What the time of a run brings without a search: the best of a few random networks that are trained from scratch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import mean
from typing import Any, NamedTuple

from autopanoptic.panoptic.results.fronts import HAND_MADE, SEARCHED
from benchmarks.search_worth.parts.drawn import EXPECTED, EXPECTED_OF_SHIPPED, TOOK, best_of, seconds_of
from benchmarks.search_worth.parts.shipped import run_name, scratch_name, seeds_of
from benchmarks.search_worth.parts.worth import named_budgets, row_name
from benchmarks.search_worth.rows import Rows
from benchmarks.search_worth.sections.text import NONE, effect, p_of, paragraph, table
from benchmarks.search_worth.sections.text import seeds_of as seeds_in_words
from benchmarks.search_worth.statistics import TESTED, Paired, paired
from benchmarks.search_worth.study import FEW, MANY, Problem, Study

LEFT, ALONE = "as the run leaves it", "from scratch"
"""The forms of the searched network."""


class Seed(NamedTuple):
    """A run beside the random networks of its time.

    Attributes:
        drawn: The row of the random ones.
        left: PQ on val of the searched network as the run leaves it.
        alone: The same of its architecture, trained from scratch; None where it is not.
    """

    drawn: Mapping[str, Any]
    left: float
    alone: float | None


def known_of(study: Study, rows: Rows) -> dict[int, Seed]:
    """Return the runs of the config as it ships whose time random networks have had."""
    found = {}
    for seed in seeds_of(study):
        run, drawn = rows.get(run_name(study, seed)), rows.get(row_name(study.shipped, seed, f"{FEW}/end"))
        if run is not None and drawn is not None:
            alone = rows.get(scratch_name(study, seed, SEARCHED))
            found[seed] = Seed(drawn, run["networks"][SEARCHED]["pq"], None if alone is None else alone["val"])
    return found


def differences(known: Mapping[int, Seed]) -> dict[str, Paired]:
    """Return what the searched network has more on val than the best of the random ones, in either form."""
    left = [one.left - one.drawn["pq"] for one in known.values()]
    alone = [one.alone - one.drawn["pq"] for one in known.values() if one.alone is not None]
    return {form: paired(found) for form, found in ((LEFT, left), (ALONE, alone)) if found}


def section(study: Study, rows: Rows) -> Iterator[str]:
    """Yield the section's parts."""
    yield "### The time of a run without a search\n"
    yield paragraph(
        "In the time of each of these runs, but for making the data, random networks within its budget were trained "
        f"from scratch for {study.few_passes} passes, on the same processor. The time is that of the clock on both "
        "workers, in which the run's own measurements and random draws are, and counted are the seconds of a core in "
        "which the random ones are trained and measured. The best of them on nas_val is taken."
    )
    yield paragraph(EXPECTED_OF_SHIPPED)
    known = known_of(study, rows)
    if not known:
        yield paragraph("No row is there yet.")
        return
    names = ["seed", "random networks", f"searched, {LEFT}", f"searched, {ALONE}", "best of the random ones"]
    yield table(names, _lines(known))
    found = differences(known)
    yield table(
        ["searched minus the best of them", "seeds", "difference", "p"],
        (
            [form, seeds_in_words(one), effect(one), p_of(one) if _tested(form, one) else NONE]
            for form, one in found.items()
        ),
    )
    yield from _verdict(study, known, found, rows)


def _lines(known: Mapping[int, Seed]) -> Iterator[list[str]]:
    for seed, one in known.items():
        alone = NONE if one.alone is None else f"{one.alone:.1f}"
        best = f"{one.drawn['pq']:.1f} ({one.drawn['gflops']:.3f})"
        yield [str(seed), str(one.drawn["networks"]), f"{one.left:.1f}", alone, best]


def _tested(form: str, one: Paired) -> bool:
    return form == LEFT and one.pairs >= TESTED


def _verdict(study: Study, known: Mapping[int, Seed], found: Mapping[str, Paired], rows: Rows) -> Iterator[str]:
    left = found[LEFT]
    if not _tested(LEFT, left):
        return
    spent, time = (mean(float(one.drawn[key]) for one in known.values()) for key in ("spent", "time"))
    pays = "pays" if left.value > 0 else "does not pay"
    yield paragraph(
        f"So for one network of this size a search of these minutes {pays}. Spent were {spent:.0f} of {time:.0f} "
        f"seconds of a core on average. {_speed(study, known, rows)}".rstrip()
    )


def _speed(study: Study, known: Mapping[int, Seed], rows: Rows) -> str:
    """Say where the random networks took longer than a larger network did at the time of the runs."""
    each = sum(float(one.drawn["spent"]) for one in known.values()) / sum(
        one.drawn["networks"] for one in known.values()
    )
    alone = [row for seed in known if (row := rows.get(scratch_name(study, seed, HAND_MADE)))]
    if not alone or each <= (before := mean(float(row["cpu_seconds"]) for row in alone)):
        return ""
    return (
        f"A random network took {each:.0f} of them, where the network made by hand, the dearest within the budget, had "
        f"taken {before:.0f} to be trained when the runs were made: the machine was slower or busier since, so that "
        "the random networks are fewer than in the time of the runs itself."
    )


def on_another_processor(study: Study, problem: Problem, rows: Rows) -> Iterator[str]:
    """Tell what was expected of the random networks beside the runs of a problem, and whose time they had."""
    yield paragraph(
        f"Random networks trained alone were planned with all seeds, and are taken with {study.drawn_seeds} here, "
        f"which is described and not tested; below they are taken with all seeds of the config as it ships. {EXPECTED}"
    )
    for seed in study.seeds_of(study.drawn_seeds):
        if row_name(problem, seed, "run") in rows:
            yield from _recounted(study, problem, seed, rows)


def _recounted(study: Study, problem: Problem, seed: int, rows: Rows) -> Iterator[str]:
    """Say what less time would have brought, where a run was on another processor than the random networks."""
    run = rows[row_name(problem, seed, "run")]
    time = processor_time(study, rows)
    if time is None or "machine" in run:
        return
    told = []
    for budget, _ in named_budgets(problem):
        for form in (MANY, FEW):
            start = row_name(problem, seed, f"{form}-{budget}")
            if f"{start}/end" in rows:
                found = best_of(within(rows.under(start), time))
                told.append(
                    f"{found['networks']} {form} at the {budget} budget, of which the best has {found['pq']:.1f}"
                )
    if told:
        yield paragraph(
            f"The run of seed {seed} was on another processor than the random networks, a slower one, so that they had "
            f"more time than a run takes where they were trained. In the {time:.0f} seconds of a core that a run as it "
            f"ships takes there, they would be {', '.join(told)}. What is subtracted differs by the processor, too: "
            "sums round otherwise, and the same seed takes another course."
        )


def processor_time(study: Study, rows: Rows) -> float | None:
    """Return the mean seconds of a core of the runs of the config as it ships; None without any."""
    runs = [row for seed in seeds_of(study) if (row := rows.get(run_name(study, seed)))]
    settings = study.shipped.settings()
    return mean(seconds_of(settings, row) for row in runs) if runs else None


def within(known: Mapping[str, Mapping[str, Any]], time: float) -> dict[str, Mapping[str, Any]]:
    """Return which of some random networks are trained within a time, in the order of their places; one at least."""
    found: dict[str, Mapping[str, Any]] = {}
    for name, one in sorted((name, one) for name, one in known.items() if name != "end"):
        if found and sum(float(other[TOOK]) for other in found.values()) + one[TOOK] > time:
            break
        found[name] = one
    return found
