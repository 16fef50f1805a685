import json
from pathlib import Path

import torch

from autopanoptic.panoptic.data.coco.checks import check
from autopanoptic.panoptic.data.coco.reader import CocoPanoptic
from benchmarks import loading

ROOT = Path(__file__).resolve().parents[2]


def test_the_sample_in_place_of_cocos_is_sound_and_every_part_runs(tmp_path):
    loading.write_sample(tmp_path, count=1)
    dataset = CocoPanoptic(*(tmp_path / name for name in loading.NAMES))
    check(dataset)
    assert dataset.sizes.tolist() == [[480, 640]]
    found = {name: work() for name, work in loading.parts_of(dataset, 0).items()}
    assert found["sample, all together"].sizes == [(800, 1067)]
    assert found["device: targets of 128 masks"].shape == (128, 28, 28)


def test_decoders_that_are_not_installed_say_so(tmp_path, monkeypatch):
    def missing(name):
        raise ImportError(f"no {name}")

    monkeypatch.setattr(loading, "import_module", missing)
    found = dict(loading.decoders())
    assert found["kornia_rs"] == "not installed (no kornia_rs.io)"
    assert [name for name, decode in found.items() if callable(decode)] == ["Pillow"]


def test_rates_leave_out_the_first_batch():
    clock = iter([10.0, 12.0])
    used = []
    assert loading.per_second([[0] * 9, [0, 0], [0, 0], [0]], 2, used.append, lambda: next(clock)) == 2.0
    assert len(used) == 3


def test_a_loader_stands_beside_the_training_step(tmp_path, monkeypatch):
    loading.write_sample(tmp_path, count=1)
    dataset = CocoPanoptic(*(tmp_path / name for name in loading.NAMES))
    monkeypatch.setattr(loading, "step_rate", lambda *given: 0.25)
    monkeypatch.setattr(loading, "LOADED", 1)
    found = loading.keeping_up(dataset, torch.device("cpu"), 1)
    assert found[loading.STEP] == 0.25
    assert found[loading.RATIO] == 4 * found[loading.LOADER] > 0


def test_the_guide_has_the_figures_that_were_kept():
    found = json.loads(loading.FILE.read_text())
    guide = " ".join((ROOT / "docs" / "guide" / "panoptic.md").read_text().split())
    for line in loading.lines(found):
        assert line in guide, line
    machine = found["machine"]
    assert f"{machine['cpu']}, torch {found['torch']}" in guide
    # Of the processor's time on one thread, with the masks of the things made there too.
    whole = found["parts"][loading.WHOLE]
    assert whole + found["parts"][loading.MASKS] < found["bar"] == loading.BAR
    assert f"{whole:.1f} ms, and with the masks of its things {whole + found['parts'][loading.MASKS]:.1f} ms" in guide
    slow = found["parts"]["sample, with every jitter"]
    assert (slow > loading.BAR) == (f"With every jitter it takes {slow:.1f} ms, more than the bar" in guide)


def test_the_guide_has_the_loader_beside_the_training_step():
    found = json.loads(loading.BESIDE.read_text())
    guide = " ".join((ROOT / "docs" / "guide" / "panoptic.md").read_text().split())
    rates = found["rates"]
    assert rates[loading.RATIO] == rates[loading.LOADER] / rates[loading.STEP] > 1
    assert f"one thread loads {rates[loading.LOADER]:.1f} images/s" in guide
    assert f"a training step takes {rates[loading.STEP]:.3f} images/s" in guide
    assert f"The loader is {rates[loading.RATIO]:.0f} times as fast" in guide
