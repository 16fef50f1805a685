"""The pictures of README and of the documentation's first page, made from a run."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def pictures() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pictures", ROOT / "docs" / "pictures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A folder with the pictures of a run."""
    folder, searched = tmp_path / "run", tmp_path / "run" / "networks" / "searched"
    (searched / "pictures").mkdir(parents=True)
    draw(folder / "front.png", 700, 0)
    draw(searched / "network.png", 1400, 1)
    for number in (1, 2):
        draw(searched / "pictures" / f"{number}.png", 300, number)
    return folder


def draw(path: Path, width: int, seed: int) -> None:
    Image.fromarray(np.random.default_rng(seed).integers(256, size=(200, width, 3), dtype=np.uint8)).save(path)


def test_pictures_are_small_copies_of_a_runs(pictures: ModuleType, run: Path, tmp_path: Path) -> None:
    made = pictures.pictures_of(run, tmp_path / "images")
    assert [path.name for path in made] == ["front.png", "network.png", "scene.png"]
    sizes = []
    for path in made:
        with Image.open(path) as picture:
            sizes.append(picture.size)
            assert len(picture.getcolors(1000) or []) <= pictures.COLORS
    assert sizes == [(700, 200), (1100, 157), (300, 200)]
    other = pictures.pictures_of(run, tmp_path / "others", scene=1)
    assert other[2].read_bytes() != made[2].read_bytes()


@pytest.mark.parametrize("scene", [2, -1])
def test_a_picture_that_the_run_has_not_drawn_is_named(
    pictures: ModuleType, run: Path, tmp_path: Path, scene: int
) -> None:
    with pytest.raises(FileNotFoundError, match=f"has 2 pictures, so there is none of number {scene}"):
        pictures.pictures_of(run, tmp_path / "images", scene=scene)
    (run / "front.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"front\.png: .* search with a cost for the front"):
        pictures.pictures_of(run, tmp_path / "images")
    assert not (tmp_path / "images").exists()


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "docs" / "index.md"], ids=lambda page: page.stem)
def test_a_new_user_sees_all_of_them(page: Path) -> None:
    shown = [page.parent / path for path in re.findall(r"!\[[^]]+\]\(([^)]+)\)", page.read_text())]
    assert {path.name for path in shown} == {"front.png", "network.png", "scene.png"}
    assert all(path.is_file() for path in shown)
