"""The page of a run: what stands in it, that it needs nothing else, and what it says of a run that lacks something."""

from __future__ import annotations

import ast
import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from autopanoptic.nas import Architecture
from autopanoptic.nas.cli import app as program
from autopanoptic.panoptic.configs.config import load_config, save_config
from autopanoptic.panoptic.data.coco.layout import find_split, find_splits
from autopanoptic.panoptic.quality.bootstrap import bootstrap
from autopanoptic.panoptic.quality.images import ImageCounts
from autopanoptic.panoptic.report import measured
from autopanoptic.panoptic.report.blocks import Code, Heading, Lacking, Section, Table
from autopanoptic.panoptic.report.examples import examples_section
from autopanoptic.panoptic.report.found import use_section
from autopanoptic.panoptic.report.measured import Measured
from autopanoptic.panoptic.report.networks import networks_section
from autopanoptic.panoptic.report.report import write_report
from autopanoptic.panoptic.report.run import Run
from autopanoptic.panoptic.report.search import front_section
from autopanoptic.panoptic.run.folder import load_run
from autopanoptic.panoptic.stages.costs import costs
from tests.panoptic.report.parsed import Parsed

SECTIONS = [
    "networks", "front", "search", "options", "classes", "images", "network", "use", "seconds", "config", "versions",
]  # fmt: skip


@pytest.fixture(scope="module")
def whole(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Parsed:
    out = tmp_path_factory.mktemp("out") / "page.html"
    assert write_report(finished, out, images=1, device="cpu") == out
    assert not (finished / "report.html").exists()
    return Parsed(out.read_text())


def metrics_of(run: Path) -> dict[str, dict[str, float]]:
    networks: dict[str, dict[str, float]] = json.loads((run / "metrics.json").read_text())["networks"]
    return networks


def test_the_page_needs_nothing_else(whole: Parsed) -> None:
    assert not whole.wrong
    assert not whole.open
    names = {name for name, _ in whole.tags}
    assert not names & {"script", "link", "iframe", "object", "base", "form"}
    images = list(whole.of("img"))
    assert all(str(image["src"]).startswith("data:image/png;base64,") and image["alt"] for image in images)
    assert all(int(str(image["width"])) > 0 < int(str(image["height"])) for image in images)
    assert all(str(link["href"]).startswith("#") for link in whole.of("a"))
    for _, values in whole.tags:
        assert not any(re.search(r"url\(|https?:", str(value)) for value in values.values())
        assert not any(name.startswith("on") for name in values)


def test_its_parts_have_names_that_are_reached(whole: Parsed) -> None:
    assert list(whole.sections) == SECTIONS
    assert [str(link["href"])[1:] for link in whole.of("a")] == SECTIONS
    ids = [values["id"] for _, values in whole.tags if "id" in values]
    assert len(set(ids)) == len(ids)
    assert {str(values["aria-labelledby"]) for values in whole.of("section")} <= set(ids)
    assert all(values.get("scope") in ("col", "row") for values in whole.of("th"))
    assert next(whole.of("html"))["lang"] == "en"


def test_networks_have_their_figures_and_intervals(finished: Path, whole: Parsed) -> None:
    categories = find_split(finished / "data").open().categories
    for name, values in metrics_of(finished).items():
        counts, _ = ImageCounts.load(finished / "networks" / name / "images.json", categories)
        known = bootstrap(counts, "pq")
        cells = whole.row(name)
        assert cells[0] == f"{values['pq']:.1f} {known.low:.1f} to {known.high:.1f}"
        assert cells[5:] == [f"{values['gflops']:.3g}", "0.50 M", "20.0 ms"]
    (difference,) = [row for row in whole.rows if row[0] == "searched minus hand-made"]
    found = json.loads((finished / "metrics.json").read_text())["searched_minus"]["hand-made"]
    assert difference[1:3] == [f"{found['value']:+.1f}", f"{found['low']:+.1f} to {found['high']:+.1f}"]
    assert (
        "best of 2 trained finalists, by pq on nas_val: searched-1 41.2, searched-2 40.0" in whole.sections["networks"]
    )
    assert "short trainings of 2 candidates, which came to 30.0 to 35.2 pq" in whole.sections["networks"]


def test_the_search_is_shown(finished: Path, whole: Parsed) -> None:
    assert "above the hand-made one at" in whole.sections["front"]
    assert "12 candidates. It ended after as many candidates as were asked for." in whole.sections["search"]
    values = json.loads((finished / "search.json").read_text())
    best = values["trials"][values["best"]]
    cells = whole.row(str(values["best"]))
    assert cells[1:4] == [f"{best['metrics'][name]:.4g}" for name in ("pq", "gflops", "pq_standard_error")]
    assert "the best 3 of 12 candidates" in whole.sections["options"]
    labels = {choice["label"] for choice in values["space"]}
    assert labels <= {row[0] for row in whole.rows if row}


def test_classes_have_their_names_and_figures(finished: Path, whole: Parsed) -> None:
    found = metrics_of(finished)["searched"]["quality"]["per_category"]  # type: ignore[index]
    for category in find_split(finished / "data").open().categories:
        values = found[str(category.id)]
        shown = "-" if values["pq"] is None else f"{100 * values['pq']:.1f}"
        assert whole.row(category.name)[:2] == [str(values["tp"] + values["fn"]), shown]
    assert "noise" in whole.sections["classes"]


def test_the_best_and_the_worst_image_are_drawn(finished: Path, whole: Parsed) -> None:
    dataset = find_split(finished / "data").open()
    counts, _ = ImageCounts.load(finished / "networks" / "searched" / "images.json", dataset.categories)
    for index in (int(counts.pq.argmax()), int(counts.pq.argmin())):
        assert f"{dataset.image_path(index).name}: PQ {counts.pq[index]:.1f}" in whole.sections["images"]
        truth = {dataset.categories[segment.category_id].name for segment in dataset.truth(index).segments}
        legend = [row for row in whole.rows if len(row) == 3 and row[0] in truth and row[1] != "-"]
        assert {row[0] for row in legend} == truth
    assert [image["alt"] for image in whole.of("img") if "Its prediction" in str(image["alt"])]


def test_the_network_its_times_config_and_versions(finished: Path, whole: Parsed) -> None:
    found = Architecture.load(finished / "architecture.json")
    for stage in ("c2", "c3", "c4", "c5"):
        assert whole.row(f"stage {stage.upper()}")[0].count("shuffle3") == found[f"backbone.{stage}.depth"]
    assert whole.row("retraining") == ["1,208", "93%"]
    assert whole.row("all") == ["1,300", ""]
    assert "stuff_area: 16" in whole.sections["config"]
    assert whole.row("torch, of the trainings") == ["9.9.9"]


def test_the_five_lines_load_the_network(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.parent.parent)
    relative = run.relative_to(run.parent.parent)
    shutil.copy(next((run / "data" / "val").glob("*.png")), "photo.jpg")
    code = next(block.text for block in use_section(Run.read(relative)).blocks if isinstance(block, Code))
    assert len(code.splitlines()) == 5
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["trained"].folder == relative / "networks" / "searched"
    assert names["panoptic"].size == (64, 64)


def test_what_the_run_has_kept_is_not_measured_again(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    evaluate = measured.evaluate
    monkeypatch.setattr(measured, "evaluate", lambda *given, **named: calls.append(given) or evaluate(*given, **named))

    def found() -> Section:
        known = Run.read(run)
        return networks_section(known, Measured.of(known, "cpu"))

    kept = found()
    assert not calls
    (run / "networks" / "random" / "images.json").unlink()
    assert found() == kept
    assert len(calls) == 1
    # Of other weights than those of the comparison.
    shutil.copy(run / "networks" / "searched" / "images.json", run / "networks" / "random")
    assert found() == kept
    assert len(calls) == 2


def test_the_same_run_gives_the_same_page(finished: Path, whole: Parsed, tmp_path: Path) -> None:
    again = write_report(finished, tmp_path / "again.html", images=1, device="cpu")
    assert again.read_text() == whole.text
    assert list(tmp_path.iterdir()) == [again]


def test_every_text_is_escaped(run: Path) -> None:
    name = "<script>alert('&amp;')</script>"
    odd = run.rename(run.parent / '<img src="x">&quot;')
    for path in (odd / "data.json", *odd.glob("networks/*/usage.json"), *odd.glob("data/annotations/*.json")):
        path.write_text(path.read_text().replace('"noise"', json.dumps(name)))
    path = write_report(odd, images=1, device="cpu")
    text = path.read_text()
    assert "<script" not in text
    assert '<img src="x"' not in text
    found = Parsed(text)
    assert not found.wrong
    assert found.row(name)
    assert name in found.sections["images"]
    assert odd.name in found.sections["use"]


def test_an_unfinished_run_has_a_page(run: Path) -> None:
    for name in ("metrics.json", "front.json", "seconds.json", "architecture.json"):
        (run / name).unlink()
    shutil.rmtree(run / "networks")
    found = Parsed(write_report(run, device="cpu").read_text())
    assert list(found.sections) == SECTIONS
    for name, words in {
        "networks": "not finished", "front": "has not ended", "classes": "when a network is measured",
        "images": "not compared its networks yet", "network": "best candidate of the search so far",
        "use": "no trained network to load", "seconds": "No stage has ended",
    }.items():  # fmt: skip
        assert words in found.sections[name], name
    assert len(list(found.of("img"))) == 3
    assert "12 candidates" in found.sections["search"]


def stage_by_stage(run: Path) -> None:
    """Leave what the stages one by one leave, up to the retraining."""
    for path in ("metrics.json", *(f"networks/{name}/images.json" for name in ("searched", "random", "hand-made"))):
        (run / path).unlink()
    for name in ("random", "hand-made"):
        shutil.rmtree(run / "networks" / name)


@pytest.mark.parametrize("name", ["searched", "found"])
def test_what_evaluate_has_measured_stands_in_the_page(
    name: str, run: Path, finished: Path, whole: Parsed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a run of single stages, whose network may have another name where its architecture was given."""
    stage_by_stage(run)
    (run / "networks" / "searched").rename(run / "networks" / name)
    monkeypatch.chdir(run.parent.parent)
    for command, told in (
        (("evaluate", "mine"), "networks/*/evaluation.json"),
        (("report", "mine", "--images", "1"), "runs/mine/report.html"),
    ):
        done = CliRunner().invoke(program, ["panoptic", *command, "--device", "cpu"])
        assert done.exit_code == 0, done.output
        assert told in done.output
    found = Parsed((run / "report.html").read_text())
    known = metrics_of(finished)["searched"]
    own = costs(load_run(run), find_splits(run / "data").open())
    architecture = Architecture.load(run / "architecture.json")
    gflops, mparams = (own[key](architecture) for key in ("gflops", "mparams"))
    assert found.row(name)[:5] == whole.row("searched")[:5]
    assert found.row(name)[5:] == [f"{gflops:.3g}", f"{mparams:.2f} M", "-"]
    assert f"PQ of the {name} network on val" in found.text
    assert f">{known['pq']:.1f}<" in found.text
    assert "not finished" in found.text
    assert "run --resume --name mine" in found.sections["networks"]
    for category in find_split(finished / "data").open().categories:
        assert found.row(category.name)[:4] == whole.row(category.name)[:4]
    assert f"Best by the {name} network's PQ" in found.sections["images"]
    assert "load_trained(" in found.sections["use"]
    assert f"networks/{name}" in found.sections["use"]


def test_a_damaged_evaluation_is_named(run: Path) -> None:
    stage_by_stage(run)
    (run / "networks" / "searched" / "evaluation.json").write_text('{"metrics": {}}')
    with pytest.raises(ValueError, match=r"searched/evaluation\.json is damaged: it lacks 'architecture'"):
        write_report(run, device="cpu")


def test_a_search_without_a_cost_has_no_front(run: Path) -> None:
    (run / "front.json").unlink()
    changed = load_config(run / "config.yaml", {"search.cost": None, "search.strategy": "random"})
    save_config(changed, run / "config.yaml")
    (block,) = front_section(Run.read(run)).blocks
    assert isinstance(block, Lacking)
    assert "without a cost" in block.text


def test_images_that_are_gone_leave_the_rest(run: Path) -> None:
    shutil.rmtree(run / "data")
    known = Run.read(run)
    kept = Measured.of(known, "cpu")
    assert not kept.lacking
    lacking, heading, *pictures = examples_section(known, kept, 1, "cpu").blocks
    assert isinstance(lacking, Lacking)
    assert "could not be drawn" in lacking.text
    assert isinstance(heading, Heading)
    assert "as the run has drawn them" in heading.text
    assert len(pictures) == 1
    (run / "networks" / "searched" / "images.json").unlink()
    gone = Measured.of(known, "cpu")
    assert "could not be measured on val again" in gone.lacking
    table = networks_section(known, gone).blocks[0]
    assert isinstance(table, Table)
    assert not any(cell.note for _, cells in table.rows for cell in cells)


def test_where_nothing_is_there_it_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such folder of a run"):
        write_report(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="there is no run in"):
        write_report(tmp_path)
    with pytest.raises(IsADirectoryError, match="is a folder"):
        write_report(run, tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        write_report(run, tmp_path / "a" / "b.html")
    with pytest.raises(ValueError, match="images=-1"):
        write_report(run, images=-1)
    (run / "search.jsonl").unlink()
    with pytest.raises(FileNotFoundError, match="nothing to report yet"):
        write_report(run)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("metrics.json", "{", "metrics.json is damaged"),
        ("metrics.json", "{}", "names no networks"),
        ("metrics.json", '{"networks": {"searched": {"pq": 1}}}', "'searched' it lacks architecture, quality"),
        ("seconds.json", '{"data": "long"}', "nothing but times is lost"),
        ("data.json", "[]", "does not name the classes"),
        ("front.json", "{}", "front.json is damaged"),
        ("networks/random/images.json", '{"images": [{"id": 1, "found": {"99": [1]}}]}', "images.json does not say"),
    ],
)
def test_damaged_files_are_named(run: Path, name: str, text: str, message: str) -> None:
    (run / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        write_report(run, device="cpu")
    assert not (run / "report.html").exists()


def test_the_command(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.parent.parent)
    done = CliRunner().invoke(program, ["panoptic", "report", "mine", "--images", "0", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    assert "runs/mine/report.html" in done.output
    assert "images" not in Parsed((run / "report.html").read_text()).sections
    done = CliRunner().invoke(program, ["panoptic", "report", "yours"])
    assert done.exit_code == 1
    assert "no such folder of a run" in done.output
    assert "Traceback" not in done.output


def test_a_difference_of_nothing_has_no_minus(run: Path) -> None:
    path = run / "metrics.json"
    values = json.loads(path.read_text())
    values["searched_minus"]["random"] |= {"value": -0.01, "low": -0.04, "high": 0.2}
    path.write_text(json.dumps(values))
    known = Run.read(run)
    tables = [block for block in networks_section(known, Measured({}, [])).blocks if isinstance(block, Table)]
    (cells,) = [cells for name, cells in tables[1].rows if name == "searched minus random"]
    assert [cell.text for cell in cells] == ["+0.0", "+0.0 to +0.2", "no difference beyond the images"]


def test_the_best_is_bold_where_networks_differ(run: Path) -> None:
    path = run / "metrics.json"
    values = json.loads(path.read_text())
    for number, one in enumerate(values["networks"].values()):
        one |= {"pq": 10.0 + number, "sq": 0.0}
    path.write_text(json.dumps(values))
    table = next(one for one in networks_section(Run.read(run), Measured({}, [])).blocks if isinstance(one, Table))
    bold = {column: [cells[index].best for _, cells in table.rows] for index, column in enumerate(table.columns[1:])}
    assert bold["PQ"] == [False] * (len(table.rows) - 1) + [True]
    assert not any(bold["SQ"])


def test_what_is_copied_from_the_page_names_the_run_as_a_shell_and_python_read_it(run: Path) -> None:
    folder = run.rename(run.parent / "it's a run")
    (_, python, _, shell) = use_section(Run.read(folder)).blocks
    (call,) = [line for line in python.text.splitlines() if "load_trained(" in line]
    assert ast.literal_eval(call.partition("load_trained(")[2].removesuffix(")")) == str(
        folder / "networks" / "searched"
    )
    predict, evaluate = (shlex.split(line) for line in shell.text.splitlines())
    assert predict[predict.index("--run") + 1] == str(folder / "networks" / "searched")
    assert evaluate[-1] == str(folder)
