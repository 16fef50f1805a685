"""The stages, as the commands of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

NAME = "smoke"
FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Step:
    """A command, and where in it something happens.

    Attributes:
        name: Of the stage.
        arguments: Of the command; to go on the same is given again.
        stages: The headings under which it works; None for its own beginning.
    """

    name: str
    arguments: tuple[str, ...]
    stages: tuple[str | None, ...]


def full() -> list[Step]:
    """A command for each stage, and `run` for what they leave to it: the networks that are compared."""
    stages = {
        "prepare": ("data", ("--config", str(FOLDER / "full.yaml"))),
        "pretrain-supernet": ("pretraining, supernet", ()),
        "train-supernet": ("supernet", ()),
        "search": ("search", ()),
        "pretrain": ("pretraining, found", ()),
        "retrain": ("retraining", ()),
    }
    steps = [Step(command, (command, "--name", NAME, *more), (heading,)) for command, (heading, more) in stages.items()]
    whole = Step("run", ("run", "--resume", "--name", NAME), ("search", "retraining"))
    return [*steps, whole, *_after()]


def short() -> list[Step]:
    """`run`, which has all stages but those behind it."""
    stages = ("data", "pretraining, supernet", "supernet", "search", "pretraining, found", "retraining")
    begin = ("run", "--name", NAME, "--config", str(FOLDER / "short.yaml"))
    return [Step("run", begin, stages), *_after()]


def _after() -> list[Step]:
    images = f"runs/{NAME}/data/val"
    return [
        Step("evaluate", ("evaluate", NAME, "--out", "predictions", "--json", "evaluation.json"), (None,)),
        Step("predict", ("predict", images, "--run", NAME, "--out", "pictures"), (None,)),
        Step("report", ("report", NAME), (None,)),
    ]
