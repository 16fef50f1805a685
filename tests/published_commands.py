"""The commands of the page of the published code's steps, and a small world in which they run."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from autopanoptic.panoptic.data.coco.panoptic_png import read_ids
from autopanoptic.panoptic.data.scenes.files import write_scenes

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "panoptic.md").read_text()
IN_ORDER = list(dict.fromkeys(re.findall(r"(?:^|`)(autopanoptic [^`\n]+)", PAGE, re.MULTILINE)))
"""Every command, as the page has them one after the other."""
SMALL = """\
base: {base}
data: {{short_side: 64, long_side: 96}}
network:
  {width}
  pyramid_channels: 16
  norm_groups: 4
  segmentation_channels: 16
  box_hidden: 16
  rpn_pre_nms_train: 50
  rpn_pre_nms_test: 20
  rpn_post_nms_train: 20
  rpn_post_nms_test: 10
  box_samples: 8
  detections_per_image: 5
retrained_network: {retrained}
supernet: {{passes: 12, batch_size: 2, warmup: 0}}
retrain: {{passes: 2, batch_size: 2, warmup: 0, milestones: [1]}}
search: {{trials: 13, recalibration_batches: 1, finalists: 1}}
machine: {{loaders: 0, workers: 1, device: cpu, checkpoint_every: 12, trainings: 1}}
"""
TINY = "stem_width: 8\n  stage_widths: [16, 24, 32, 48]\n  stage_depths: [8, 8, 16, 8]"
RECIPE = {
    "passes": 2, "batch_size": 4, "image_size": 32, "tail_width": 8, "warmup": 0, "bins": 2, "validated_paths": 1,
    "recalibration_batches": 1,
}  # fmt: skip
"""Of a pretraining; `bins` and what follows are a supernet's."""
OF_THE_SIZE = {"--nas-val": "2", "--trials": "13"}
"""Options whose values go with the size of a data set or of a search."""


def write_world(root: Path) -> None:
    """Write small data sets as they are distributed, COCO 2017 of generated scenes, and small forms of the configs."""
    _write_coco(write_scenes(root / "scenes", {"train": 8, "nas_val": 1, "val": 2}, size=64), root / "coco")
    _write_ade20k(root / "ADEChallengeData2016")
    _write_cityscapes(root / "cityscapes")
    _write_images(root / "imagenet")
    for base in ("coco", "ade20k", "cityscapes"):
        (root / f"{base}.yaml").write_text(SMALL.format(base=base, width=TINY, retrained="null"))
        # A width is the one thing that the command itself says.
        named = SMALL.format(base=base, width="{}", retrained="{}").replace("  {}\n", "")
        (root / f"{base}-width.yaml").write_text(named)


def in_small(line: str, root: Path) -> list[str]:
    """Return the arguments of a command of the page, in a small form: other values, but the same options.

    Added are `--part`, where a data set is counted, and the size of a pretraining's recipe.
    """
    line = line.replace("/data/", f"{root}/")
    words = shlex.split(line)[1:]
    suffix = "-width" if "--width" in words else ""
    for place, word in enumerate(words[:-1]):
        if word == "--config":
            words[place + 1] = str(root / f"{words[place + 1]}{suffix}.yaml")
        elif word in OF_THE_SIZE:
            words[place + 1] = OF_THE_SIZE[word]
    if words[1] == "prepare":
        words += ["--part", "--workers", "1"]
        words += [] if "--nas-val" in words else ["--nas-val", "2"]
    if words[1] in ("pretrain-supernet", "pretrain"):
        return _small_recipe(words)
    return words


def _small_recipe(words: list[str]) -> list[str]:
    kept = [one for one in words if not one.startswith("recipe.")]
    kept = [one for place, one in enumerate(kept) if one != "--set" or "=" in "".join(kept[place + 1 : place + 2])]
    known = list(RECIPE) if words[1] == "pretrain-supernet" else list(RECIPE)[: list(RECIPE).index("bins")]
    return [*kept, *(word for name in known for word in ("--set", f"recipe.{name}={RECIPE[name]}"))]


def _write_coco(scenes: Path, root: Path) -> None:
    for split in ("train", "val"):
        name = f"{split}2017"
        shutil.copytree(scenes / split, root / name)
        shutil.copytree(scenes / "annotations" / f"panoptic_{split}", root / "annotations" / f"panoptic_{name}")
        panoptic = json.loads((scenes / "annotations" / f"panoptic_{split}.json").read_text())
        (root / "annotations" / f"panoptic_{name}.json").write_text(json.dumps(panoptic))
        things = [one for one in panoptic["categories"] if one["isthing"]]
        instances = list(_instances(panoptic, {one["id"] for one in things}, root / "annotations" / f"panoptic_{name}"))
        content = {"images": panoptic["images"], "annotations": instances, "categories": things}
        (root / "annotations" / f"instances_{name}.json").write_text(json.dumps(content))


def _instances(panoptic: dict[str, Any], things: set[int], pngs: Path) -> Iterator[dict[str, Any]]:
    for one in panoptic["annotations"]:
        ids = read_ids(pngs / one["file_name"])
        for number, segment in enumerate(found for found in one["segments_info"] if found["category_id"] in things):
            rows, columns = np.nonzero(ids == segment["id"])
            x, y, right, below = (int(end) for end in (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
            yield {
                **{key: segment[key] for key in ("category_id", "area", "iscrowd")},
                "id": 1000 * one["image_id"] + number,
                "image_id": one["image_id"],
                "bbox": [x, y, right - x, below - y],
                "segmentation": [[x, y, right, y, right, below, x, below]],
            }


def _write_ade20k(root: Path) -> None:
    """The challenge's release: wall, and a person."""
    semantic, instances = np.full((64, 64), 1, np.uint8), np.zeros((64, 64, 3), np.uint8)
    semantic[10:30, 10:30], instances[10:30, 10:30] = 13, (4, 1, 0)
    for split, name, count in (("training", "train", 4), ("validation", "val", 1)):
        for number in range(count):
            stem = f"{split}/ADE_{name}_0000000{number}"
            _save(root / "images" / f"{stem}.jpg", _noise(number, 64, 64))
            _save(root / "annotations" / f"{stem}.png", semantic)
            _save(root / "annotations_instance" / f"{stem}.png", instances)


def _write_cityscapes(root: Path) -> None:
    """Road, and a car."""
    values = np.full((64, 96), 7, np.uint16)
    values[10:30, 10:40] = 26001
    for split, cities in (("train", ("aachen", "bochum", "jena")), ("val", ("ulm",))):
        for city in cities:
            stem = f"{split}/{city}/{city}_000000_000001"
            _save(root / "gtFine" / f"{stem}_gtFine_instanceIds.png", values)
            _save(root / "leftImg8bit" / f"{stem}_leftImg8bit.png", _noise(1, 64, 96))


def _write_images(root: Path) -> None:
    for split in ("train", "val"):
        for name in ("n01440764", "n01443537"):
            for number in range(4):
                _save(root / split / name / f"{number}.JPEG", _noise(number, 40, 48))


def _noise(seed: int, height: int, width: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _save(path: Path, values: npt.NDArray[np.integer]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
