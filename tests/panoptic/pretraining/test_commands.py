"""The commands pretrain-supernet and pretrain."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from autopanoptic.nas import Architecture, Supernet
from autopanoptic.nas.cli import app
from autopanoptic.panoptic.configs.config import load_config
from autopanoptic.panoptic.pretraining import sources
from autopanoptic.panoptic.search.strategies import hand_made
from autopanoptic.panoptic.stages.networks import build

runner = CliRunner()

SMALL = (
    "--passes", "2", "--batch-size", "2", "--image-size", "32", "--device", "cpu", "--set", "recipe.warmup=0",
    "--set", "recipe.batch_size=4",
    "--set", "recipe.tail_width=16", "--set", "recipe.bins=2", "--set", "recipe.recalibration_batches=1",
    "--set", "recipe.validated_paths=1", "--set", "search.space=auto-panoptic", "--set", "network.stem_width=4",
    "--set", "network.stage_widths=[8, 12, 16, 24]", "--recipe", "small",
)  # fmt: skip


def run(command: str, *options: str, code: int = 0) -> str:
    result = runner.invoke(app, ["panoptic", command, *options])
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


@pytest.fixture
def architecture(tmp_path: Path) -> Path:
    space = Supernet(build(load_config("scenes", {"search.space": "auto-panoptic"}).network_for(5, 3), 0)).space
    hand_made(space).save(tmp_path / "architecture.json")
    return tmp_path / "architecture.json"


def test_both_stages_from_one_folder(
    scene_folder: Path, image_folder: Path, architecture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    shown = run("pretrain-supernet", "--crops", "--data", str(scene_folder), "--out", str(out), *SMALL)
    assert "top-1" in shown
    assert f"weights: {out / 'supernet' / 'backbone.pt'}" in shown
    assert (out / "crops" / "crops.json").is_file()
    shown = run(
        "pretrain", "--images", str(image_folder), "--architecture", str(architecture), "--out", str(out), *SMALL
    )  # fmt: skip
    assert f"3 classes; weights: {out / 'found' / 'backbone.pt'}" in shown
    # A network's folder serves as well as the file; images that were checked when it began are not checked again.
    monkeypatch.setattr(sources, "check_images", lambda *_: pytest.fail("decoded again"))
    again = run(
        "pretrain", "--images", str(image_folder), "--architecture", str(tmp_path), "--out", str(out), *SMALL
    )  # fmt: skip
    assert again.split("top-1")[1:] == shown.split("top-1")[1:]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "give either --images DIR, or --crops"),
        (("--images", "nowhere", "--crops"), "give either --images DIR, or --crops"),
        (("--images", "nowhere"), "nowhere: there is no such folder; give one with train/CLASS/ and val/CLASS/"),
        (("--crops", "--recipe", "large"), "there is no recipe 'large'"),
        (("--crops", "--set", "recipe.passes=0"), "passes must be at least 1, not 0"),
        (("--crops", "--set", "serch.space=elastic"), "serch: unknown key"),
    ],
)
def test_what_is_wrong_is_told(
    options: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in run("pretrain-supernet", *options, code=1)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_gpu_that_is_not_there_is_refused_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "can use no GPU of this machine" in run("pretrain-supernet", "--crops", "--device", "cuda", code=1)
    assert not list(tmp_path.iterdir())


def test_architectures_that_are_not_there_or_do_not_fit_are_refused(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ("pretrain", "--images", str(image_folder), "--out", str(tmp_path / "out"), *SMALL)
    shown = run(*given, "--architecture", "nowhere.json", code=1)
    assert "nowhere.json: is neither an architecture's file, a network's folder nor one of ['ade_3.8g'" in shown
    monkeypatch.setattr(sources, "check_images", lambda *_: pytest.fail("decoded before the rest was checked"))
    Architecture({"backbone.0": "shuffle9"}).save(tmp_path / "odd.json")
    assert "backbone.0" in run(*given, "--architecture", str(tmp_path / "odd.json"), code=1)
    assert "The space has no choice 'backbone.6'" in run(*given, "--architecture", "coco_3.8g", code=1)
    assert not (tmp_path / "out").exists()


def test_bins_that_no_path_meets_are_refused_before_an_image_is_decoded(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "check_images", lambda *_: pytest.fail("decoded before the rest was checked"))
    options = [one.replace("recipe.bins=2", "recipe.bins=[1e6, 2e6]") for one in SMALL]
    shown = run("pretrain-supernet", "--images", str(image_folder), "--out", str(tmp_path / "out"), *options, code=1)
    assert "random paths costs between 1e+06 and 2e+06" in shown
    assert not (tmp_path / "out").exists()
