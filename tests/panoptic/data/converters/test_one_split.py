"""A folder that holds one split of a release, in the release's folders or without any."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from autopanoptic.panoptic.cli import app
from autopanoptic.panoptic.data.coco.checks import check
from autopanoptic.panoptic.data.coco.layout import find_split, find_splits
from autopanoptic.panoptic.data.coco.panoptic_png import read_ids
from autopanoptic.panoptic.data.converters.ade20k import convert_ade20k
from autopanoptic.panoptic.data.converters.cityscapes import convert_cityscapes
from autopanoptic.panoptic.data.converters.cityscapes_labels import LABELS
from autopanoptic.panoptic.data.converters.coco import convert_coco
from tests.panoptic.data.converters.test_coco import add_split

CITY = "aachen_000000_00000"


def prepare(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, ["prepare", *map(str, arguments), "--workers", "1"], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def test_ade20ks_sample_as_it_lies(ade20k_sample: Path, tmp_path: Path) -> None:
    """Three images of training without the release's folders."""
    with pytest.raises(ValueError, match=r"files such as ADE_train_\d+_seg\.png, but no folder for each split: say"):
        convert_ade20k(ade20k_sample, tmp_path / "out", whole=False)
    printed = prepare("ade20k", ade20k_sample, "--out", tmp_path / "out", "--part", "--split", "train")
    assert "Missing: val, which every run needs too." in printed
    train = find_split(tmp_path / "out", "train").open()
    check(train)
    assert [len(train), len(find_split(tmp_path / "out", "nas_val").open())] == [3, 1]
    assert train.orientation == "ignore"
    with pytest.raises(FileNotFoundError, match="has no val split"):
        find_splits(tmp_path / "out")


def test_cityscapes_sample_as_it_lies(cityscapes_sample: Path, tmp_path: Path) -> None:
    """One image of val."""
    with pytest.raises(ValueError, match=r"frankfurt_000000_000294_gtFine_instanceIds\.png, but no folder"):
        convert_cityscapes(cityscapes_sample, tmp_path / "out", whole=False)
    printed = prepare("cityscapes", cityscapes_sample, "--out", tmp_path / "out", "--part", "--split", "val")
    assert f"Missing: train, without which nothing is trained. Next: autopanoptic panoptic evaluate RUN --data {tmp_path / 'out'}" in printed  # fmt: skip  # noqa: E501
    val = find_split(tmp_path / "out", "val").open()
    check(val)
    source, labels = (
        np.asarray(Image.open(cityscapes_sample / f"frankfurt_000000_000294_gtFine_{kind}Ids.png"))
        for kind in ("instance", "label")
    )
    ids = read_ids(tmp_path / "out/annotations/panoptic_val/frankfurt_000000_000294_gtFine_panoptic.png")
    assert np.array_equal(ids, np.where(np.isin(labels, [label.id for label in LABELS]), source, 0))
    with pytest.raises(FileNotFoundError, match="has no train split"):
        find_splits(tmp_path / "out")


@pytest.fixture
def cityscapes(tmp_path: Path, save: Callable, noise: Callable) -> Path:
    """Three images of train, in the release's folders."""
    for i in range(3):
        save(tmp_path / f"gtFine/train/aachen/{CITY}{i}_gtFine_instanceIds.png", np.full((6, 8), 7, np.uint16))
        noise(tmp_path / f"leftImg8bit/train/aachen/{CITY}{i}_leftImg8bit.png", 6, 8)
    return tmp_path


def test_what_is_missing_is_told_with_what_could_be_converted(cityscapes: Path) -> None:
    folders = [cityscapes / kind / "val" for kind in ("gtFine", "leftImg8bit")]
    with pytest.raises(FileNotFoundError) as error:
        convert_cityscapes(cityscapes, cityscapes / "out", whole=False)
    hint = "train lacks nothing: --split train (split='train') converts it alone"
    assert str(error.value) == f"{cityscapes} lacks {folders[0]}, {folders[1]}. {hint}"
    with pytest.raises(FileNotFoundError) as error:
        convert_cityscapes(cityscapes, cityscapes / "out", split="val", whole=False)
    assert str(error.value) == f"{cityscapes} lacks {folders[0]}, {folders[1]}"
    with pytest.raises(ValueError, match="split='test' is none of train, val; leave it out to convert both"):
        convert_cityscapes(cityscapes, cityscapes / "out", split="test")  # type: ignore[arg-type]


def test_counts_are_compared_for_the_split_that_is_converted(cityscapes: Path) -> None:
    with pytest.raises(ValueError, match="train has 3 images, where the release has 2,975") as error:
        convert_cityscapes(cityscapes, cityscapes / "out", split="train")
    assert "val" not in str(error.value)
    convert_cityscapes(cityscapes, cityscapes / "out", split="train", whole=False, nas_val=2)
    assert len(find_split(cityscapes / "out", "nas_val").open()) == 2


def test_a_split_of_createpanopticimgs_and_one_of_each_release_of_ade20k(
    tmp_path: Path, save: Callable, noise: Callable
) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"neither val/CITY/.*, nor cityscapes_panoptic_val\.json, as .* writes it$"
    ):
        convert_cityscapes(tmp_path, tmp_path / "out", split="val")
    for kind, shape in (("annotations", (8, 10)), ("annotations_instance", (8, 10, 3))):
        save(tmp_path / kind / "validation" / "ADE_val_1.png", np.ones(shape, np.uint8))
    noise(tmp_path / "images" / "validation" / "ADE_val_1.jpg", 8, 10)
    with pytest.raises(FileNotFoundError, match=r"lacks .*images/training, .*val lacks nothing: --split val"):
        convert_ade20k(tmp_path, tmp_path / "out")
    convert_ade20k(tmp_path, tmp_path / "out", split="val", whole=False)
    check(find_split(tmp_path / "out", "val").open())
    full = tmp_path / "full" / "images" / "ADE" / "validation" / "urban" / "street"
    save(full / "X_seg.png", np.full((8, 10, 3), 1, np.uint8))
    noise(full / "X.jpg", 8, 10)
    with pytest.raises(FileNotFoundError, match=r"lacks .*ADE/training\. val lacks nothing"):
        convert_ade20k(tmp_path / "full", tmp_path / "other")
    convert_ade20k(tmp_path / "full", tmp_path / "other", split="val", whole=False)
    assert find_split(tmp_path / "other", "val").open().image_ids.tolist() == ["X"]


@pytest.mark.parametrize("split", ["train", "val"])
def test_coco_with_one_split(split: str, tmp_path: Path, save: Callable, noise: Callable) -> None:
    other = "val" if split == "train" else "train"
    add_split(tmp_path / "coco", f"{split}2017", range(9, 49, 4), save, noise)
    with pytest.raises(FileNotFoundError, match=rf"{other}2017.*{split} lacks nothing: --split {split} \(split="):
        convert_coco(tmp_path / "coco", whole=False)
    out = tmp_path / "out"
    more = ("--nas-val", "3", "--semantic-pngs", "--part")
    printed = prepare("coco", tmp_path / "coco", "--out", out, "--split", split, *more)
    assert f"Missing: {other}, " in printed
    assert len(list((out / "annotations" / "PanopticAnnotation" / f"{split}2017").glob("*.png"))) == 10
    assert (out / "nas").exists() == (split == "train")
    check(find_split(out, split).open())
    assert not (out / f"{other}2017").is_symlink()
    if split == "val":
        with pytest.raises(ValueError, match="things='instances' is of train2017, which split='val' leaves out"):
            convert_coco(tmp_path / "coco", out, things="instances", split="val", whole=False)
