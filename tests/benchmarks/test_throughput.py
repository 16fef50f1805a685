"""The benchmark of throughput: what is counted, its inputs, its page."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional
from typer.testing import CliRunner

from benchmarks.throughput import report
from benchmarks.throughput.cli import app
from benchmarks.throughput.contestants import CONTESTANTS, COUNTS
from benchmarks.throughput.inputs import THINGS, random_batch
from benchmarks.throughput.operators import OTHERS, OperatorTimes
from benchmarks.throughput.rows import Plan, RowFile, fill, in_a_process, over_rounds
from benchmarks.throughput.speed import KINDS

ROOT = Path(__file__).resolve().parents[2]
RESULTS, DOCS = ROOT / "benchmarks" / "results" / "throughput", ROOT / "docs"


@pytest.mark.parametrize(
    ("layer", "kind", "work"),
    [
        (nn.Conv2d(8, 6, 3, padding=1), "convolution 3x3 and larger", 2 * 36 * 8 * 6 * 9),
        (nn.Conv2d(8, 6, 1), "convolution 1x1", 2 * 36 * 8 * 6),
        (nn.Conv2d(8, 8, 3, padding=1, groups=8), "depthwise convolution", 2 * 36 * 8 * 9),
        (nn.ConvTranspose2d(8, 6, 2, stride=2), "transposed convolution", 2 * 36 * 8 * 6 * 4),
        (nn.Sequential(nn.Flatten(), nn.Linear(288, 5)), "matrix product", 2 * 288 * 5),
    ],
)
def test_work_is_counted_forth_and_back(layer: nn.Module, kind: str, work: int) -> None:
    x = torch.randn(2, 8, 6, 6, requires_grad=True)
    with OperatorTimes() as times:
        layer(x).sum().backward()
    assert times.spent[kind].gflops * 1e9 == pytest.approx(3 * work)
    assert set(times.spent) == {kind, OTHERS}
    assert all(one.seconds > 0 for one in times.spent.values())


def test_an_input_without_gradient_is_no_work() -> None:
    weight = torch.randn(6, 8, 1, 1, requires_grad=True)
    with OperatorTimes() as times:
        functional.conv2d(torch.randn(2, 8, 6, 6), weight).sum().backward()
    assert times.spent["convolution 1x1"].gflops * 1e9 == pytest.approx(2 * 2 * 36 * 8 * 6)


def test_random_batches_are_padded_and_consistent() -> None:
    batch = random_batch(2, (100, 150), COUNTS, 64)
    assert batch.images.shape == (2, 3, 128, 192)
    assert not batch.images[:, :, 100:].any()
    assert batch.pixels.is_contiguous(memory_format=torch.channels_last)
    assert (batch.semantic[:, 100:] == 255).all()
    for target, semantic in zip(batch.targets, batch.semantic, strict=True):
        assert target["masks"].whole().shape == (THINGS, 100, 150)
        assert (target["boxes"][:, 2:] > target["boxes"][:, :2]).all()
        assert target["boxes"].min() >= 0
        assert (target["boxes"].amax(0)[2:] <= torch.tensor([150, 100])).all()
        assert torch.equal(semantic[:100, :150] == 0, target["masks"].whole().any(0))


def figures(name: str, images_per_second: float) -> dict[str, Any]:
    speed = {"images_per_second": images_per_second, "slowest": images_per_second, "fastest": 2 * images_per_second}
    return {kind: {"gflops": 10.0, **speed, "memory": 100.0} for kind in KINDS}


def test_ratios_are_by_the_reference_and_missing_without_it() -> None:
    found = {"device": "x", "size": [64, 64], "precision": "32-true", "torch": "2", "batches": {}}
    both = {**found, "batches": {"2": {"ours": figures("ours", 3.0), report.REFERENCE: figures("r", 4.0)}}}
    assert "| ours | 2 | training | 10.0 | 3 | 3 to 6 | 30 | 0.75 | 100 |" in list(report.speed(both))
    alone = {**found, "batches": {"2": {"ours": figures("ours", 3.0)}}}
    assert "| ours | 2 | training | 10.0 | 3 | 3 to 6 | 30 |  | 100 |" in list(report.speed(alone))


def test_the_page_is_that_of_the_results(tmp_path: Path) -> None:
    assert report.write(RESULTS, tmp_path).read_text() == (DOCS / report.PAGE).read_text(), (
        "run `python -m benchmarks.throughput report`"
    )


def test_no_results_are_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"benchmarks\.throughput operators"):
        report.write(tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "YOLO"], "YOLO: there are hand-made"),
        (["--batch", "1"], "2 at least"),
        pytest.param(
            ["--device", "cuda"],
            "can use no GPU",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU"),
        ),
    ],
)
def test_bad_arguments_are_refused(arguments: list[str], message: str) -> None:
    found = CliRunner().invoke(app, ["measure", *arguments], env={"COLUMNS": "200"})
    assert found.exit_code == 2
    assert message in found.output


@pytest.mark.slow
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_every_network_is_slow(tmp_path: Path, device: str) -> None:
    arguments = ["measure", "--height", "64", "--width", "64", "--batch", "2", "--steps", "1"]
    found = CliRunner().invoke(app, [*arguments, "--device", device, "--results", str(tmp_path)])
    assert found.exit_code == 0, found.output
    (path,) = tmp_path.glob("speed-*.json")
    networks = json.loads(path.read_text())["batches"]["2"]
    assert set(networks) == set(CONTESTANTS)
    assert all(row[kind]["images_per_second"] > 0 for row in networks.values() for kind in KINDS)
    before = path.read_bytes()
    again = CliRunner().invoke(app, [*arguments, "--device", device, "--results", str(tmp_path)])
    assert again.exit_code == 0, again.output
    assert path.read_bytes() == before  # nothing was left to measure
    other = CliRunner().invoke(
        app, [*arguments, "--device", device, "--results", str(tmp_path), "--warmup", "2"], env={"COLUMNS": "200"}
    )
    assert other.exit_code == 2
    assert "--again" in other.output


def test_work_that_is_added_to_a_sum_counts_too() -> None:
    with OperatorTimes() as times:
        torch.zeros(3, 5).addmm_(torch.ones(3, 4), torch.ones(4, 5))
    assert times.spent["matrix product"].gflops * 1e9 == pytest.approx(3 * 4 * 5)


def test_the_page_says_what_is_reached() -> None:
    spent = {"matrix product": {"seconds": 1.0, "gflops": 40.0}, OTHERS: {"seconds": 1.0, "gflops": 0.0}}
    networks = {
        "ours": {"ratio": 0.9, "operators": spent},
        report.REFERENCE: {"ratio": 1.0, "operators": {**spent, OTHERS: {"seconds": 0.25, "gflops": 0.0}}},
    }
    assert list(report.reached({"networks": networks})) == [
        "- ours: 0.90 of Mask R-CNN's rate, so slower than it; 1.25 at most."
    ]


def test_rounds_give_their_median_and_their_range() -> None:
    rows = [figures("ours", rate) for rate in (2.0, 5.0, 3.0)]
    found = over_rounds(rows)["training"]
    assert (found["images_per_second"], found["slowest"], found["fastest"]) == (3.0, 2.0, 5.0)


PLAN = Plan((64, 64), "32-true", steps=1, warmup=1, rounds=2)


def test_rows_are_kept_at_once_and_the_same_call_goes_on(tmp_path: Path) -> None:
    path, measured = tmp_path / "speed-x.json", list[tuple[str, int]]()
    failures = [RuntimeError("out of memory")]

    def run(name: str, batch: int, seconds: float | None) -> dict[str, Any]:
        if failures and (name, batch) == ("large", 8):
            raise failures.pop()
        measured.append((name, batch))
        return figures(name, float(len(measured)))

    def call() -> list[str]:
        file = RowFile(path, PLAN, {"device": "x", "torch": "2"})
        return fill(file, ["small", "large"], [2, 8], run, None, lambda line: None)

    assert call() == ["large, batches of 8: RuntimeError: out of memory"]
    turns = [("small", 2), ("large", 2)] * 2
    assert measured == [*turns, ("small", 8), ("small", 8), ("large", 8)]
    assert call() == []
    assert measured[-1:] == [("large", 8)]
    assert len(measured) == 8
    assert call() == []
    assert len(measured) == 8
    found = json.loads(path.read_text())
    assert found["batches"]["2"]["small"]["training"]["slowest"] == 1.0
    assert found["batches"]["2"]["small"]["training"]["images_per_second"] == 2.0
    assert "| small | 2 | training |" in "\n".join(report.speed(found))
    with pytest.raises(ValueError, match=r"warmup was 1, and is 3\): --again measures all of them anew"):
        RowFile(path, replace(PLAN, warmup=3), {"device": "x", "torch": "2"})


def test_no_row_is_begun_that_would_end_beyond_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    limits = []

    def run(name: str, batch: int, seconds: float | None) -> dict[str, Any]:
        limits.append(seconds)
        now[0] += 40.0
        if now[0] > 100:
            raise TimeoutError
        return figures(name, 1.0)

    file = RowFile(tmp_path / "speed-x.json", replace(PLAN, rounds=1), {})
    left = fill(file, ["a", "b", "c", "d"], [2], run, 100.0, lambda line: None)
    assert limits == [100.0, 60.0]  # of the third 40 seconds would be too many for the 20 that are left
    assert left == ["c, batches of 2: no time left", "d, batches of 2: no time left"]


def _row(what: str) -> dict[str, Any]:
    if what == "fails":
        raise ValueError("no such network")
    if what == "dies":
        os._exit(7)
    if what == "sleeps":
        time.sleep(600)
    return {"process": os.getpid()}


def test_a_row_has_a_process_of_its_own_which_may_fail(tmp_path: Path) -> None:
    assert in_a_process(_row, ["works"], None)["process"] != os.getpid()
    with pytest.raises(RuntimeError, match="ValueError: no such network"):
        in_a_process(_row, ["fails"], None)
    with pytest.raises(RuntimeError, match="its process ended with 7"):
        in_a_process(_row, ["dies"], None)
    with pytest.raises(TimeoutError):
        in_a_process(_row, ["sleeps"], 0.5)
