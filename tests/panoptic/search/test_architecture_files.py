import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from autopanoptic.nas import Architecture
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.search.architecture_files import (
    from_published,
    load_shipped,
    read_published,
    shipped,
    to_published,
    write_published,
)

TABLES = {
    "coco_3.8g": (
        "X S7 S3 S7 S5 X S7 S3  S5 X S5 X X S3 S3 S5  S3 S3 S5 S3 S7 X S7 S7 S5 S3 S5 X S5 S7 S7 S5  "
        "S5 S7 S3 S7 S3 S7 X S3",
        "AT3 DW5 DF3 DF5  DF3 DF5 DW3",
        "R16 R4 R4 R4  R8 R8 R8 R16 R4",
    ),
    "ade_3.8g": (
        "S5 S7 X S5 S5 S7 S5 S7  S3 X S7 S7 S5 X S5 X  S5 X X S7 S5 S3 S3 S7 S5 X S7 S3 S5 S5 S3 X  S3 X S3 X X S5 X X",
        "DF3 DW3 DF5 DF5  DF5 DF3 DF5",
        "R16 R4 R8 R8  R4 R4 R8 R4 R16",
    ),
}
"""The networks of the paper's test_models: blocks, mask and segmentation layers, units f2b and b2f."""
PUBLISHED = {
    name: {part: [int(index) for index in indices] for part, indices in record.items()}
    for name, record in {
        "coco_3.8g": {
            "backbone": "3202132013133001001023221013122112020230",
            "head": "4123230",
            "inter": "200011120",
        },
        "ade_3.8g": {
            "backbone": "1231121203221313133210021320110303033133",
            "head": "2033323",
            "inter": "201100102",
        },
    }.items()
}
"""What its files hold."""
BLOCKS = {"S3": "shuffle3", "S5": "shuffle5", "S7": "shuffle7", "X": "xception3"}


def test_both_published_architectures_ship() -> None:
    assert shipped() == ["ade_3.8g", "coco_3.8g"]
    assert all(len(load_shipped(name)) == 56 for name in shipped())


@pytest.mark.parametrize("name", TABLES)
def test_the_shipped_architectures_are_the_published_ones(name: str) -> None:
    blocks, heads, units = (row.split() for row in TABLES[name])
    labels = [f"mask.{index}" for index in range(4)] + [f"segmentation.{index}" for index in range(3)]
    fusion = [f"f2b.p{level}" for level in range(2, 6)] + [f"b2f.p{level}" for level in range(2, 7)]
    table = {f"backbone.{index}": BLOCKS[block] for index, block in enumerate(blocks)}
    table |= dict(zip(labels + fusion, (option.lower() for option in heads + units), strict=True))
    assert load_shipped(name) == table
    assert to_published(load_shipped(name)) == PUBLISHED[name]
    assert from_published(PUBLISHED[name]) == load_shipped(name)


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'\.\./x'.*ade_3.8g, coco_3.8g"):
        load_shipped("../x")


@pytest.mark.parametrize("name", ["ade_3.8g", "coco_3.8g"])
def test_published_files_round_trip(tmp_path: Path, name: str) -> None:
    architecture = load_shipped(name)
    path = tmp_path / "result.json"
    write_published(path, [architecture, architecture])
    assert read_published(path) == [architecture, architecture]
    assert list(json.loads(path.read_text())[0]) == ["backbone", "head", "inter"]


def test_another_network_splits_the_head_by_its_own_depth() -> None:
    config = PanopticConfig.scenes(3, 2)
    record = {"backbone": [0, 1, 2, 3, 0, 1], "head": [1, 2, 3, 4], "inter": [0, 1, 2] * 3}
    architecture = from_published(record, config)
    assert [architecture[label] for label in ("mask.0", "mask.1", "segmentation.0")] == ["dw5", "df3", "df5"]
    assert (architecture["f2b.p5"], architecture["b2f.p2"]) == ("r4", "r8")
    assert to_published(architecture, config) == record


@pytest.mark.parametrize(
    ("part", "indices", "message"),
    [
        ("backbone", [0] * 39, "'backbone' must be a list of 40 option indices"),
        ("head", None, "'head' must be a list of 7"),
        ("head", [0] * 6 + [6], "'head' holds 6; indices go from 0 to 5"),
        ("inter", [0] * 8 + [True], "'inter' holds True"),
    ],
)
def test_a_bad_published_file_is_refused(tmp_path: Path, part: str, indices: list[int] | None, message: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(json.dumps([{**to_published(load_shipped("coco_3.8g")), part: indices}]))
    with pytest.raises(ValueError, match=f"bad.json: {message}"):
        read_published(path)


@pytest.mark.parametrize("text", ["{", "[]", '{"backbone": []}', "[3]"])
def test_another_json_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"other.json"):
        read_published(path)


def test_what_the_format_cannot_hold_is_refused() -> None:
    architecture = load_shipped("coco_3.8g")
    with pytest.raises(ValueError, match=r"differ in \['neck'\]"):
        to_published({**architecture, "neck": "fpn"})
    with pytest.raises(ValueError, match=r"mask\.0 has no option 'r4'"):
        to_published(Architecture({**architecture, "mask.0": "r4"}))


def test_reading_architectures_loads_no_torch() -> None:
    code = (
        "import sys; from autopanoptic.panoptic.search.architecture_files import load_shipped; "
        "load_shipped('coco_3.8g'); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_networks_of_one_kind_are_refused() -> None:
    with pytest.raises(ValueError, match="not for 0 thing and 5 stuff classes"):
        to_published({}, PanopticConfig.scenes(0, 5))


def test_networks_with_a_fixed_backbone_are_refused(tmp_path: Path) -> None:
    beside = replace(PanopticConfig.coco(), backbone="resnet50")
    path = tmp_path / "folder" / "model_0"
    with pytest.raises(
        ValueError, match="networks whose backbone is searched, and the backbone is resnet50; take --back"
    ):
        write_published(path, [load_shipped("coco_3.8g")], beside)
    assert not path.parent.exists()
    write_published(path, [load_shipped("coco_3.8g")])
    with pytest.raises(ValueError, match=r"model_0: the published format .* the backbone is resnet50; take --backbone"):
        read_published(path, beside)
