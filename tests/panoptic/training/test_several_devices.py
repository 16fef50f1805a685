"""Training on several devices: one process calls, and one goes on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from pathlib import Path
import torch
from autopanoptic.panoptic.data.coco.layout import find_splits
from autopanoptic.panoptic.data.loading.transforms import Transform
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.stages.networks import build
from autopanoptic.panoptic.training.hardware import Hardware
from autopanoptic.panoptic.training.recipe import Recipe
from autopanoptic.panoptic.training.trainer import train

def main(scenes, folder, broken):
    network = build(PanopticConfig.scenes(3, 3), 0)
    bias = network.rpn.head.cls_logits.bias
    if broken:
        torch.nn.init.constant_(bias, float("nan"))
    before = bias.detach().clone()
    recipe, machine = Recipe(passes=2, batch_size=4, warmup=0), Hardware("cpu", devices=2, progress=False)
    try:
        train(network, find_splits(scenes).open().train, Transform(None, None), recipe, folder, hardware=machine)
    except FloatingPointError as error:
        print("refused:", error)
    print("trained:", not torch.equal(bias, before))

if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "broken")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("state", "printed"), [("whole", "trained: True"), ("broken", "refused: The loss of pass 0 is nan")]
)
def test_only_the_caller_goes_on(scene_folder: Path, tmp_path: Path, state: str, printed: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    command = [sys.executable, str(program), str(scene_folder), str(tmp_path / "run"), state]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith(("trained", "refused"))]
    assert len([line for line in lines if line.startswith("trained")]) == 1
    assert lines[0].startswith(printed)
    assert (tmp_path / "run" / "last.ckpt").exists() == (state == "whole")
