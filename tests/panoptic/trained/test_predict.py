"""A trained network draws what it finds on any image."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image
from typer.testing import CliRunner

from autopanoptic.nas.cli import app as program
from autopanoptic.panoptic.data.coco.layout import find_split
from autopanoptic.panoptic.data.coco.panoptic_png import read_ids
from autopanoptic.panoptic.trained import predict as predicting
from autopanoptic.panoptic.trained.evaluate import evaluate
from autopanoptic.panoptic.trained.networks import find_networks, load_trained
from autopanoptic.panoptic.trained.predict import UnreadableImagesError, predict, recognise


def test_the_map_is_that_of_an_evaluation(shared_run: Path, tmp_path: Path) -> None:
    evaluate(shared_run, networks=["searched"], out=tmp_path, device="cpu", batch_size=1)
    trained = load_trained(shared_run / "networks" / "searched")
    dataset = find_split(shared_run / "data").open()
    for index, name in enumerate(dataset.annotations.image_files):
        found = recognise(trained, dataset.image(index))
        written = read_ids(tmp_path / "searched" / "predictions" / Path(name).with_suffix(".png"))
        np.testing.assert_array_equal(found.numpy(), written)


def an_image(size: tuple[int, int] = (64, 48)) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    image = an_image()
    image.save(folder / "plain.png")
    image.convert("L").save(folder / "grey.png")
    image.convert("RGBA").save(folder / "rgba.png")
    image.convert("P").save(folder / "palette.gif")
    Image.fromarray(np.full((9, 9), 40000, np.uint16)).save(folder / "wide.png")
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    image.save(folder / "turned.jpg", exif=turned)
    an_image((1, 1)).save(folder / "one.png")
    an_image((700, 1)).save(folder / "strip.png")
    an_image((900, 500)).save(folder / "large.jpg")
    return folder


def test_every_kind_of_image_is_drawn(shared_run: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    drawn = predict([photos], shared_run, out, longest=300, device="cpu")
    sizes = {one.image.name: one.size for one in drawn}
    assert sizes == {
        "plain.png": (48, 64), "grey.png": (48, 64), "rgba.png": (48, 64), "palette.gif": (48, 64), "wide.png": (9, 9),
        "turned.jpg": (64, 48), "one.png": (1, 1), "strip.png": (1, 300), "large.jpg": (167, 300),
    }  # fmt: skip
    assert sorted(path.name for path in out.iterdir()) == sorted(one.picture.name for one in drawn)
    for one in drawn:
        with Image.open(one.picture) as picture:
            picture.load()
            assert picture.width >= 480
    with Image.open(out / "plain.png") as plain, Image.open(out / "rgba.png") as rgba:
        np.testing.assert_array_equal(np.asarray(plain), np.asarray(rgba))


def test_options_change_what_is_found(shared_run: Path, photos: Path, tmp_path: Path) -> None:
    def segments(**options: float) -> list[int]:
        (found,) = predict([photos / "large.jpg"], shared_run, tmp_path / "out", device="cpu", longest=200, **options)  # type: ignore[arg-type]
        return [found.categories[s.category_id].isthing for s in found.segments]

    assert sum(segments(score=0.0)) > sum(segments(score=1.0)) == 0
    (small,) = predict([photos / "one.png"], shared_run, tmp_path / "out", short_side=40, device="cpu")
    assert small.size == (1, 1)


def test_what_cannot_be_read_is_named_and_the_rest_is_drawn(shared_run: Path, photos: Path, tmp_path: Path) -> None:
    (photos / "broken.jpg").write_bytes((photos / "large.jpg").read_bytes()[:3000])
    (photos / "text.png").write_text("no image")
    out = tmp_path / "out"
    with pytest.raises(UnreadableImagesError, match="2 of 3 images could not be read; the other 1") as raised:
        predict([photos / "broken.jpg", photos / "text.png", photos / "grey.png"], shared_run, out, device="cpu")
    assert "broken.jpg: cannot be decoded" in str(raised.value)
    assert "text.png: cannot be decoded" in str(raised.value)
    assert [path.name for path in out.iterdir()] == ["grey.png"]


def test_an_image_is_not_written_over(shared_run: Path, photos: Path) -> None:
    before = (photos / "grey.png").read_bytes()
    with pytest.raises(ValueError, match=r"grey\.png would take the place of an image"):
        predict([photos / "grey.png"], shared_run, photos, device="cpu")
    assert (photos / "grey.png").read_bytes() == before


def test_a_file_that_is_no_earlier_picture_is_not_written_over(shared_run: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for _ in range(2):  # earlier pictures are
        predict([photos / "grey.png"], shared_run, out, device="cpu")
    assert [path.name for path in out.iterdir()] == ["grey.png"]
    shutil.copy(photos / "one.png", out / "grey.png")
    with pytest.raises(ValueError, match=r"grey\.png is there already, and none of these pictures"):
        predict([photos / "grey.png"], shared_run, out, device="cpu")
    assert (out / "grey.png").read_bytes() == (photos / "one.png").read_bytes()


def test_the_command(run: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = ["panoptic", "predict", "--run", "mine", "--out", "out", "--device", "cpu"]
    done = CliRunner().invoke(program, [*options, str(photos / "grey.png"), str(photos / "one.png")])
    assert done.exit_code == 0, done.output
    assert "Pictures: 2 in out" in done.output
    for more, message in (
        (["nowhere.png"], "nowhere.png: there is no such image or folder"),
        ([str(photos), "--network", "best"], "no trained network 'best'"),
        ([str(photos), "--score", "2"], "score_threshold must be from 0 to 1, not 2"),
        ([str(photos), "--longest", "0"], "longest=0"),
        ([str(photos), "--short-side", "0"], "short_side=0"),
    ):
        done = CliRunner().invoke(program, [*options, *more])
        assert done.exit_code == 1
        assert message in done.output
        assert "Traceback" not in done.output


def test_the_limit_on_the_longer_side_grows_with_the_shorter(shared_run: Path) -> None:
    trained = load_trained(next(iter(find_networks(shared_run).values())))
    limited = replace(trained, usage=replace(trained.usage, short_side=192, long_side=256))
    usage = predicting._changed(limited, None, 384).usage
    assert usage.transform.size(480, 640) == (384, 512)
