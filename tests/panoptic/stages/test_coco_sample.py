"""The whole chain, and every model, on two real images of COCO, which a small network must be able to memorise."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from autopanoptic.panoptic.configs.models import MODELS
from benchmarks.memorised import memorised

ROOT = Path(__file__).resolve().parents[3]
SAMPLE = ROOT.parent / "shared" / "data" / "panoptic" / "coco_sample"


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not SAMPLE.is_dir(), reason=f"the two COCO images are not at {SAMPLE}")
def test_two_real_images_are_memorised(tmp_path: Path) -> None:
    command = [
        sys.executable, str(ROOT / "examples" / "panoptic_search.py"), "--data", str(SAMPLE), "--name", "sample",
        "--space", "auto-panoptic", "--warmup-passes", "24", "--supernet-passes", "24", "--trials", "13",
        "--device", "cpu", "--workers", "1", "--set", "machine.supernet_processes=1",
    ]  # fmt: skip
    subprocess.run(command, cwd=tmp_path, check=True)
    networks = json.loads((tmp_path / "runs" / "sample" / "metrics.json").read_text())["networks"]
    assert networks["searched"]["pq"] > 75, {name: values["pq"] for name, values in networks.items()}


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not SAMPLE.is_dir(), reason=f"the two COCO images are not at {SAMPLE}")
@pytest.mark.parametrize("model", MODELS)
def test_two_real_images_are_memorised_by_every_model(model: str, tmp_path: Path) -> None:
    found = memorised(SAMPLE, model, tmp_path, {})
    assert found["pq"] > 75, found
