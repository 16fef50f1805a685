"""The page of the study of what the search is worth, from made-up rows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.search_worth import page
from benchmarks.search_worth.expectations import EXPECTED
from benchmarks.search_worth.parts import ranking, shipped, worth
from benchmarks.search_worth.rows import FOLDER, Rows
from benchmarks.search_worth.study import ELASTIC, Study
from tests.benchmarks.study_rows import made_up

STUDY = Study()


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of made-up rows, in one line."""
    folder = tmp_path_factory.mktemp("made-up")
    return " ".join(page.write(STUDY, made_up(folder / "rows"), folder / "docs").read_text().split())


def test_the_page_of_made_up_rows(tmp_path: Path) -> None:
    text = page.write(STUDY, made_up(tmp_path / "rows"), tmp_path / "docs").read_text()
    # mean 2 of eight pairs, deviation 0.926, t of 7 degrees of freedom 2.365; all have one sign, so p is 2 / 256
    assert "| middle | the hand-made network | 8 | +2.0 [+1.2, +2.8] | 0.008 |" in text
    assert "| small | the hand-made network | 8, in 8 one network | +0.0 [+0.0, +0.0] | 1.000 |" in text
    assert "is reached: at the budget middle." in text.replace("\n", " ")
    assert "0.016 (middle), 1.000 (small)" in text.replace("\n", " ")
    assert "| 0 | 0.200 | 51.0 (0.200) | 50.0 (0.200) | 49.0 (0.200) | 30.0 (0.150) | - |" in text
    # One pair is told, and not tested.
    assert "| middle | many random networks, trained alone as shortly | 1 | +21.0 | - |" in text
    assert "| uniform paths, recalibrated | 11.5 | 1.00 [1.00, 1.00] |" in text
    assert "| fair cycles, shared norms | -11.5 | -1.00 [-1.00, -1.00] |" in text
    assert "| trained alone, on nas_val | 12.5 | 1.00 [1.00, 1.00] |" in text
    assert "is reached: 1.00 [1.00, 1.00] by uniform paths, recalibrated, the best of 2." in text
    assert "Racing is 5 times cheaper at the same answer in 2 of 3 searches: the bar, 8 in 10, is open." in text
    # (3 + 5 / 20) / 4
    assert "would still measure 0.81 of these searches without racing, 1.2 times fewer" in text.replace("\n", " ")
    assert "So a rule of this kind cannot reach 5 times here." in text.replace("\n", " ")
    assert "The first 200 architectures then take 10.00 ms each on average," in text.replace("\n", " ")
    assert "and as many others after them 1.00 ms, 200 times less than a count;" in text.replace("\n", " ")
    # Of 0, 1 and 2 points: mean 1, deviation 1, t of 2 degrees of freedom 4.303; two of eight means are as far from 0,
    # and twice as many, because one difference is 0.
    assert "+1.0 [-1.5, +3.5], p 0.500, of 3 seeds." in text.replace("\n", " ")
    assert "| supernet | 104 | 100 | 107 |" in text
    assert "- `price/random`: 5 of 5" in text
    assert "- `worth/scenes/few-middle`: 1 of 1" in text
    assert "Random networks trained alone were planned with all seeds, and are taken with 1" in " ".join(text.split())
    # Of three that take 390 seconds each there is time for two, of which the second has 27 on val.
    assert "they would be 2 many at the middle budget, of which the best has 27.0." in " ".join(text.split())
    assert "`worth/scenes`:" not in text  # they are all there


def test_the_answers_in_short_are_those_of_the_rows(text: str, tmp_path: Path) -> None:
    short = text.partition("## In short")[2].partition("## Worth: ")[0]
    assert "is +2.0 [+1.2, +2.8] PQ at the middle budget (p 0.008, 8 seeds) and +0.0 [+0.0, +0.0] PQ at" in short
    # 59 and 57 by turns beside 52, and beside 53 of three draws; all tests but one have p 2 / 256, and there are five
    assert "finds +6.0 [+5.1, +6.9] PQ more than the network made by hand (p 0.008; with Holm's" in short
    assert "correction 0.039 for the 5 tests beside that network, 0.102 for all 13 with these 8 seeds)." in short
    assert "the best of 3 random draws," in short
    assert "has +1.0 [+1.0, +1.0] over the network made by hand (p 0.008), which is trained once." in short
    assert "What the search itself adds: +5.0 [+4.1, +5.9] (p 0.008)." in short
    assert "with less in its heads it is +5.1 [+4.2, +6.1], described of 7 seeds." in short
    assert "over the cost range as their own trainings do with Kendall's tau 1.00 [1.00, 1.00] at most" in short
    assert "(uniform paths, recalibrated, the best of 2), which reaches the bar of 0.8." in short
    assert "Two seeds of the trainings alone agree with tau 1.00 [1.00, 1.00] over the cost range (16" in short
    assert "trains from scratch, 180 passes each: +21.0 at the middle budget (1 seed), described and" in short
    assert "800 passes each:" not in short
    # The best have 78, 79 and 80 beside 60: mean 19, deviation 1, t of 2 degrees of freedom 4.303.
    assert "does not pay: in the time of a run one can train 5 to 6 random networks" in short
    assert "and the best of them has +19.0 [+16.5, +21.5] PQ over what the run leaves (p 0.250, 3 seeds)." in short
    assert "CamVid at 192x256, middle budget, trained further: searched has +2.0 beside the hand-made network" in short
    assert "and +0.5 beside the best random draw by the same supernet (1 seed, described and not tested)." in short
    # 0 to 11 and 60 to 71
    assert (
        "operators: paths of 6 to 6 PQ on nas_val on average, whose networks have 66 alone, rank these over the cost"
        in short
    )
    assert "with Kendall's tau 1.00 [1.00, 1.00] at most (fair cycles, recalibrated, the best of 1; 12 n" in short
    assert "took 1.7 minutes, the mean of 8, on a machine that is not known." in short  # 1 s and 100 to 107 s
    assert "Racing measures 7.3 times fewer images, with the same answer in 3 of 3 searches, where the bar" in short
    assert "path priority's answer has +1.0 [-1.5, +3.5] PQ more" in short
    assert "## In short" not in page.write(STUDY, Rows(tmp_path / "none"), tmp_path).read_text()


def test_what_the_best_paths_are_worth_alone(text: str) -> None:
    assert "One that is drawn at random has 11.5 on average, the worst of these 24 has 0.0, and the best 23.0." in text
    assert "| the dearest, without a supernet | 23.0 | 21.0 |" in text
    assert "| uniform paths, recalibrated | 23.0 | 21.0 |" in text
    assert "| fair cycles, shared norms | 0.0 | 2.0 |" in text
    assert "| GFLOPs, without any training | - | 1.00 [1.00, 1.00] |" in text
    assert "Tau over the cost range, the mean of the recipes: 1.00 recalibrated, -1.00 shared norms." in text


def test_the_category_of_luck_is_told_of(text: str) -> None:
    # 0 and 90 by turns deviate by 90 / sqrt(2)
    assert "differ most, lily: it has 0 to 90 PQ, which differs by 64 between trainings of one network." in text
    assert "Over the cost range, of 16 networks, trainings of one deviate by 0.0 PQ, and networks by 4.8" in text
    assert "Without it all of these deviate by 0.0 PQ, and networks by 7.1." in text
    assert "Over the cost range the two seeds then agree with tau 1.00 [1.00, 1.00]." in text


def test_the_remedy_is_apart_from_the_recipes(text: str) -> None:
    assert "is reached: 1.00 [1.00, 1.00] by uniform paths, recalibrated, the best of 2." in text
    assert "Their paths have -12 to 12 PQ on average, where the networks have 12 alone." in text
    assert text.count("| uniform paths, longer, recalibrated |") == 1
    # the first of sixteen is put last: 15 of 120 pairs are the other way round
    assert "| uniform paths, longer, recalibrated | 15.6 | 0.75 [" in text
    assert "With it the bar over the cost range is missed all the same: 0.75 [" in text
    assert (
        "at nearly equal cost is reached: 1.00 [1.00, 1.00] by uniform paths, longer, recalibrated, the best of 1."
        in text
    )
    assert "4 times as long paths have 16 PQ on average, where they have 12 at most by the recipes above;" in text


def test_the_family_at_the_cost_of_a_searched_network_is_described(tmp_path: Path) -> None:
    rows = Rows(tmp_path / "rows")
    assert "at its own cost" not in page.write(STUDY, rows, tmp_path).read_text()
    text = page.write(STUDY, made_up(tmp_path / "rows"), tmp_path).read_text()
    assert "| 0 | 0.080 | 55.0 | 51.0 |" in text
    # mean 3 of eight pairs, deviation 1.069, t of 7 degrees of freedom 2.365
    assert "Mean difference: +3.0 [+2.1, +3.9]." in text


def test_too_few_trainings_alone_make_no_table(tmp_path: Path) -> None:
    rows = Rows(tmp_path / "rows")
    for name in ranking.names_of(ELASTIC)[:3]:
        values = {"val": 50.0, "nas_val": 50.0, "gflops": 0.1, "settings": ELASTIC.digest}
        rows.put(ranking.alone_name(ELASTIC, 0, name), values)
    text = " ".join(page.write(STUDY, rows, tmp_path).read_text().split())
    assert "3 with seed 0, 0 with seed 1." in text
    assert "There is nothing to compare them with yet." in text
    assert "| compared |" not in text


def test_the_next_of_the_family_is_told_of_where_it_is_trained(text: str) -> None:
    # 53 beside 52, and the searched one with 59 and 57 by turns, in the seven seeds that have it: a mean of 36 / 7
    assert "It has +1.0 [+1.0, +1.0] over the dearest, of 7 seeds, and the searched network +5.1 [+4.2, +6.1]" in text
    assert "over it, in 7 of 7 seeds more." in text


def test_a_search_within_the_small_budget_is_told_and_tested(text: str, tmp_path: Path) -> None:
    rows = Rows(tmp_path / "rows")
    assert "The remedy" not in page.write(STUDY, rows, tmp_path).read_text()
    assert "9 to 16 candidates were measured to the end within the small budget." in text
    assert "which leaves 31 to 31." in text
    assert "| 0 | 57.0 (0.100) | 52.0 (0.100) | 54.0 (0.100) |" in text
    # 5 and 3 by turns: mean 4, deviation 1.069; all of one sign
    assert "Searched minus the hand-made network: +4.0 [+3.1, +4.9], p 0.008, of 8 seeds." in text
    # the smallest of three: 3 * 2 / 256
    assert "So by the number the remedy reaches the bar beside the hand-made network." in text
    assert "With Holm's correction for all 3 tests beside it so far, its p is 0.023." in text


def test_a_search_by_bayesian_optimization_is_told_and_tested(text: str) -> None:
    assert "The best path has 33.5 PQ on nas_val by NSGA-II, on average, and 31.0 among as many random draws." in text
    assert "by which the best path has 35.0." in text
    assert "Searched minus the best random draw by the same supernet: +4.0 [+3.1, +4.9], p 0.008, of 8 seeds." in text
    # both remedies have the same p, 2 / 256, so the larger of four is corrected by 3
    assert "With Holm's correction for all 4 tests beside it so far, its p is 0.031." in text
    assert "Searched by Bayesian optimization minus by NSGA-II: +2.0 [+2.0, +2.0], of 8 seeds." in text


def test_more_finalists_are_told_and_tested(text: str) -> None:
    assert "With Holm's correction for all 5 tests beside it so far, its p is 0.039." in text
    assert "With three candidates minus with one: +0.0 [+0.0, +0.0], p 1.000, of 8 seeds." in text
    assert "| 0 | 59.0 | 53.0 (0.110) |" in text
    assert "minus the best of three random draws: +5.0 [+4.1, +5.9], p 0.008, of 8 seeds." in text


def test_the_config_as_it_ships_is_told_trained_further_and_from_scratch(text: str) -> None:
    assert "| 8 | 60.0 (0.100) | 58.0 (0.100) | 59.0 (0.100) | 78.0 (0.100) | 80.0 (0.100) | 78.0 (0.100) |" in text
    # Three of one sign: 2 / 2^3. From scratch -2, -1 and 0, whose mean 1 t's 2 degrees of freedom let deviate by 2.5.
    assert "| the network made by hand | trained further | 3 | +2.0 [+2.0, +2.0] | 0.250 |" in text
    assert (
        "| the network made by hand | trained from scratch | 3, in 1 one network | -1.0 [-3.5, +1.5] | 0.500 |" in text
    )
    assert "| trained from scratch | 3, in 3 one network | +0.0 [+0.0, +0.0] | 1.000 |" in text
    assert "from scratch, the searched network is not shown to be better than the one made by hand. With" in text
    assert "correction for the 2 forms its p is 0.500." in text
    # From scratch 78, 79 and 80 by two of them and 80 by the third; 400 seconds of 2 cores beside 160 of one.
    assert "These networks have 79.3 PQ on average trained from scratch, and 59.0 trained further, for 180" in text
    assert "takes 160 seconds of a core from scratch, and a whole run as long as 5.0 of these trainings." in text
    short = text.partition("## In short")[2].partition("## Worth: ")[0]
    assert (
        "trained from scratch, one training each, which is the test, searched minus hand-made is -1.0 [-3.5, +1.5]"
        in (short)
    )
    assert "and 79.3 after 800 passes from scratch: at this size a run's networks lack training before they" in short


def test_what_bounds_racing_and_its_remedy_are_told(text: str) -> None:
    # A front of equal costs from the worst to the best: all belong there, and only those that have three better before
    # them in a random order do not.
    rules = re.findall(r"\| ([a-z][^|]*) \| ([\d.]+) \| [\d.]+ \| 100% \| 0.00 \|", text)
    front, knowing_front, one, knowing_one, halved = (float(measured) for _, measured in rules)
    assert [title.split(",")[0] for title, _ in rules] == [
        "racing for a front", "the same by a rule that knows all", "racing for one answer",
        "one answer by a rule that knows all", "successive halving",
    ]  # fmt: skip
    assert knowing_front <= front
    assert knowing_one <= one < front
    # 40 + 20 + 2 * 10 + 4 * 5 + 8 * 3 + 4 * 2 of 800 chunks
    assert halved == round(132 / 800, 2)
    assert "measures 6.1 times fewer images, and has the best candidate in 100% of the draws [100, 100]," in text
    assert "It reaches the bar." in text
    assert "So it makes random search cheaper, and no search for a front." in text
    assert "with the same answer in 3 of 3 searches, where the bar is 5 times in 8 of 10." in text
    # 40 candidates are taken up 80 times: (0.2 + 2) / (0.2 * 80 / 40 + 0.165 * 2)
    assert "and successive halving 3.0 times." in text
    assert (
        "of all 40 candidates it measures as many images as 7 take to the end, and takes as many seconds as 13;" in text
    )
    assert "Successive halving of random candidates, replayed, measures 6.1 times fewer images, with" in text


def test_the_page_without_rows_says_what_was_expected(tmp_path: Path) -> None:
    text = page.write(STUDY, Rows(tmp_path / "rows"), tmp_path).read_text()
    assert text.count("No row is there yet.") == len(EXPECTED) + 1  # of worth two parts have expectations of their own
    for expected in (one for part in EXPECTED.values() for one in part):
        assert re.sub(r"\s+", " ", expected) in re.sub(r"\s+", " ", text)


def test_the_page_is_that_of_the_rows(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    written = page.write(STUDY, Rows(root / FOLDER), tmp_path).read_text()
    assert (root / "docs" / page.PAGE).read_text() == written


def test_rows_of_other_settings_are_no_part_of_the_page(tmp_path: Path) -> None:
    rows = made_up(tmp_path / "rows")
    name = ranking.alone_name(ELASTIC, 0, ranking.names_of(ELASTIC)[0])
    rows.put(name, {**rows[name], "settings": "others"})
    with pytest.raises(ValueError, match="is of other settings"):
        page.write(STUDY, rows, tmp_path)


def test_adopted_runs_whose_machine_is_not_known_are_part_of_the_page(tmp_path: Path) -> None:
    rows = made_up(tmp_path / "rows")
    for seed in (8, 9, 10):
        name = shipped.run_name(STUDY, seed)
        rows.put(name, {key: value for key, value in rows[name].items() if key != "machine"})
    text = " ".join(page.write(STUDY, rows, tmp_path).read_text().split())
    assert "takes 160 seconds of a core from scratch. So at this size" in text
    assert "3 runs of the main job as the config ships, on a machine that is not known;" in text


def test_random_networks_that_took_longer_than_a_larger_one_did_are_told_of(tmp_path: Path, text: str) -> None:
    assert "when the runs were made" not in text  # 780 seconds by five or six, beside 160
    rows = made_up(tmp_path / "rows")
    for seed in (8, 9, 10):
        name = worth.row_name(STUDY.shipped, seed, "few/end")
        rows.put(name, {**rows[name], "networks": 3})
    slower = " ".join(page.write(STUDY, rows, tmp_path).read_text().split())
    assert "A random network took 260 of them, where the network made by hand, the dearest" in slower
