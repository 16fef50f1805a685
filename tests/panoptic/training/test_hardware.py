"""What a training runs on."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autopanoptic.panoptic.pretraining import training as pretraining
from autopanoptic.panoptic.training import trainer
from autopanoptic.panoptic.training.hardware import Hardware

COUNT = """
import resource
import torch
from autopanoptic.panoptic.training.hardware import keep_memory

def faults(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        step = [torch.ones(size * 2**20) for size in (1, 4, 2, 1, 8)]  # 64 MiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults(1)
print(faults(10))
kept = keep_memory()
faults(5)  # the heap grows until two steps fit into it, for one is made while the last is there
print(faults(10) if kept else -1)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library has no mallopt")
def test_freed_memory_is_kept() -> None:
    found = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True)
    given_back, kept = map(int, found.stdout.split())
    assert given_back > 100  # pages, of whatever size they are
    assert 0 <= kept < given_back / 4  # sometimes a block still lies so that a step does not fit


@pytest.mark.parametrize("accelerator", ["cpu", "gpu"])
def test_every_training_on_a_cpu_keeps_its_memory(
    accelerator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trainings of panoptic networks and of classifiers have their trainer from one function."""
    kept: list[str] = []
    monkeypatch.setattr(trainer, "keep_memory", lambda: kept.append(accelerator))
    monkeypatch.setattr(trainer.lightning, "Trainer", lambda **_: None)
    assert pretraining.make_trainer is trainer.make_trainer
    trainer.make_trainer(tmp_path, 1, Hardware(accelerator), [], own_statistics=True)
    assert kept == (["cpu"] if accelerator == "cpu" else [])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"devices": 0}, "devices must be at least 1, not 0"),
        ({"batch_size": -1}, "batch_size must be at least 1, not -1"),
        ({"checkpoint_every": 0}, "checkpoint_every must be at least 1, not 0"),
        ({"workers": -1}, "workers must be at least 0, not -1"),
        ({"workers": 1.5}, "workers must be a whole number, not 1.5"),
        ({"precision": "16-mixed"}, "precision must be one of 32-true, bf16-mixed, not '16-mixed'"),
        ({"accelerator": "tpu"}, "accelerator must be one of auto, cpu, gpu, not 'tpu'"),
        ({"logger": "wandb"}, "logger must be one of csv, tensorboard, not 'wandb'"),
    ],
)
def test_refusals(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Hardware(**changes)
