from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from autopanoptic.panoptic.configs.config import load_config
from autopanoptic.panoptic.data.scenes.kinds import CATEGORIES
from autopanoptic.panoptic.search.costs import costs_of
from benchmarks.operators import categories, cli, report, results, statistics, training
from benchmarks.operators.counts import pq, pq_of, resampled
from benchmarks.operators.networks import HAND_MADE, NETWORKS, WIDTHS
from benchmarks.operators.runner import TrainingError, run_all
from benchmarks.operators.statistics import Measured, at_equal_cost, differences, draws_of, measured
from benchmarks.operators.table import differing, header, rows
from benchmarks.operators.training import Plan

IMAGES, CLASSES = 40, 3
BASE = Plan(Path()).settings.network_for(4, 3)


def counts(rng: np.random.Generator, skill: float) -> NDArray[np.float32]:
    """Counts of a network that finds each of one segment of every category and image with some probability."""
    found = rng.random((IMAGES, CLASSES)) < skill
    zero = np.zeros_like(found)
    return np.stack([0.8 * found, found, zero, ~found], axis=-1).astype(np.float32)


def test_pq_of_summed_counts() -> None:
    assert pq(np.array([[1.6, 2, 1, 1], [0, 0, 0, 0], [0, 0, 0, 3]])) == pytest.approx(100 * (1.6 / 3 + 0) / 2)


def test_resampling_all_images_once_changes_nothing() -> None:
    one = counts(np.random.default_rng(0), 0.7)
    draws = np.stack([np.ones(IMAGES, np.int64), np.eye(IMAGES, dtype=np.int64)[3] * IMAGES])
    np.testing.assert_allclose(resampled(one, draws), [pq_of(one), pq(one[3])])


def test_images_that_all_find_hard_do_not_count_in_a_paired_difference() -> None:
    rng = np.random.default_rng(0)
    hard = counts(rng, 0.5)
    draws = draws_of(IMAGES)
    networks = {HAND_MADE: measured(1, [hard, hard], draws), "same": measured(2, [hard, hard], draws)}
    found = differences(networks)["same"]
    assert (found.value, found.images, found.seeds, found.error) == (0, 0, 0, 0)
    assert not found.differs


def test_the_bootstrap_has_the_spread_of_new_images() -> None:
    rng = np.random.default_rng(0)
    draws = draws_of(IMAGES)
    values, errors = [], []
    for _ in range(60):
        pair = {HAND_MADE: measured(1, [counts(rng, 0.5)], draws), "good": measured(1, [counts(rng, 0.8)], draws)}
        estimate = differences(pair)["good"]
        values.append(estimate.value)
        errors.append(estimate.images)
        assert estimate.seeds is None
        assert estimate.error is None
        assert not estimate.differs
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.3)
    assert np.mean(values) == pytest.approx(80 * (2 * 0.8 / 1.8 - 2 * 0.5 / 1.5), rel=0.1)


def known(*values: float, gflops: float = 1) -> Measured:
    """A network of so many seeds whose draws are all alike."""
    return Measured(gflops, np.repeat(np.array(values, float)[:, None], 4, axis=1))


def test_the_seeds_error_pools_the_networks() -> None:
    networks = {HAND_MADE: known(50, 52), "a": known(53, 55), "b": known(60, 66)}
    found = differences(networks)
    # Differences 3, 3 and 10, 14: variances 0 and 8, on average 4, of the mean of two 2.
    assert found["a"].value == 3
    assert found["b"].value == 12
    assert found["a"].seeds == found["b"].seeds == pytest.approx(np.sqrt(2))
    assert found["a"].differs
    networks["a"] = known(52, 54)
    assert not differences(networks)["a"].differs


def test_equal_cost_is_on_the_line_through_the_widths() -> None:
    curve = {"narrow": known(40, 42, gflops=1), HAND_MADE: known(50, 52, gflops=2), "wide": known(56, 60, gflops=8)}
    others = {
        "on": known(46, 48, gflops=2**0.6),
        "between": known(53, 56, gflops=4),
        "beyond": known(63, 68, gflops=32),
        "below": known(20, 22, gflops=0.5),
    }
    found = at_equal_cost({**curve, **others})
    assert set(found) == set(others)
    assert [found[name].value for name in others] == pytest.approx([0, 0, 0.5, -10])
    assert at_equal_cost({HAND_MADE: curve[HAND_MADE], **others}) == {}


def test_networks_differ_in_what_they_say() -> None:
    configs = {name: network.config(BASE) for name, network in NETWORKS.items()}
    chosen = {name: NETWORKS[name].architecture(config) for name, config in configs.items()}
    assert len({(json.dumps(configs[name].to_json()), architecture.id) for name, architecture in chosen.items()}) == (
        len(NETWORKS)
    )
    plain = chosen[HAND_MADE]
    assert {v for k, v in chosen["shuffle7"].items() if k.startswith("backbone")} == {"shuffle7"}
    assert {v for k, v in chosen["at5"].items() if k.startswith(("mask", "segm"))} == {"at5"}
    changed = {k for k, v in chosen["r16"].items() if v != plain[k]}
    assert changed == {k for k in plain if k.startswith(("f2b", "b2f"))}
    assert configs["deep"].stage_depths == (2, 4, 4, 2)


def test_the_width_curve_is_sorted_by_cost() -> None:
    costs = []
    for name in WIDTHS:
        config = NETWORKS[name].config(BASE)
        costs.append(costs_of(config, 96, 96)["gflops"](NETWORKS[name].architecture(config)))
    assert costs == sorted(costs)
    assert costs[2] / costs[0] > 3


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """A plan whose trainings are made up: wide and deep are better."""
    plan = Plan(tmp_path / "runs", 800)
    skills = {HAND_MADE: 0.6, "narrow": 0.4, "wide": 0.8, "deep": 0.85, "r8": 0.6}
    for number, (name, skill) in enumerate(skills.items()):
        for seed in range(2):
            folder = plan.folder_of(name, seed)
            folder.mkdir(parents=True)
            for read in plan.reads:
                one = counts(np.random.default_rng([seed, read]), skill)
                np.savez(folder / f"read-{read}.npz", counts=one)
            entry = {"gflops": 1 + number, "mparams": 1.0, "scenes_version": 4}
            entry["pq"] = {str(read): pq_of(plan.counts(name, seed, read)) for read in plan.reads}
            (folder / training.RESULT).write_text(json.dumps(entry))
    return plan


def test_the_results_say_what_was_found(plan: Plan, tmp_path: Path) -> None:
    found = results.summarise(plan, range(2))
    assert list(found["networks"]) == [name for name in NETWORKS if name in found["networks"]]
    assert set(found["networks"]) == {HAND_MADE, "narrow", "wide", "deep", "r8"}
    assert {"wide", "narrow", "deep"} <= set(differing(found))
    assert "r8" not in [name for name in differing(found) if found["networks"][name]["difference"]["800"]["differs"]]
    assert found["networks"]["wide"]["at_equal_cost"] == {}
    path = results.write(found, tmp_path / "results")
    assert json.loads(path.read_text())["networks"] == found["networks"]
    page = report.write(tmp_path / "results", tmp_path).read_text()
    for cells in rows(found):
        assert f"| {' | '.join(cells)} |" in page
    assert f"| {' | '.join(header(found))} |" in page
    assert "1600 passes" not in page


def test_a_longer_training_is_compared_with_the_shorter(plan: Plan, tmp_path: Path) -> None:
    found = results.summarise(plan, range(2))
    results.write(found, tmp_path)
    entry = {
        **found["networks"]["wide"],
        "pq": {"1600": [value + 1.25 for value in found["networks"]["wide"]["pq"]["800"]]},
        "by_category": {
            name: [value + 1.25 for value in ends] for name, ends in found["networks"]["wide"]["by_category"].items()
        },
    }
    results.write({**found, "passes": 1600, "networks": {"wide": entry}}, tmp_path)
    page = report.write(tmp_path, tmp_path).read_text()
    assert "+1.2 |" in page
    text = " ".join(page.split())
    assert "Converged: wide. Not converged: none." in text


def test_a_longer_training_is_compared_with_those_of_its_seeds(plan: Plan, tmp_path: Path) -> None:
    found = results.summarise(plan, range(2))
    first, second = found["networks"]["wide"]["pq"]["800"]
    assert f"{first:.1f}" != f"{second:.1f}"
    results.write(found, tmp_path)
    ends = {name: [values[1] + 1.625] for name, values in found["networks"]["wide"]["by_category"].items()}
    entry = {**found["networks"]["wide"], "pq": {"1600": [second + 1.625]}, "by_category": ends}
    results.write({**found, "passes": 1600, "seeds": [1], "networks": {"wide": entry}}, tmp_path)
    page = report.write(tmp_path, tmp_path).read_text()
    assert f"| wide | {second:.1f} | {second + 1.625:.1f} | +1.6 |" in page
    text = " ".join(page.split())
    assert "of seed 1:" in text
    assert "Converged: none. Not converged: wide." in text


def test_another_recipe_is_kept_apart_and_stands_beside_the_own(plan: Plan, tmp_path: Path) -> None:
    found = results.summarise(plan, range(2))
    results.write(found, tmp_path)
    assert "Other recipes" not in report.write(tmp_path, tmp_path).read_text()
    other = Plan(plan.folder, 800, variant="faster", changes={"retrain.learning_rate": 0.006})
    assert other.settings.retrain.learning_rate == 0.006
    assert other.folder_of("wide", 0) != plan.folder_of("wide", 0)
    shutil.copytree(plan.folder_of("wide", 0).parent, other.folder_of("wide", 0).parent)
    shutil.copytree(plan.folder_of("deep", 1), other.folder_of("wide", 1), dirs_exist_ok=True)
    again = results.summarise(other, [1])
    assert results.write(again, tmp_path) != results.path_of(tmp_path, 800)
    own = found["networks"]["wide"]["pq"]["800"][1]
    here = found["networks"]["deep"]["pq"]["800"][1]
    assert f"{own:.1f}" != f"{here:.1f}"
    page = report.write(tmp_path, tmp_path).read_text()
    assert f"| `retrain.learning_rate` 0.006 | wide | {own:.1f} | {here:.1f} |  |  |" in page
    entry = {**again["networks"]["wide"], "pq": {"1600": [here + 2.25]}}
    results.write({**again, "passes": 1600, "networks": {"wide": entry}}, tmp_path)
    page = report.write(tmp_path, tmp_path).read_text()
    assert f"| {own:.1f} | {here:.1f} | {here + 2.25:.1f} | +2.2 |" in page
    assert "## 1600 passes" not in page
    with pytest.raises(ValueError, match="of other changes under this name"):
        results.write({**again, "changes": {"retrain.learning_rate": 0.1}}, tmp_path)
    longer = {**again, "passes": 1600, "changes": {"retrain.learning_rate": 0.1}, "networks": {"wide": entry}}
    results.path_of(tmp_path, 1600, "faster").write_text(json.dumps(longer))
    assert "+2.2 |" not in report.write(tmp_path, tmp_path).read_text()


def test_the_page_names_the_networks_that_are_not_trained_yet(plan: Plan, tmp_path: Path) -> None:
    found = results.summarise(plan, range(2))
    results.write(found, tmp_path)
    text = " ".join(report.write(tmp_path, tmp_path).read_text().split())
    missing = [name for name in NETWORKS if name not in found["networks"]]
    assert "flat-heads" in missing
    assert f"Not trained with all of these seeds yet, of {len(NETWORKS)} networks: {', '.join(missing)}." in text
    whole = {name: {**found["networks"]["wide"], "what": name} for name in NETWORKS}
    results.write({**found, "networks": whole}, tmp_path)
    assert "Not trained" not in report.write(tmp_path, tmp_path).read_text()


def entry_of(*categories: tuple[float, ...]) -> dict[str, Any]:
    return {"by_category": dict(zip(("disc", "ring", "arc"), map(list, categories), strict=True))}


def test_the_category_that_seeds_decide_on_is_told() -> None:
    networks = {"a": entry_of((50, 54), (10, 10), (0, 60)), "b": entry_of((50, 50), (10, 10), (40, 40))}
    text = categories.noise({"networks": networks, "seeds": [0, 1]})
    # a's seeds are 20 and 41.3 in all, 30 and 32 without the arc, and 0 and 60 in it; b's are equal
    assert "have a standard deviation of 10.7 PQ." in text
    assert "arc adds most to that: it has 0 to 60 PQ, with a deviation of 30 between" in text
    assert "Without it they deviate by 1.0." in text


def test_categories_that_gain_most_are_told_of_the_same_seeds() -> None:
    short = {"networks": {"a": entry_of((50, 54), (10, 20), (0, 60))}, "seeds": [0, 1]}
    found = {"networks": {"a": entry_of((56,), (40,), (61,))}, "seeds": [1]}
    (told,) = categories.gains(found, short)
    assert told == "a gains by ring +20, disc +2, arc +1"
    short = {"networks": {"a": {"by_category": {str(place): [0.0] for place in range(7)}}}, "seeds": [0]}
    found = {"networks": {"a": {"by_category": {str(place): [float(place)] for place in range(7)}}}, "seeds": [0]}
    (told,) = categories.gains(found, short)
    assert told == "a gains by 6 +6, 5 +5, 4 +4, 3 +3, 2 +2, and +0 in each of the others on average"


def test_without_the_hand_made_network_there_is_nothing_to_compare(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"hand-made network has not been trained with the seeds \[0, 1\]"):
        results.summarise(Plan(tmp_path), range(2))
    with pytest.raises(FileNotFoundError, match="train the networks first"):
        report.write(tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--only", "dw7"], "no network 'dw7'"),
        (["--read", "900"], "must lie in 1..800"),
        (["--read", "400"], "and end"),
        (["--variant", "faster"], "give both, or none"),
        (["--set", "retrain.learning_rate=0.006"], "give both, or none"),
        (["--variant", "faster", "--set", "retrain.learning_rates=0.006"], "learning_rate"),
        (["--variant", "longer", "--set", "retrain.passes=900"], "set this themselves"),
    ],
)
def test_bad_options_are_refused(options: list[str], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "run_all", lambda *_: pytest.fail("trained"))
    shown = CliRunner().invoke(cli.app, ["train", *options])
    assert shown.exit_code == 2
    assert message in " ".join(shown.output.replace("│", " ").split())


def test_a_name_of_another_recipe_is_refused_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "run_all", lambda *_: pytest.fail("trained"))
    results.path_of(tmp_path, 800, "faster").write_text('{"changes": {"retrain.learning_rate": 0.01}}')
    options = ["train", "--variant", "faster", "--set", "retrain.learning_rate=0.006", "--to", str(tmp_path)]
    shown = CliRunner().invoke(cli.app, options)
    assert shown.exit_code == 2
    assert "other changes under this name" in " ".join(shown.output.replace("│", " ").split())


def pretend(plan: Plan, name: str, seed: int) -> None:
    if name == "wide":
        sys.exit(3)
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    folder = plan.folder_of(name, seed)
    folder.mkdir(parents=True)
    (folder / training.RESULT).write_text("{}")


def test_missing_trainings_run_and_a_failure_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import benchmarks.operators.runner as runner

    monkeypatch.setattr(runner, "run", pretend)
    monkeypatch.setattr(Plan, "datasets", lambda self: None)
    fork = multiprocessing.get_context("fork")  # so that the processes see what is patched
    monkeypatch.setattr(multiprocessing, "get_context", lambda _: fork)
    plan = Plan(tmp_path)
    pretended: list[Any] = [("deep", 0), ("deep", 1), (HAND_MADE, 0)]
    run_all(plan, pretended, 2)
    assert all(plan.result(*job) == {} for job in pretended)
    with pytest.raises(TrainingError, match="wide with seed 1 ended with 3"):
        run_all(plan, [*pretended, ("wide", 1)], 2)


def wait_for(plan: Plan, name: str, seed: int) -> None:
    folder = plan.folder_of(name, seed)
    folder.mkdir(parents=True)
    (folder / "pid").write_text(str(os.getpid()))
    time.sleep(60)


def test_a_request_to_end_ends_the_trainings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import benchmarks.operators.runner as runner

    fork = multiprocessing.get_context("fork")
    monkeypatch.setattr(runner, "run", wait_for)
    monkeypatch.setattr(Plan, "datasets", lambda self: None)
    monkeypatch.setattr(multiprocessing, "get_context", lambda _: fork)
    plan = Plan(tmp_path)
    parent = fork.Process(target=run_all, args=(plan, [("deep", 0), ("wide", 0)], 2))
    parent.start()
    files = [plan.folder_of(name, 0) / "pid" for name in ("deep", "wide")]
    until = time.monotonic() + 30
    while not all(file.exists() and file.read_text() for file in files):
        assert time.monotonic() < until
        time.sleep(0.01)
    parent.terminate()
    parent.join()
    for file in files:
        with pytest.raises(ProcessLookupError):
            os.kill(int(file.read_text()), 0)


def test_two_readings_of_a_tiny_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"data.scenes": {"train": 8, "nas_val": 1, "val": 2}, "retrain.batch_size": 2}
    monkeypatch.setattr(training, "AS_BEGUN", {})
    monkeypatch.setattr(training, "load_config", lambda name, changes: load_config(name, {**small, **changes}))
    plan = Plan(tmp_path, 2, (1, 2))
    training.run(plan, "flat-heads", 5)
    found = plan.result("flat-heads", 5)
    assert found is not None
    assert set(found["pq"]) == {"1", "2"}
    assert plan.counts("flat-heads", 5, 2).shape == (2, len(CATEGORIES), 4)
    assert found["pq"]["2"] == pytest.approx(pq_of(plan.counts("flat-heads", 5, 2)))
    assert found["gflops"] > 0


def test_the_page_tells_the_method() -> None:
    assert "paired bootstrap" in str(statistics.__doc__)
