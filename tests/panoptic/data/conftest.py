import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from autopanoptic.panoptic.data.coco.reader import CocoPanoptic
from autopanoptic.panoptic.data.segments import id_to_rgb

CATEGORIES = [
    {"id": 10, "name": "sky", "isthing": 0, "color": [70, 130, 180]},
    {"id": 1, "name": "cat", "isthing": 1, "color": [220, 20, 60]},
    {"id": 12, "name": "sand", "isthing": 0, "color": [200, 180, 90]},
    {"id": 5, "name": "dog", "isthing": 1, "color": [0, 0, 142]},
]


class Folder:
    """A small data set on disk, whose JSON tests may spoil before they open it."""

    def __init__(self, root):
        self.root = Path(root)
        self.images, self.pngs, self.path = self.root / "images", self.root / "pngs", self.root / "set.json"
        self.orientation = "apply"
        self.images.mkdir(parents=True)
        self.pngs.mkdir()
        self.json = {"images": [], "annotations": [], "categories": json.loads(json.dumps(CATEGORIES))}

    def add(self, ids, categories, crowds=()):
        """Adds an image with this id map; `categories` maps segment ids to category ids."""
        ids = np.asarray(ids)
        number = len(self.json["images"]) + 1
        image = np.random.default_rng(number).integers(0, 256, (*ids.shape, 3), dtype=np.uint8)
        Image.fromarray(image).save(self.images / f"{number}.png")
        Image.fromarray(id_to_rgb(ids)).save(self.pngs / f"{number}.png")
        entry = {"id": number, "file_name": f"{number}.png", "height": ids.shape[0], "width": ids.shape[1]}
        segments = [
            {"id": i, "category_id": c, "area": int((ids == i).sum()), "iscrowd": int(i in crowds)}
            for i, c in categories.items()
        ]
        self.json["images"].append(entry)
        self.json["annotations"].append({"image_id": number, "file_name": f"{number}.png", "segments_info": segments})
        return self

    def open(self):
        self.path.write_text(json.dumps(self.json))
        return CocoPanoptic(self.images, self.pngs, self.path, orientation=self.orientation)


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "set")


@pytest.fixture(scope="session")
def coco_sample():
    root = Path(__file__).resolve().parents[4] / "shared" / "data" / "panoptic" / "coco_sample"
    if not root.is_dir():
        pytest.skip(f"the two COCO images are not at {root}")
    return root
