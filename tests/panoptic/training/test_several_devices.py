"""Training on several devices: one process calls, and one goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from pathlib import Path
import torch
from autopanoptic.nas.progress import lines
from autopanoptic.panoptic.data.coco.layout import find_splits
from autopanoptic.panoptic.data.loading.batches import evaluation_batches
from autopanoptic.panoptic.data.loading.transforms import Transform
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.search.evaluator import Validation
from autopanoptic.panoptic.stages.networks import build
from autopanoptic.panoptic.training.hardware import Hardware
from autopanoptic.panoptic.training.recipe import Recipe
from autopanoptic.panoptic.training.trainer import train
from autopanoptic.panoptic.training.training import Training
from autopanoptic.panoptic.training.validation import best_of

lines.SHORTEST = 0.0  # in the spawned processes too, which import this program

def main(scenes, folder, broken):
    network = build(PanopticConfig.scenes(10, 5), 0)
    bias = network.rpn.head.cls_logits.bias
    if broken:
        torch.nn.init.constant_(bias, float("nan"))
    before = bias.detach().clone()
    recipe = Recipe(passes=2, batch_size=4, warmup=0, ema=0.5, validate_every=1, keep="best")
    machine, transform, datasets = Hardware("cpu", devices=2), Transform(None, None), find_splits(scenes).open()
    batches = list(evaluation_batches(datasets.nas_val, transform, batch_size=4, divisor=32))
    validation = Validation(datasets.nas_val, batches)
    told = []
    try:
        train(network, Training(datasets.train, transform, recipe, hardware=machine, validation=validation), folder,
              on_pass=lambda done: told.append(done))
    except FloatingPointError as error:
        print("refused:", error)
    else:
        best = best_of(folder)
        print("best kept:", torch.equal(bias, best.weights["rpn.head.cls_logits.bias"]), best.passes)
    print("told:", told)
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
    assert ("best kept: True" in done.stdout) == (state == "whole")
    # The caller's own function is called, which could not be sent to another process.
    assert ("told: [1, 2]" if state == "whole" else "told: []") in done.stdout
    # The first process alone tells how far the training is.
    assert done.stdout.count("training: 1 of 2, ") == (state == "whole")
    assert (tmp_path / "run" / "last.ckpt").exists() == (state == "whole")


SUPERNET = """
import os, signal, sys, threading, time
from dataclasses import replace
from pathlib import Path
import torch
from autopanoptic.nas import Supernet
from autopanoptic.panoptic.data.coco.layout import find_splits
from autopanoptic.panoptic.data.loading.transforms import Transform
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.search.paths import SizeSandwich
from autopanoptic.panoptic.stages.networks import build
from autopanoptic.panoptic.training.hardware import Hardware
from autopanoptic.panoptic.training.recipe import Recipe
from autopanoptic.panoptic.training.trainer import train
from autopanoptic.panoptic.training.training import Training

torch.set_num_threads(1)

def kill_when_training(folder):
    while not (folder / "last.ckpt").exists():
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGKILL)

def main(scenes, folder, passes):
    network = build(replace(PanopticConfig.scenes(10, 5), space="elastic"), 0)
    recipe = Recipe(passes=passes, batch_size=2, warmup=0)
    paths, machine = SizeSandwich(Supernet(network).space, 2), Hardware("cpu", devices=2, share_paths=True)
    if passes > 8:
        machine = replace(machine, checkpoint_every=4)
        threading.Thread(target=kill_when_training, args=(folder,), daemon=True).start()
    images = find_splits(scenes).open().train
    train(network, Training(images, Transform(None, None), recipe, paths=paths, hardware=machine), folder)
    alone = build(replace(PanopticConfig.scenes(10, 5), space="elastic"), 0)
    one = Hardware("cpu", progress=False)
    train(alone, Training(images, Transform(None, None), recipe, paths=paths, hardware=one), folder / "alone")
    state = alone.state_dict()
    for name, value in network.named_parameters():
        torch.testing.assert_close(value, state[name], rtol=1e-3, atol=1e-4)
    print("equal")

if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
"""


def run(tmp_path: Path, scenes: Path, passes: int) -> subprocess.CompletedProcess[str]:
    program = tmp_path / "supernet.py"
    program.write_text(SUPERNET)
    command = [sys.executable, str(program), str(scenes), str(tmp_path / "run"), str(passes)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.slow
def test_two_processes_share_the_paths_of_a_sandwich_step(scene_folder: Path, tmp_path: Path) -> None:
    done = run(tmp_path, scene_folder, passes=4)
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == ("equal\n", "")


@pytest.mark.slow
def test_processes_end_with_a_caller_that_is_killed(scene_folder: Path, tmp_path: Path) -> None:
    """They hold its output, so that waiting for that to end is waiting for them."""
    assert run(tmp_path, scene_folder, passes=4000).returncode == -signal.SIGKILL
