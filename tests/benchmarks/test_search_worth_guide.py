"""What the guide and the README say of the main job's searches is what the study's rows have."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean
from typing import Any

from autopanoptic.panoptic.results.fronts import HAND_MADE, RANDOM
from benchmarks.search_worth.parts import as_many, own, ranking, worth
from benchmarks.search_worth.rows import FOLDER, Rows
from benchmarks.search_worth.sections import drawn, racing, shipped
from benchmarks.search_worth.sections import worth as worth_section
from benchmarks.search_worth.sections.ranked import (
    best_taus,
    compared,
    gflops_of,
    groups_of,
    paths_of,
    trained_alone,
    truth_of,
)
from benchmarks.search_worth.sections.text import interval
from benchmarks.search_worth.sections.worth import differences
from benchmarks.search_worth.statistics import Paired, holm, paired
from benchmarks.search_worth.study import ELASTIC, MIDDLE, OPERATORS, SMALL, Study, camvid

STUDY = Study()
WORDS = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight")


def rows_of(last: str) -> list[dict[str, Any]]:
    rows = Rows(Path(__file__).resolve().parents[2] / FOLDER)
    return [rows[worth.row_name(ELASTIC, seed, last)] for seed in range(8)]


def minus(one: list[dict[str, Any]], name: str) -> Paired:
    return paired([row["networks"]["searched"]["pq"] - row["networks"][name]["pq"] for row in one])


def share_of_budget(found: list[dict[str, Any]]) -> float:
    return sum(row["networks"]["searched"]["gflops"] / row["budget"] for row in found) / 8


def tau_of(one: dict[str, float], other: dict[str, float], among: list[str]) -> str:
    found = compared(one, other, among)
    assert found is not None
    return interval(found["tau"])


def read(name: str) -> str:
    return " ".join((Path(__file__).resolve().parents[2] / name).read_text().split())


def test_the_table_of_the_guide_is_that_of_the_rows() -> None:
    guide = read("docs/guide/panoptic.md")
    for row in rows_of(own.FINALISTS):
        networks = " | ".join(
            "{pq:.1f} ({gflops:.3f})".format(**row["networks"][name]) for name in ("searched", "random", "hand-made")
        )
        pairs = " | ".join(
            "{value:+.1f} [{low:.1f}, {high:.1f}]".format(**row["differences"][name])
            for name in ("random", "hand-made")
        )
        front = f"{row['front_higher']['hand-made']} ({row['front_above']['hand-made']}) of {row['budgets']}"
        assert f"| {row['seed']} | {networks} | {pairs} | {front} |" in guide


def test_the_guide_and_the_readme_say_of_the_answers_what_the_rows_do() -> None:
    found, drawn = rows_of(own.FINALISTS), rows_of(as_many.AS_MANY)
    guide, readme = read("docs/guide/panoptic.md"), read("README.md")
    by_hand, random, effect = minus(found, "hand-made"), minus(found, "random"), worth_section.effect
    for row in found:  # "in all eight seeds", of both
        assert row["networks"]["searched"]["pq"] > max(row["networks"][name]["pq"] for name in ("random", "hand-made"))
        assert row["front_above"]["hand-made"] == 2
    beyond = {name: sum(row["differences"][name]["low"] > 0 for row in found) for name in ("hand-made", "random")}
    assert f"better than the network made by hand, in {WORDS[beyond['hand-made']]} beyond the images" in guide
    assert f"better in all eight, beyond the images in {WORDS[beyond['random']]}." in guide
    share = share_of_budget(found)
    assert f"costs {share:.2f} of it on average: {effect(by_hand).replace(' [', ' PQ [')}" in guide
    assert f"p {by_hand.p:.3f} by the exact permutation test" in guide
    assert f"by the same supernet it is {effect(random)} (p {random.p:.3f})" in guide
    assert by_hand.half is not None
    low, high = by_hand.value - by_hand.half, by_hand.value + by_hand.half
    assert f"by {by_hand.value:.1f} PQ on average (95% from {low:.1f} to {high:.1f})" in readme
    assert f"at {share:.2f} of its cost" in readme
    as_often = paired([row["difference"] for row in drawn])
    better = sum(row["difference"] > 0 for row in drawn)
    cost = sum(row["gflops"] / other["budget"] for row, other in zip(drawn, found, strict=True)) / 8
    assert f"is {effect(as_often)} above the best (p {as_often.p:.3f}), which costs {cost:.2f} of the budget" in guide
    assert f"and better in {WORDS[better]} of eight" in guide
    interval = effect(as_often).replace(" [", " PQ [")
    assert f"the best of three random draws by the same supernet that are trained as often by {interval[1:]}" in readme


def test_the_guide_and_the_readme_do_not_keep_the_next_of_the_family_back() -> None:
    found = worth_section.beside_the_next(STUDY, ELASTIC, Rows(Path(__file__).resolve().parents[2] / FOLDER))
    guide, readme, effect = read("docs/guide/panoptic.md"), read("README.md"), worth_section.effect
    more = paired([following - by_hand for by_hand, following, _ in found])
    left = paired([searched - following for _, following, searched in found])
    better = WORDS[sum(searched > following for _, following, searched in found)]
    assert f"in {WORDS[len(found)]} of these seeds and has {effect(more)} over it." in guide
    assert f"has {effect(left)} over that one, more in {better} of {WORDS[len(found)]}." in guide
    assert f"trained in {WORDS[len(found)]} of the eight, by {effect(left)[1:].replace(' [', ' PQ [')}" in readme


def test_the_guide_and_the_readme_say_of_the_config_as_it_ships_what_the_rows_do() -> None:
    rows, guide, readme = (
        Rows(Path(__file__).resolve().parents[2] / FOLDER),
        read("docs/guide/panoptic.md"),
        read("README.md"),
    )
    known, effect = shipped.known_of(STUDY, rows), worth_section.effect
    further, alone = (
        [shipped.differences(known)[form, name] for name in (HAND_MADE, RANDOM)]
        for form in (shipped.FURTHER, shipped.ALONE)
    )
    assert {one.pairs for one in (*further, *alone)} == {8}
    by_hand, random = further
    assert f"searched network has {effect(by_hand)} over the one made by hand (p {by_hand.p:.3f}) and" in guide
    assert f"and {effect(random)} over the random draw (p {random.p:.3f}), again" in guide
    assert f"it is {effect(by_hand).replace(' [', ' PQ [')} over the network made by hand. [What" in readme
    by_hand, random = alone
    assert f"lie closer: {effect(by_hand)} over the one made by hand (p {by_hand.p:.3f})," in guide
    assert f"{effect(random)} over the random draw (p {random.p:.3f}). So eight" in guide
    assert f"what was searched has {effect(by_hand).replace(' [', ' PQ [')} over the network made by hand," in readme
    forms = shipped.forms_of(known)
    assert forms is not None
    assert f"these have {forms[shipped.FURTHER]:.1f} PQ on average as a run leaves them, 180 passes" in guide
    assert f"weights, and {forms[shipped.ALONE]:.1f} from scratch, which" in guide
    assert (
        f"have {forms[shipped.FURTHER]:.1f} PQ where a run leaves them, and {forms[shipped.ALONE]:.1f} from" in readme
    )
    took = mean(
        rows[f"worth/shipped/seed-{seed}/from-scratch/hand-made"]["cpu_seconds"] for seed in known[shipped.ALONE]
    )
    assert f"takes {took:.0f} seconds of a core for the network made by hand" in guide


def test_the_guide_and_the_readme_say_of_networks_from_scratch_in_a_runs_time_what_the_rows_do() -> None:
    rows, guide = Rows(Path(__file__).resolve().parents[2] / FOLDER), read("docs/guide/panoptic.md")
    known, readme = drawn.known_of(STUDY, rows), read("README.md")
    assert len(known) == 8
    counts = sorted(one.drawn["networks"] for one in known.values())
    assert f"In the time of a whole run {counts[0]} to {counts[-1]} random networks within its budget" in guide
    found = drawn.differences(known)
    left, best = found[drawn.LEFT], mean(one.drawn["pq"] for one in known.values())
    assert left.half is not None
    more, low, high = -left.value, -left.value - left.half, -left.value + left.half
    assert f"has {best:.1f} PQ on average, {more:+.1f} [{low:+.1f}, {high:+.1f}] over what the search" in guide
    assert f"of that time left (p {left.p:.3f}, eight seeds," in guide
    assert f"after its run, has {worth_section.effect(found[drawn.ALONE])} to it." in guide
    told = f"the {counts[0]} to {counts[-1]} random networks that a run's time trains from scratch has {more:.1f} PQ"
    assert f"{told} more than what that run left (95% from {low:.1f} to {high:.1f}, eight seeds)" in readme


def test_the_guide_says_of_road_scenes_what_the_rows_do() -> None:
    rows, guide = Rows(Path(__file__).resolve().parents[2] / FOLDER), read("docs/guide/panoptic.md")
    first, second = (rows[worth.row_name(camvid(Path()), seed, "run")] for seed in (0, 1))
    for row in (first, second):
        networks = {name: (one["pq"], one["gflops"]) for name, one in row["networks"].items()}
        (pq, cost), (random, its), (by_hand, most) = (networks[name] for name in ("searched", RANDOM, HAND_MADE))
        assert f"seed {row['seed']} searched {pq:.1f} ({cost:.3f} GFLOPs), random {random:.1f} ({its:.3f})," in guide
        assert f"random {random:.1f} ({its:.3f}), hand-made {by_hand:.1f} ({most:.3f})" in guide
    assert second["networks"]["searched"]["architecture"] == second["networks"][HAND_MADE]["architecture"]
    over, beside = (
        "{value:+.1f} [{low:.1f}, {high:.1f}]".format(**first["differences"][name]) for name in (HAND_MADE, RANDOM)
    )
    share = first["networks"]["searched"]["gflops"] / first["networks"][HAND_MADE]["gflops"]
    assert f"{over} over the one made by hand, at {share:.2f} of its cost, and {beside} beside" in guide


def test_the_guide_says_of_what_makes_the_difference_what_the_rows_do() -> None:
    found, short, nsga2 = rows_of(own.FINALISTS), rows_of(own.BAYESIAN), rows_of(own.OWN)
    guide, effect = read("docs/guide/panoptic.md"), worth_section.effect
    counts = [row["candidates"]["whole"] for row in found]
    assert f"only {min(counts)} to {max(counts)} of the 40 candidates" in guide
    rows = Rows(Path(__file__).resolve().parents[2] / FOLDER)
    whole = {budget: paired(list(of["hand-made"].values())) for budget, of in differences(STUDY, ELASTIC, rows).items()}
    assert f"has {effect(whole[SMALL])} over the hand-made network" in guide
    assert f"at twice the budget {effect(whole[MIDDLE])}." in guide
    tests = [whole[MIDDLE], whole[SMALL], *(minus(of, "hand-made") for of in (nsga2, short, found))]
    assert f"{holm([test.p for test in tests])[-1]:.3f} with Holm's correction" in guide

    def over(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> Paired:
        pq = ([row["networks"]["searched"]["pq"] for row in of] for of in (one, other))
        return paired([a - b for a, b in zip(*pq, strict=True)])

    more, than_nsga2 = over(found, short), over(found, nsga2)
    assert f"for their time have {effect(more)} over that one (p {more.p:.3f})" in guide
    assert f"{effect(than_nsga2)} over the one that was so chosen of NSGA-II's search (p {than_nsga2.p:.3f})" in guide
    assert f"({effect(over(short, nsga2))} over NSGA-II's, which had {effect(minus(nsga2, 'hand-made'))} over" in guide
    assert f"the hand-made network at {share_of_budget(nsga2):.2f} of its cost)" in guide
    paths = [sum(row["paths"][name] for row in of) / 8 for of, name in ((nsga2, "searched"), (found, "random"))]
    assert f"has {paths[0]:.1f} PQ on `nas_val` on average, no more than the {paths[1]:.1f} of the best" in guide
    assert f"it has {sum(row['paths']['searched'] for row in found) / 8:.1f}, and the front" in guide
    assert sum(row["front_higher"]["hand-made"] >= 2 for row in nsga2) == 4  # "half of the seeds"


def test_the_guide_says_of_a_whole_run_what_was_kept_of_it() -> None:
    root = Path(__file__).resolve().parents[2]
    found, again, elsewhere = json.loads((root / "benchmarks/results/main_job/whole.json").read_text())
    networks = found["networks"]
    guide = read("docs/guide/panoptic.md")
    assert "found {pq:.1f} PQ at {gflops:.3f} GFLOPs".format(**networks["searched"]) in guide
    assert f"beside {networks['random']['pq']:.1f} of the random draw and {networks['hand-made']['pq']:.1f} of" in guide
    assert "{value:+.1f} [{low:.1f}, {high:.1f}];".format(**found["differences"]["hand-made"]) in guide
    assert f"it took {found['seconds']} s, and once more, bit for bit the same, {again['seconds']} s" in guide
    assert found | {"seconds": again["seconds"]} == again
    apart = networks["hand-made"]["pq"] - elsewhere["networks"]["hand-made"]["pq"]
    assert f"The network made by hand differs by {apart:.1f} PQ between the two" in guide
    networks = elsewhere["networks"]
    assert "another course: {pq:.1f} PQ at {gflops:.3f} GFLOPs".format(**networks["searched"]) in guide
    assert f"{networks['random']['pq']:.1f} of the random draw and {networks['hand-made']['pq']:.1f} of the" in guide
    assert "{value:+.1f} [{low:.1f}, {high:.1f}], in".format(**elsewhere["differences"]["hand-made"]) in guide
    assert f"in {elsewhere['seconds']} s (`benchmarks" in guide


def test_the_guide_says_of_published_designs_what_was_kept() -> None:
    root = Path(__file__).resolve().parents[2]
    (found,) = json.loads((root / "benchmarks/results/main_job/published-seed-0.json").read_text())
    networks, guide = found["networks"], read("docs/guide/components.md")
    assert f"published-seed-0.json`): {found['seconds']} s. The front" in guide
    front = json.loads((root / "benchmarks/results/main_job/published-front.json").read_text())["series"]["searched"]
    own, mixed = (
        [one["cost"] for one in front if one["architecture"]["semantic_head"] == head]
        for head in ("searched", "upsnet")
    )
    assert len(own) + len(mixed) == len(front)
    assert f"components ({own[0]:.2f} and {own[1]:.2f} GFLOPs)" in guide
    assert f"heuristic merge ({min(mixed):.2f} to {max(mixed):.3f})" in guide
    above = found["front_above"]["hand-made"]
    assert f"above the hand-made family's at {above} of {found['budgets']} budgets" in guide
    assert "it has {pq:.1f} PQ ({gflops:.3f} GFLOPs), the hand-made".format(**networks["searched"]) in guide
    assert "Auto-Panoptic {pq:.1f} ({gflops:.3f}), the best".format(**networks["hand-made"]) in guide
    assert "random draw {pq:.1f} ({gflops:.3f}): searched".format(**networks["random"]) in guide
    assert "hand-made {value:+.1f} [{low:.1f}, {high:.1f}].".format(**found["differences"]["hand-made"]) in guide


def test_the_guide_says_of_one_cost_what_the_results_do() -> None:
    root = Path(__file__).resolve().parents[2]
    found = json.loads((root / "benchmarks" / "results" / "equal_cost" / "seed-7.json").read_text())
    others = found["others"]
    guide = " ".join((root / "docs" / "guide" / "panoptic.md").read_text().split())
    assert f"it had {found['hand_made']:.1f}, eleven others {others['mean']:.1f} on average" in guide
    assert f"a deviation of {others['deviation']:.1f}, and the best {others['best']:.1f}." in guide
    short = found["tau_short"]
    assert f"tau {found['tau_path']:.2f}, trainings of 60 passes with {short['60']:.2f}" in guide
    assert (
        f"not at all ({short['20']:.2f}), and `nas_val` after whole trainings with {found['tau_nas_val']:.2f}" in guide
    )
    assert len(found["rows"]) == 12


def test_the_guide_says_of_a_gpu_what_was_logged_there() -> None:
    root = Path(__file__).resolve().parents[2]
    found = json.loads((root / "benchmarks" / "results" / "gpu" / "scenes-supernet.json").read_text())
    guide = " ".join((root / "docs" / "guide" / "panoptic.md").read_text().split())
    runs = found["gpu"]["runs"]
    alone, *many = ([one[part] for part in ("largest", "random") if part in one] for one in runs)
    every = [rate for one in many for rate in one]
    assert len(many) == 8
    assert f"took {min(alone):.0f} to {max(alone):.0f} images/s on an H200" in guide
    assert f"({found['cpu']['largest']:.0f} to {found['cpu']['random']:.0f}), and eight at once" in guide
    assert f"with 16 cores, {min(every):.0f} to {max(every):.0f} each" in guide


def test_the_guide_says_of_the_order_of_paths_what_the_rows_do() -> None:
    rows, guide = Rows(Path(__file__).resolve().parents[2] / FOLDER), read("docs/guide/panoptic.md")
    taus = [interval(tau) for _, tau in best_taus(ELASTIC, rows, ELASTIC.recipes).values()]
    assert f"has a tau of {taus[0]} over the cost range and {taus[1]} at nearly equal cost." in guide
    alone, groups = trained_alone(ELASTIC, rows), groups_of(ELASTIC).values()
    over, near = (tau_of(*alone, names) for names in groups)
    assert f"two seeds of them agree with tau {over}." in guide
    (_, equal), cost = groups, gflops_of(ELASTIC, rows)
    assert f"agree better, with tau {near} ({len(equal)} networks)" in guide
    assert f"rank them better, with tau {tau_of(cost, truth_of(alone), equal)}, than any path does." in guide
    spread = max(cost[name] for name in equal) / min(cost[name] for name in equal)
    assert f"there the {100 * (spread - 1):.0f}% that these networks differ in GFLOPs at most rank them better" in guide
    longer, uniform = (
        mean(rows[ranking.paths_name(ELASTIC, name, "recalibrated")]["pq"].values()) for name in ("longer", "uniform")
    )
    assert f"they have {longer:.0f} PQ on `nas_val` on average instead of {uniform:.0f};" in guide
    taus = [interval(tau) for _, tau in best_taus(ELASTIC, rows, ELASTIC.remedies).values()]
    assert f"no better order shows, with a tau of {taus[0]} and {taus[1]}." in guide
    settings = ELASTIC.settings()
    passes = ranking.recipe_of("longer", settings).changes
    for name in ("supernet.passes", "largest.passes"):
        assert f"--set {name}={passes[name]}" in guide


def test_the_guide_says_of_the_order_of_published_operators_what_the_rows_do() -> None:
    rows, guide = Rows(Path(__file__).resolve().parents[2] / FOLDER), read("docs/guide/panoptic.md")
    alone = truth_of(trained_alone(OPERATORS, rows))
    paths = [mean(pq.values()) for pq in paths_of(OPERATORS, rows, OPERATORS.recipes).values()]
    ((_, tau),) = best_taus(OPERATORS, rows, OPERATORS.recipes).values()
    assert f"{len(alone)} networks have {mean(alone.values()):.0f} PQ on average alone," in guide
    assert f"their paths {min(paths):.0f} to {max(paths):.0f}, and tau is {interval(tau)} at most." in guide
    seeds = trained_alone(OPERATORS, rows)
    both = compared(*seeds, list(alone))
    assert both is not None
    assert f"two seeds of these trainings agree with tau {interval(both['tau'])}." in guide


def test_the_guides_say_of_racing_what_the_rows_do() -> None:
    races = racing.races(STUDY, Rows(Path(__file__).resolve().parents[2] / FOLDER))
    assert len(races) == STUDY.racing_seeds == 10
    saved, _ = racing.saved_by(races)
    assert f"it saves {100 * saved:.0f}% of the images there" in read("docs/guide/panoptic.md")
    assert f"In ten searches of a panoptic supernet by NSGA-II it saved {100 * saved:.0f}%" in read(
        "docs/guide/stopping.md"
    )
