"""Several processes that torchrun starts run one program, from the command line and from a program of one's own."""

from __future__ import annotations

import csv
import os
import runpy
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from autopanoptic.panoptic.training.parallel.launch import Launch, launched, train_together

TRAINING = """
import sys
from pathlib import Path
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from autopanoptic.nas import FairPaths, Supernet
from autopanoptic.panoptic.data.coco.layout import find_splits
from autopanoptic.panoptic.data.loading.transforms import Transform
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.stages.networks import build
from autopanoptic.panoptic.training.hardware import Hardware
from autopanoptic.panoptic.training.module import PanopticModule
from autopanoptic.panoptic.training.parallel.launch import leading
from autopanoptic.panoptic.training.recipe import Recipe
from autopanoptic.panoptic.training.trainer import train
from autopanoptic.panoptic.training.training import Training

def main(scenes, folder, devices):
    folder.mkdir()
    network = build(PanopticConfig.scenes(10, 5), 0)
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, _BatchNorm):
                setattr(module, name, nn.Identity())
    paths = FairPaths(Supernet(network).space, length=2)
    recipe = Recipe(passes=4, batch_size=4, warmup=0, learning_rate=1e-4, norm_factor=1.0, accumulate=True)
    parts = 1 if devices == 2 else None
    machine = Hardware("cpu", devices=devices, progress=False, checkpoint_every=3, batch_size=parts)
    images = find_splits(scenes).open().train
    train(network, Training(images, Transform(None, None), recipe, paths=paths, hardware=machine), folder)
    return network.state_dict()

if __name__ == "__main__":
    torch.set_num_threads(1)
    folder = Path(sys.argv[2])
    keep = lambda module: torch.save(module.network.state_dict(), folder / f"{module.global_rank}.pt")
    PanopticModule.on_train_end = keep
    with leading():
        print("leads")
        main(Path(sys.argv[1]), folder, 2)
"""


def free_port() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def start(count: int, *command: str, cwd: Path | None = None) -> tuple[list[str], list[str]]:
    """Run a command in several processes as torchrun does; returns what the first and the others print."""
    place = {
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": free_port(),
    }
    processes = [
        subprocess.Popen(
            [sys.executable, *command],
            env={**os.environ, **place, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=cwd,
        )
        for rank in range(count)
    ]
    try:
        printed = [process.communicate(timeout=600)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0] * count, printed
    return printed[0].splitlines(), "".join(printed[1:]).splitlines()


def losses(folder: Path) -> list[dict[str, float]]:
    (path,) = folder.glob("log/*/metrics.csv")
    with path.open() as file:
        return [
            {name: float(value) for name, value in row.items() if value and name != "images_per_second"}
            for row in csv.DictReader(file)
        ]


def test_two_processes_train_as_one(scene_folder: Path, tmp_path: Path) -> None:
    """A supernet without batch norm, in cycles of paths that checkpoints cut in two, an image at a time on two."""
    program = tmp_path / "program.py"
    program.write_text(TRAINING)
    first, second = start(2, str(program), str(scene_folder), str(tmp_path / "two"))
    assert (first, second) == (["leads"], [])
    alone = runpy.run_path(str(program))["main"](scene_folder, tmp_path / "one", 1)
    together = [torch.load(tmp_path / "two" / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    for name, value in alone.items():
        assert torch.equal(together[0][name], together[1][name])
        torch.testing.assert_close(together[0][name], value, rtol=1e-3, atol=1e-4)
    expected, found = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert len(expected) == 4
    assert all(row.keys() >= {"mask", "segmentation", "objectness", "loss"} for row in expected)
    for own, theirs in zip(expected, found, strict=True):
        assert theirs == pytest.approx(own, rel=1e-3, abs=1e-5)


CLI = """
import sys
from pathlib import Path
import torch
from autopanoptic.nas.cli import main
from autopanoptic.nas import SupernetModule

def keep(module):
    torch.save(module.network.state_dict(), Path(f"rank{module.global_rank}.pt"))

SupernetModule.on_train_end = keep
if __name__ == "__main__":
    sys.argv[0] = "autopanoptic"
    main()
"""
PRETRAINING = (
    "--crops", "--passes", "2", "--batch-size", "2", "--image-size", "32", "--device", "cpu", "--set",
    "recipe.warmup=0", "--set", "recipe.batch_size=8", "--set", "recipe.bins=2", "--set",
    "recipe.recalibration_batches=1", "--set", "recipe.validated_paths=1", "--set",
    "data.scenes={train: 12, nas_val: 2, val: 6}", "--set", "recipe.validate_every=1",
)  # fmt: skip
SMALL = (
    "--quick", "--device", "cpu", "--set", "data.scenes={train: 8, nas_val: 2, val: 2}", "--supernet-passes", "4",
    "--retrain-passes", "2", "--set", "largest=null", "--set", "search.finalists=1", "--set", "search.screened=0",
    "--trials", "3", "--recalibration-batches", "1", "--seed", "1",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("processes", "command"),
    [(2, ("run",)), (1, ("train-supernet", "--devices", "2")), (2, ("pretrain-supernet",))],
)
def test_a_command_is_run_once_and_trains_in_all_processes(
    processes: int, command: tuple[str, ...], tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    program.write_text(CLI)
    options = PRETRAINING if command == ("pretrain-supernet",) else (*SMALL, "--name", "pets")
    first, second = start(processes, str(program), "panoptic", *command, *options, cwd=tmp_path)
    # Torch's own code says that a network without choices uses all its parameters.
    assert [line for line in second if "find_unused_parameters=True was specified" not in line] == []
    if options != PRETRAINING:
        assert [line for line in first if line.startswith("Run ")] == ["Run runs/pets, seed 1"]
    weights = [torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert any(name.endswith("running_var") for name in weights[0])
    assert [name for name, value in weights[0].items() if not torch.equal(value, weights[1][name])] == []
    # The last training's, which may be that of the supernet or of a network; its last checkpoint has the same.
    last = max(tmp_path.rglob("last.ckpt"), key=lambda path: path.stat().st_mtime)
    kept = torch.load(last, weights_only=True)["state_dict"]
    assert [name for name, value in weights[0].items() if not torch.equal(value, kept[f"network.{name}"])] == []
    assert (tmp_path / "runs" / "pets" / "metrics.json").exists() == (command == ("run",))


@pytest.mark.slow
def test_an_error_of_the_first_process_ends_the_others(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(CLI)
    with pytest.raises(AssertionError, match=r"nowhere: there is no such folder"):
        start(2, str(program), "panoptic", "train-supernet", "--data", "nowhere", cwd=tmp_path)


def place(monkeypatch: pytest.MonkeyPatch, **values: int | str) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in values.items():
        monkeypatch.setenv(name, str(value))


WHOLE = {"RANK": 5, "WORLD_SIZE": 8, "LOCAL_RANK": 1, "LOCAL_WORLD_SIZE": 4, "MASTER_ADDR": "a", "MASTER_PORT": 1}


def test_the_environment_says_who_is_who(monkeypatch: pytest.MonkeyPatch) -> None:
    place(monkeypatch, **WHOLE)
    assert launched() == Launch(5, 8, 1, 4)
    assert Launch(5, 8, 1, 4).nodes == 2
    place(monkeypatch)
    assert launched() is None
    place(monkeypatch, WORLD_SIZE=1)
    assert launched() is None


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"MASTER_ADDR": None}, r"WORLD_SIZE is 8, but MASTER_ADDR is not set; start the program by torchrun"),
        ({"LOCAL_WORLD_SIZE": None}, r"LOCAL_WORLD_SIZE is not set"),
        ({"LOCAL_WORLD_SIZE": 3}, r"RANK=5 of WORLD_SIZE=8, LOCAL_RANK=1 of LOCAL_WORLD_SIZE=3"),
        ({"RANK": 8}, r"RANK=8 of WORLD_SIZE=8"),
        ({"RANK": "x"}, r"RANK must be a whole number, not 'x'"),
    ],
)
def test_halves_are_refused(
    changed: dict[str, int | str | None], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {name: value for name, value in {**WHOLE, **changed}.items() if value is not None}
    place(monkeypatch, **found)
    with pytest.raises(ValueError, match=message):
        launched()


def test_a_program_that_does_not_lead_is_told_how() -> None:
    with pytest.raises(RuntimeError, match=r"keep its work under `with leading\(\):`"):
        train_together(lambda: None)
