"""The page of the published models in one table: as the results give it, and its commands."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import pytest
import typer

from autopanoptic.nas import Architecture
from autopanoptic.panoptic.cli import app
from autopanoptic.panoptic.compare.making import source_of
from autopanoptic.panoptic.compare.naming import Kind, named
from autopanoptic.panoptic.compare.statistics import Difference, Mean, mean_of
from autopanoptic.panoptic.compare.summary import Compared, Line, Summary
from autopanoptic.panoptic.configs.layers import change, shipped
from autopanoptic.panoptic.configs.models import MODELS
from autopanoptic.panoptic.quality.bootstrap import Estimate
from benchmarks import comparison

ROOT = Path(__file__).resolve().parents[2]
FACTS = {
    "images": {"train": 1600, "val": 300}, "things": 10, "stuff": 5, "recipe": {"passes": 800, "batch_size": 8},
    "start": "from scratch", "seeds": [0, 1], "devices": ["cpu"],
}  # fmt: skip


def line(name: str, kind: Kind, *pq: float) -> Line:
    return Line(name, kind, 0.25, 0.5, tuple(range(len(pq))), {"pq": mean_of(pq)}, None, mean_of([612.4]))


def found() -> Summary:
    lines = (line("upsnet", "model", 61.0, 63.0), line("best", "searched", 60.0), line("hand-made", "hand-made", 59.0))
    difference = Difference(Estimate(-2.0, 0.5, -3.04, -1.0, 0.95, 300), Mean(-2.0, None, (-2.0,)))
    pairs = (Compared("best", "upsnet", difference), Compared("hand-made", "upsnet", difference))
    equal = (Compared("upsnet", "hand-made", difference),)
    return Summary(FACTS, lines, (("best", 1),), "upsnet", pairs, equal, {})


def test_the_page_is_what_the_results_give() -> None:
    assert (ROOT / "docs" / comparison.PAGE).read_text() == comparison.page(ROOT / comparison.RESULTS)


def test_results_become_tables_and_what_is_lacking_is_said(tmp_path: Path) -> None:
    (tmp_path / "scenes.json").write_text(json.dumps(found().to_json()))
    text = comparison.page(tmp_path)
    scenes, _, camvid = text.split("## Measured here: ")[1:]
    assert "| upsnet | 62.0 ± 12.7 | - | - | - | - | 0.50 M | 0.25 | - | 612 s |" in scenes
    assert "| best | -2.0 | [-3.0, -1.0] | one seed | below on these images |" in scenes
    assert "| upsnet | hand-made | -2.0 |" in scenes
    flat = " ".join(scenes.split())
    assert "best, found by a search: rank 2 of 3 by mean PQ" in flat
    assert "Not trained yet: best seed 1." in flat
    assert "Not trained yet: there are no results to show" in camvid
    path = comparison.write(tmp_path, tmp_path)
    assert path.read_text() == text


def test_what_a_change_of_upsnet_gains_stands_beside_the_same_seeds(tmp_path: Path) -> None:
    (tmp_path / "scenes.json").write_text(json.dumps(found().to_json()))
    assert "What weights of losses change" not in comparison.page(tmp_path)
    for file, pq in (("upsnet-no-regions", (65.25, 66.75)), ("upsnet-neither", (60.5,))):
        changed = Summary(FACTS, (line("upsnet", "model", *pq),), (), "upsnet", (), (), {})
        (tmp_path / f"{file}.json").write_text(json.dumps(changed.to_json()))
    text = comparison.page(tmp_path)
    assert "| network | seeds | PQ | as above |" in text
    both = "| upsnet, without the loss of regions | 0, 1 | 66.0 (65.2, 66.8) | 62.0 (61.0, 63.0) | - | - | - |"
    assert both in text
    assert "| upsnet, both | 0 | 60.5 | 61.0 | - | - | - |" in text
    assert "0.15 of the panoptic loss" not in text


def test_categories_that_hang_on_surroundings_stand_beside_all_else(tmp_path: Path) -> None:
    (tmp_path / "scenes.json").write_text(json.dumps(found().to_json()))
    assert "accounts for much" not in comparison.page(tmp_path)
    upsnet = {"rose": (0.0, 2.0), "sky": (80.0, 82.0), "lily": (5.0, 1.0), "disc": (60.0, 64.0)}
    best = {"rose": (50.0,), "sky": (81.0,), "lily": (40.0,), "disc": (63.0,)}
    lines = (line("upsnet", "model", 61.0, 63.0), line("panoptic-fpn", "model", 60.0))
    known = replace(found(), lines=lines, categories={"upsnet": upsnet, "panoptic-fpn": best})
    (tmp_path / "scenes.json").write_text(json.dumps(known.to_json()))
    one = replace(found(), lines=lines[:1], categories={"upsnet": {**upsnet, "lily": (35.5, 30.5)}})
    (tmp_path / "upsnet-no-regions.json").write_text(json.dumps(one.to_json()))
    text = comparison.page(tmp_path)
    assert "much of it is rose and lily: the same flower" in " ".join(text.split())
    assert "| network | seeds | PQ | rose | lily | the other 2 |" in text
    # of upsnet's means over the seeds (50 - 1 + 40 - 3 + 81 - 81 + 63 - 62) / 4, of which 86 / 4 are the flowers
    assert "Of UPSNet's distance that is 21.5 of 21.8 PQ to panoptic-fpn." in " ".join(text.split())
    assert "| upsnet, 800 passes | 0, 1 | 62.0 (61.0, 63.0) | 1.0 (0.0, 2.0) | 3.0 (5.0, 1.0) |" in text
    assert "| panoptic-fpn, 800 passes | 0 | 60.0 | 50.0 | 40.0 | 72.0 |" in text
    assert "| upsnet, without the loss of regions, 800 passes | 0, 1 | 62.0 (61.0, 63.0) |" in text
    assert "| 33.0 (35.5, 30.5) |" in text
    assert "'s own." not in text
    others = {"sognet": upsnet, "hand-made@upsnet": {**best, "sky": (91.0,), "disc": (73.0,)}}
    more = replace(known, categories={**known.categories, **others})
    (tmp_path / "scenes.json").write_text(json.dumps(more.to_json()))
    # of sums over the other classes of 164, 144 and 143, by four classes in all
    assert (
        "In the other 2 classes lie 5.2 PQ of sognet's distance to hand-made@upsnet. panoptic-fpn lacks 5.0 of them, "
        "too, so that 0.2 are sognet's own."
    ) in " ".join(comparison.page(tmp_path).split())


def test_the_results_say_what_the_page_does_of_the_loss_of_regions() -> None:
    """One flower's PQ, which is a class by its surroundings, with UPSNet's loss of regions and without."""
    lily = {
        (file, name): categories["lily"]
        for file in ("scenes", "scenes-1600", "upsnet-no-regions")
        for name, categories in json.loads((ROOT / comparison.RESULTS / f"{file}.json").read_text())[
            "categories"
        ].items()
    }
    assert len(lily["scenes", "upsnet"]) == 2
    assert max(*lily.pop(("scenes", "upsnet")), *lily.pop(("scenes-1600", "upsnet"))) < 1
    assert min(lily["scenes", "sognet"]) < 5 < 50 < max(lily.pop(("scenes", "sognet")))
    half, fifth = lily.pop(("upsnet-no-regions", "upsnet"))
    others = min(value for values in lily.values() for value in values)
    usual = fmean(lily["scenes", "hand-made@upsnet"])
    assert half / usual == pytest.approx(0.5, abs=0.05)
    assert fifth / usual == pytest.approx(0.2, abs=0.05)
    assert others > 45


def lines_of(table: str) -> dict[str, Line]:
    """The lines of a table that is kept, best first."""
    found = Summary.from_json(json.loads((ROOT / comparison.RESULTS / f"{table}.json").read_text()))
    return {one.name: one for one in found.lines}


def test_the_readme_says_of_the_networks_from_scratch_what_the_results_do() -> None:
    lines = lines_of("scenes")
    readme = " ".join((ROOT / "README.md").read_text().split())
    searched, by_hand, best = (lines[name] for name in ("searched", "auto-panoptic", "hand-made@bgrnet"))
    assert f"has {searched.metrics['pq'].value:.1f} PQ at {searched.gflops:.3f} GFLOPs, the network" in readme
    assert f"made by hand {by_hand.metrics['pq'].value:.1f} at {by_hand.gflops:.3f}, and Panoptic FPN" in readme
    rivals = [lines[name] for name in ("panoptic-fpn", "bgrnet", "sognet", "upsnet")]
    pq, gflops = sorted(one.metrics["pq"].value for one in rivals), sorted(one.gflops for one in rivals)
    assert f"{pq[0]:.1f} to {pq[-1]:.1f} at {gflops[0]:.3f} to {gflops[-1]:.3f} (" in readme
    assert best.gflops / searched.gflops == pytest.approx(3, abs=0.15)
    assert f"at three times its cost, a network has {best.metrics['pq'].value:.1f}." in readme


def test_the_readme_says_of_real_scenes_what_the_results_do() -> None:
    lines = lines_of("camvid")
    searched, by_hand = lines["searched"], lines["auto-panoptic"]
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert f"has {searched.metrics['pq'].value:.1f} PQ at {searched.gflops:.3f} GFLOPs, the third of eleven" in readme
    assert list(lines)[2] == "searched"
    assert len(lines) == 11
    assert searched.gflops == min(one.gflops for one in lines.values())  # "of the fewest GFLOPs"
    best = max((one for one in lines.values() if one.kind == "hand-made"), key=lambda one: one.metrics["pq"].value)
    assert f"made by hand has {by_hand.metrics['pq'].value:.1f} at {by_hand.gflops:.3f}, and no more than" in readme
    assert f"no more than {best.metrics['pq'].value:.1f} at {best.gflops:.3f}." in readme


def test_the_guide_says_of_a_mixed_design_from_scratch_what_the_results_do() -> None:
    found = json.loads((ROOT / comparison.RESULTS / "published.json").read_text())
    lily = fmean(found["categories"]["searched-published"]["lily"])
    lines = lines_of("published")
    own, by_hand = (lines[name].metrics["pq"].value for name in ("searched-published", "hand-made@searched-published"))
    guide = " ".join((ROOT / "docs/guide/components.md").read_text().split())
    assert f"the order is another: {own:.1f} PQ, and {by_hand:.1f} of the network made by hand of its cost" in guide
    assert f"has {lily:.1f} PQ there, as with UPSNet" in guide


def test_published_figures_stand_apart_and_say_whose_they_are() -> None:
    text = comparison.page(Path("nowhere"))
    published = text.split("## Published: COCO val")[1].split("\n## ")[0]
    for figure in ("44.8", "51.4", "35.0", "42.5", "43.7", "43.2", "39.0 to 39.4"):
        assert figure in published
        assert text.count(figure) == published.count(figure)
    assert all(one.source for one in comparison.PUBLISHED)
    assert "nothing here was measured by this library" in published


@pytest.mark.parametrize(
    "table", [*comparison.TABLES, *comparison.VARIANTS, comparison.LONGER], ids=lambda one: one.file
)
def test_its_commands_are_commands(
    table: comparison.Table | comparison.Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    words = shlex.split(table.command)
    command = typer.main.get_command(app).commands["compare"]  # type: ignore[attr-defined]
    known = {option for one in command.params for option in one.opts}
    assert words[:3] == ["autopanoptic", "panoptic", "compare"]
    assert {word for word in words if word.startswith("--")} <= known
    given = dict(pairwise(words))
    assert given["--config"] in shipped()
    assert given["--json"] == str(comparison.RESULTS / f"{table.file}.json")
    names = given["--models"].split(",")
    assert set(MODELS) <= set(names) or table.file not in ("scenes", "camvid")
    changes = [(*change(value), flag) for flag, value in pairwise(words) if flag == "--set"]
    source = source_of(given["--config"], changes)
    for name in names:
        if "@searched" not in name:
            assert named(name, source).name == name.partition("=")[0]


@pytest.mark.parametrize(
    ("name", "tables"), [("searched", ["scenes", "camvid"]), ("searched-published", ["published", "camvid"])]
)
def test_the_networks_that_were_found_are_kept(name: str, tables: list[str]) -> None:
    architecture = Architecture.load(ROOT / comparison.NETWORKS / f"{name}.json")
    for table in tables:
        found = json.loads((ROOT / comparison.RESULTS / f"{table}.json").read_text())
        assert found["facts"]["networks"][name]["architecture_id"] == architecture.id
