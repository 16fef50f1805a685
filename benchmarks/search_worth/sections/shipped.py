"""What the config as it ships finds, with seeds that had no part in how it came to be."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import mean

from autopanoptic.panoptic.results.fronts import HAND_MADE, RANDOM, SEARCHED
from benchmarks.search_worth.parts.shipped import COMPARED, FIRST_SEED, run_name, scratch_name, seeds_of
from benchmarks.search_worth.rows import Rows
from benchmarks.search_worth.sections.text import NONE, effect, p_of, paragraph, table
from benchmarks.search_worth.sections.text import seeds_of as seeds_in_words
from benchmarks.search_worth.statistics import TESTED, Paired, holm, paired
from benchmarks.search_worth.study import Study

FURTHER, ALONE = "trained further", "trained from scratch"
OPPONENTS = {HAND_MADE: "the network made by hand", RANDOM: "the best random draw by the same supernet"}
EXPECTED = (
    "Expected before the first of these rows, when all of seeds 0 to 7 above and of the ranking below were there. "
    "Trained further, searched minus hand-made is above 0, but less than with the seeds that had a part in the "
    "remedies, +2 to +3; it is the best of up to four trainings, where the others have one, so that it would be above "
    "0 if architectures did not matter. So the test is that of the networks trained from scratch, of which each has "
    "one training. There +0.5 is expected, which 8 seeds do not show: of the 8 networks of nearly equal cost in the "
    "ranking the one made by hand is the third best, 2.1 above the mean of the others, and paths do not rank them. So "
    "the random draw is a point or two below the network made by hand there."
)
Known = dict[int, dict[str, tuple[float, float]]]
"""PQ on val and GFLOPs of each network, by its name, for each seed that has all of them."""


def section(study: Study, rows: Rows) -> Iterator[str]:
    """Yield the section's parts."""
    yield "### The config as it ships, with other seeds\n"
    yield paragraph(
        f"The seeds from {FIRST_SEED} on had no part in the remedies. Each is a whole run of the config as it ships, "
        "within the cost of the network made by hand. Its networks are trained further from the supernet's weights, "
        "as above, and each architecture once from scratch besides, with the seed of the run, for "
        f"{study.shipped.alone_passes} passes."
    )
    yield paragraph(EXPECTED)
    known = known_of(study, rows)
    if not known[FURTHER]:
        yield paragraph("No row is there yet.")
        return
    yield paragraph("PQ on val (GFLOPs):")
    names = [f"{name}, {form.removeprefix('trained ')}" for form in known for name in COMPARED]
    yield table(["seed", *names], _seeds(known))
    found = differences(known)
    yield table(["searched minus", "form", "seeds", "difference", "p"], _effects(found))
    yield from _verdict(found)
    yield from _forms(study, rows, known)


def forms_of(known: dict[str, Known]) -> dict[str, float] | None:
    """Return the mean PQ of the networks in each form, over the seeds that have both, or None without any."""
    both = [seed for seed in known[FURTHER] if seed in known[ALONE]]
    if not both:
        return None
    return {form: mean(found[seed][name][0] for seed in both for name in COMPARED) for form, found in known.items()}


def known_of(study: Study, rows: Rows) -> dict[str, Known]:
    """Return what has been trained in either form."""
    found: dict[str, Known] = {FURTHER: {}, ALONE: {}}
    for seed in seeds_of(study):
        run = rows.get(run_name(study, seed))
        if run is not None:
            found[FURTHER][seed] = {
                name: (run["networks"][name]["pq"], run["networks"][name]["gflops"]) for name in COMPARED
            }
        alone = {name: rows.get(scratch_name(study, seed, name)) for name in COMPARED}
        whole = {name: (row["val"], row["gflops"]) for name, row in alone.items() if row is not None}
        if len(whole) == len(COMPARED):
            found[ALONE][seed] = whole
    return found


def differences(known: dict[str, Known]) -> dict[tuple[str, str], Paired]:
    """Return the searched network's PQ on val minus each opponent's, by the form of training and the opponent."""
    return {
        (form, name): paired([networks[SEARCHED][0] - networks[name][0] for networks in found.values()])
        for form, found in known.items()
        if found
        for name in OPPONENTS
    }


def conclusion(forms: dict[str, float]) -> str:
    """Return what the two forms' mean PQ say of the passes of a run."""
    if forms[ALONE] > forms[FURTHER]:
        return "at this size a run's networks lack training before they lack a better architecture"
    return "a run's networks have been trained enough"


def _seeds(known: dict[str, Known]) -> Iterator[list[str]]:
    for seed in known[FURTHER]:
        cells = []
        for found in known.values():
            networks = found.get(seed, {})
            cells += [f"{networks[n][0]:.1f} ({networks[n][1]:.3f})" if n in networks else NONE for n in COMPARED]
        yield [str(seed), *cells]


def _effects(found: dict[tuple[str, str], Paired]) -> Iterator[list[str]]:
    for (form, name), one in found.items():
        yield [OPPONENTS[name], form, seeds_in_words(one), effect(one), p_of(one) if one.pairs >= TESTED else NONE]


def _verdict(found: dict[tuple[str, str], Paired]) -> Iterator[str]:
    tests = {form: found.get((form, HAND_MADE)) for form in (ALONE, FURTHER)}
    known = {form: one for form, one in tests.items() if one is not None and one.pairs >= TESTED}
    if ALONE not in known:
        return
    one = known[ALONE]
    better = "is better than" if one.value > 0 and one.p < 0.05 else "is not shown to be better than"
    adjusted = holm([test.p for test in known.values()])[0]
    yield paragraph(
        f"So by the test, from scratch, the searched network {better} the one made by hand. With Holm's correction for "
        f"the {len(known)} forms its p is {adjusted:.3f}."
    )


def _forms(study: Study, rows: Rows, known: dict[str, Known]) -> Iterator[str]:
    forms = forms_of(known)
    if forms is None:
        return
    # Two were trained at once, so that seconds of a core compare with a run's, which keeps all of them busy.
    one = mean(rows[scratch_name(study, seed, HAND_MADE)]["cpu_seconds"] for seed in known[ALONE])
    runs = [
        row for seed in known[ALONE] if "machine" in (row := rows[run_name(study, seed)])
    ]  # an adopted one has none
    times = [row["seconds"] * row["machine"]["cores"] / one for row in runs]
    whole = f", and a whole run as long as {mean(times):.1f} of these trainings" if times else ""
    yield paragraph(
        f"These networks have {forms[ALONE]:.1f} PQ on average {ALONE}, and {forms[FURTHER]:.1f} {FURTHER}, for "
        f"{study.shipped.settings().retrain.passes} passes from the supernet's weights. The network made by hand takes "
        f"{one:.0f} seconds of a core from scratch{whole}. So {conclusion(forms)}."
    )
