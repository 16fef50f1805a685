"""The benchmark of pretraining: it keeps each training and goes on, and the guide has the kept figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import pretraining
from benchmarks.pretraining import COMPARED, PARTS, Sizes, kept, lines, measure, summary

ROOT = Path(__file__).resolve().parents[2]
SIZES = Sizes(images=4, val=2, pretraining_passes=40, passes=2, longer_passes=3)


def rows(scratch: float, pretrained: float, longer: float) -> dict[str, dict[str, Any]]:
    found = {"scratch": scratch, "pretrained": pretrained, "longer": longer}
    return {"pretraining": {"cpu_seconds": 5.0}, **{k: {"pq": v, "cpu_seconds": 10.0} for k, v in found.items()}}


def test_gains_are_paired_over_the_seeds_that_have_ended() -> None:
    found = [rows(10, 12, 15), rows(20, 24, 23), {"pretraining": {"cpu_seconds": 1.0}}]
    # Student's t of two seeds: 12.7 standard errors, which are 1 for the differences 2 and 4, and 5 and 3.
    assert summary(found) == [
        ("from scratch", "15.0", "", "10"),
        ("pretrained", "18.0", "+3.0 ± 12.7", "15"),
        ("from scratch, longer", "19.0", "+4.0 ± 12.7", "10"),
    ]
    del found[0]["longer"]
    assert [line[:2] for line in summary(found)] == [("from scratch", "15.0"), ("pretrained", "18.0")]
    with pytest.raises(ValueError, match="no seed has ended yet"):
        summary(found[2:])


def test_each_training_is_kept_at_once_and_the_same_call_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    class Seed:
        def __init__(self, seed: int, sizes: Sizes, folder: Path) -> None:
            folder.mkdir(parents=True, exist_ok=True)

        def row(self, part: str) -> dict[str, Any]:
            done.append(part)
            if len(done) == 3:
                raise KeyboardInterrupt
            return {"pq": 1.0}

    monkeypatch.setattr(pretraining, "Seed", Seed)
    path = tmp_path / "results" / "seed-4.json"
    with pytest.raises(KeyboardInterrupt):
        measure(4, SIZES, tmp_path / "work", path)
    assert list(json.loads(path.read_text())["rows"]) == ["pretraining", "scratch"]
    found = measure(4, SIZES, tmp_path / "work", path)
    assert done == ["pretraining", "scratch", "pretrained", "pretrained", "longer"]
    assert [one["rows"] for one in kept(path.parent)] == [found]
    assert all(found[part]["cpu_seconds"] >= 0 for part in PARTS)
    assert measure(4, SIZES, tmp_path / "work", path) == found
    other = Sizes(4, 2, 40, 9, 12)
    with pytest.raises(ValueError, match=r"not of .*'passes': 9.*: name another --folder"):
        measure(4, other, tmp_path / "work", path)
    measure(5, other, tmp_path / "work", path.with_name("seed-5.json"))
    with pytest.raises(ValueError, match="trainings of different sizes"):
        kept(path.parent)


@pytest.mark.slow
def test_the_trainings_run(tmp_path: Path) -> None:
    found = measure(0, SIZES, tmp_path / "work", tmp_path / "seed-0.json")
    assert [found[part]["passes"] for part in PARTS] == [40, 2, 2, 3]
    assert found["pretraining"]["crops"] > 10
    assert all(0 <= found[part]["pq"] <= 100 for part in PARTS[1:])


@pytest.mark.parametrize(("folder", "seeds"), [("one-seed", 1), ("short", 3)])
def test_the_guide_has_the_figures_that_were_kept(folder: str, seeds: int) -> None:
    found = kept(pretraining.FOLDER / folder)
    guide = " ".join((ROOT / "docs" / "guide" / "pretraining.md").read_text().split())
    assert sum(set(COMPARED) <= set(one["rows"]) for one in found) >= seeds
    for line in lines(found):
        assert " ".join(line.split()) in guide, line
    for one in found:
        assert f"{one['machine']['cpu']}, torch {one['torch']}" in guide


def test_the_guide_compares_the_gain_with_that_of_more_passes() -> None:
    (found,) = kept(pretraining.FOLDER / "one-seed")
    guide = " ".join((ROOT / "docs" / "guide" / "pretraining.md").read_text().split())
    first = found["rows"]
    gains = {part: first[part]["pq"] - first["scratch"]["pq"] for part in ("pretrained", "longer")}
    more = first["longer"]["cpu_seconds"] - first["scratch"]["cpu_seconds"]
    said = f"{gains['pretrained']:.1f} PQ for {first['pretraining']['cpu_seconds']:.0f} s, where 150 more passes"
    assert f"{said} of the panoptic training gain {gains['longer']:.1f} for {more:.0f} s" in guide
