"""Trained networks are measured: the figures are those of what is written, and what does not fit is refused."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from typer.testing import CliRunner

from autopanoptic.nas.cli import app as program
from autopanoptic.panoptic.data.coco.layout import find_split, find_splits
from autopanoptic.panoptic.data.loading.batches import evaluation_batches
from autopanoptic.panoptic.quality.bootstrap import bootstrap, bootstrap_difference, value_of
from autopanoptic.panoptic.quality.folders import evaluate_folders
from autopanoptic.panoptic.quality.images import ImageCounts
from autopanoptic.panoptic.search.evaluator import Validation
from autopanoptic.panoptic.trained.evaluate import evaluate
from autopanoptic.panoptic.trained.evaluation import Evaluation
from autopanoptic.panoptic.trained.networks import load_trained


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("out")


@pytest.fixture(scope="module")
def evaluation(shared_run: Path, out: Path) -> Evaluation:
    return evaluate(shared_run, out=out, device="cpu", batch_size=3)


def test_pq_is_that_of_the_written_predictions(shared_run: Path, out: Path, evaluation: Evaluation) -> None:
    annotations = shared_run / "data" / "annotations"
    for name, one in evaluation.networks.items():
        truth = (annotations / "panoptic_val.json", annotations / "panoptic_val")
        found = evaluate_folders(*truth, out / name / "predictions.json", out / name / "predictions")
        assert found.to_json() == one.quality.to_json()
    assert evaluation.networks["searched"].metrics()["pq"] > 0
    assert (evaluation.images, evaluation.split) == (4, "val")


def test_panopticapi_accepts_the_predictions(shared_run: Path, out: Path, evaluation: Evaluation) -> None:
    pytest.importorskip("panopticapi")
    done = subprocess.run(
        [sys.executable, "-m", "panopticapi.evaluation", "--pred_json_file", out / "searched" / "predictions.json",
         "--gt_json_file", shared_run / "data" / "annotations" / "panoptic_val.json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("All")]
    means = evaluation.networks["searched"].quality.all
    expected = [f"{100 * value:.1f}" for value in (means.pq, means.sq, means.rq)]
    assert line.split("|")[1].split() == [*expected, str(means.n)]


def test_pq_is_that_of_a_validation_without_ap(shared_run: Path, evaluation: Evaluation) -> None:
    """AP needs things of low scores, which change nothing else."""
    trained = load_trained(shared_run / "networks" / "random")
    dataset = find_split(shared_run / "data").open()
    divisor = trained.network.config.image_divisor
    batches = evaluation_batches(dataset, trained.usage.transform, batch_size=3, divisor=divisor)
    quality = Validation(dataset, batches, trained.usage.rules).quality(trained.network)
    assert quality == evaluation.networks["random"].quality


@pytest.mark.parametrize("kind", ["box", "mask"])
def test_ap_is_pycocotools_of_the_written_instances(
    shared_run: Path, out: Path, evaluation: Evaluation, kind: str, tmp_path: Path
) -> None:
    dataset = find_split(shared_run / "data").open()
    ids = dataset.image_ids.tolist()
    truth = {
        "images": [{"id": i, "height": h, "width": w} for i, (h, w) in zip(ids, dataset.sizes.tolist(), strict=True)],
        "categories": [{"id": category.id} for category in dataset.categories.things],
        "annotations": [],
    }
    for index, image_id in enumerate(ids):
        for segment in dataset.truth(index).segments:
            if dataset.categories[segment.category_id].isthing:
                encoded = rle.encode(np.asfortranarray(dataset.ids(index) == segment.id).astype(np.uint8))
                truth["annotations"].append({
                    "id": len(truth["annotations"]) + 1, "image_id": image_id, "category_id": segment.category_id,
                    "iscrowd": 0, "area": int(rle.area(encoded)), "bbox": rle.toBbox(encoded).tolist(),
                    "segmentation": {**encoded, "counts": encoded["counts"].decode()},
                })  # fmt: skip
    results = json.loads((out / "searched" / "instances.json").read_text())
    unwanted = "segmentation" if kind == "box" else "bbox"
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    (tmp_path / "results.json").write_text(
        json.dumps([{key: value for key, value in one.items() if key != unwanted} for one in results])
    )
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(tmp_path / "truth.json"))
        by_coco = COCOeval(coco, coco.loadRes(str(tmp_path / "results.json")), "bbox" if kind == "box" else "segm")
        by_coco.evaluate()
        by_coco.accumulate()
        by_coco.summarize()
    report = evaluation.networks["searched"].precision[kind]  # type: ignore[index]
    np.testing.assert_array_equal(list(report.stats.values()), np.where(by_coco.stats < 0, np.nan, by_coco.stats))


def test_intervals_are_those_of_the_bootstrap(evaluation: Evaluation) -> None:
    one, two = evaluation.networks["searched"], evaluation.networks["random"]
    assert one.estimates["pq_stuff"] == bootstrap(one.quality.images, "pq_stuff")
    difference = evaluation.differences["random"]["pq"]
    assert difference == bootstrap_difference(one.quality.images, two.quality.images)
    assert difference.value == pytest.approx(one.metrics()["pq"] - two.metrics()["pq"])
    assert {"box_ap", "mask_ap", "miou"} <= set(one.estimates)
    written = json.loads(json.dumps(evaluation.to_json(), allow_nan=False))
    assert written["networks"]["searched"]["intervals"]["miou"] == asdict(one.estimates["miou"])
    assert written["differences"][0]["minus"] == "random"


def test_another_set_needs_the_networks_classes_alone(run: Path, scene_folder: Path, tmp_path: Path) -> None:
    """No run around the network, and a set of one split."""
    alone = shutil.copytree(run / "networks" / "random", tmp_path / "alone")
    other = tmp_path / "other"
    shutil.copytree(scene_folder / "val", other / "val")
    shutil.copytree(scene_folder / "annotations" / "panoptic_val", other / "annotations" / "panoptic_val")
    path = other / "annotations" / "panoptic_val.json"
    values = json.loads((scene_folder / "annotations" / "panoptic_val.json").read_text())
    # In another order: the network's labels count, not the places in this file.
    path.write_text(json.dumps({**values, "categories": values["categories"][::-1]}))
    found = evaluate(alone, data=other, device="cpu").networks["alone"]
    own = evaluate(run, networks=["random"], device="cpu", batch_size=8).networks["random"]
    assert found.metrics() == own.metrics()
    with pytest.raises(FileNotFoundError, match="has no train split"):
        evaluate(alone, data=other, split="train")
    with pytest.raises(ValueError, match="is in no run's folder"):
        evaluate(alone)
    values["categories"][2]["name"] = "heron"
    path.write_text(json.dumps(values))
    with pytest.raises(ValueError, match=r"has other categories than the network .*alone: category .*'heron'"):
        evaluate(alone, data=other)


def test_another_set_may_have_other_ids_of_the_same_classes(run: Path, scene_folder: Path, tmp_path: Path) -> None:
    """Annotation tools number classes as they like."""
    own = evaluate(run, networks=["random"], device="cpu").networks["random"]
    other = shutil.copytree(scene_folder, tmp_path / "other")
    path = other / "annotations" / "panoptic_val.json"
    values = json.loads(path.read_text())
    ids = {one["id"]: 500 - one["id"] for one in values["categories"]}
    for entry in (*values["categories"], *(s for one in values["annotations"] for s in one["segments_info"])):
        key = "category_id" if "category_id" in entry else "id"
        entry[key] = ids[entry[key]]
    path.write_text(json.dumps(values))
    found = evaluate(run, data=other, networks=["random"], out=tmp_path / "out", device="cpu")
    assert found.networks["random"].metrics() == own.metrics()
    written = json.loads((tmp_path / "out" / "random" / "predictions.json").read_text())
    segments = [segment["category_id"] for one in written["annotations"] for segment in one["segments_info"]]
    assert segments
    assert set(segments) <= set(ids.values())
    values["categories"][0]["isthing"] = 1 - values["categories"][0]["isthing"]
    path.write_text(json.dumps(values))
    with pytest.raises(ValueError, match="has other categories than the network"):
        evaluate(run, data=other, device="cpu")


def test_the_other_splits_are_the_runs(run: Path) -> None:
    found = evaluate(run, split="nas_val", networks=["random"], device="cpu")
    assert found.images == len(find_splits(run / "data").open().nas_val)
    assert found.source.endswith("panoptic_nas_val.json")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "test"}, "split='test' is none of train, nas_val, val"),
        ({"device": "tpu"}, "device='tpu' is none of"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"data": "nowhere"}, "nowhere: there is no such folder"),
    ],
)
def test_refusals(shared_run: Path, options: dict[str, str], message: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        evaluate(shared_run, **options)  # type: ignore[arg-type]


def test_the_command(run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    done = CliRunner().invoke(
        program, ["panoptic", "evaluate", "mine", "--classes", "--json", "all.json", "--device", "cpu"]
    )
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines if line.startswith((" searched", " random"))][:2] == [
        "searched",
        "random",
    ]
    assert "searched minus another" in done.output
    assert "searched, class by class" in done.output
    quality = json.loads((tmp_path / "all.json").read_text())["networks"]["searched"]["quality"]
    for kind in ("all", "things", "stuff"):
        row = next(line.split() for line in lines if line.startswith(f" {kind} "))
        assert row[1:4] == [
            "-" if (value := quality[kind][key]) is None else f"{100 * value:.1f}" for key in ("pq", "sq", "rq")
        ]
    metrics = json.loads((tmp_path / "all.json").read_text())["networks"]["searched"]["metrics"]
    (row,) = [line.split() for line in lines if line.startswith(" searched ")]
    assert row[1:] == [
        f"{metrics[name]:.1f}" for name in ("pq", "pq_things", "pq_stuff", "sq", "rq", "box_ap", "mask_ap", "miou")
    ]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at a folder of Linux that takes no files")
def test_the_command_refuses_before_it_measures(shared_run: Path, tmp_path: Path) -> None:
    for options, message in (
        (["--json", str(tmp_path / "a" / "b.json")], "there is no folder"),
        (["--json", str(tmp_path)], "is a folder; give a file"),
        (["--json", "/proc/all.json"], "/proc takes no files"),
        (["--network", "best"], "no trained network 'best'"),
        (["--out", str(shared_run / "config.yaml")], "is a file; give a folder"),
    ):
        done = CliRunner().invoke(program, ["panoptic", "evaluate", str(shared_run), *options])
        assert done.exit_code == 1
        assert message in done.output
        assert "Traceback" not in done.output


def test_a_run_keeps_what_is_measured_on_its_own_val(run: Path, scene_folder: Path, tmp_path: Path) -> None:
    kept = run / "networks" / "searched" / "evaluation.json"

    def done(*options: str) -> str:
        found = CliRunner().invoke(program, ["panoptic", "evaluate", str(run), "--device", "cpu", *options])
        assert found.exit_code == 0, found.output
        return found.output

    evaluate(run, device="cpu")
    done("--data", str(scene_folder))
    done("--split", "nas_val")
    (run / "metrics.json").write_text("{}")  # the run has compared them
    done()
    assert not list(run.rglob("evaluation.json"))
    assert not list(run.rglob("images.json"))
    (run / "metrics.json").unlink()
    done("--json", str(tmp_path / "all.json"))
    told = json.loads((tmp_path / "all.json").read_text())["networks"]["searched"]
    found = json.loads(kept.read_text())
    assert {key: found[key] for key in told} == told
    dataset = find_split(run / "data").open()
    counts, ids = ImageCounts.load(kept.with_name("images.json"), dataset.categories)
    assert ids == dataset.image_ids.tolist()
    assert 100 * found["quality"]["all"]["pq"] == pytest.approx(value_of(counts))
    assert not (run / "networks" / "searched-1" / "evaluation.json").exists()


def test_what_cannot_be_kept_is_told_and_not_lost(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(run / "data" / "annotations" / "panoptic_train")
    done = CliRunner().invoke(program, ["panoptic", "evaluate", str(run), "--device", "cpu"])
    assert done.exit_code == 0, done.output
    assert "Not kept for the report of the run: " in done.output
    assert "searched minus another" in done.output
