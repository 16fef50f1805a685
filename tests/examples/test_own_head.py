from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from autopanoptic.nas import Supernet
from autopanoptic.panoptic.configs.config import load_config
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.parts.registry import own_parts
from autopanoptic.panoptic.results.saved import load_network
from autopanoptic.panoptic.search.designs import designs

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(autouse=True)
def _in_examples(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(EXAMPLES)
    monkeypatch.setattr(sys, "path", [*sys.path, str(EXAMPLES)])
    with own_parts():
        yield
    sys.modules.pop("own_head", None)


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec")
@pytest.mark.filterwarnings("ignore:.*available but not used")
def test_its_head_is_searched_and_retrained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own_head = importlib.import_module("own_head")
    changes = {key: value for key, value in own_head.TINY.items() if not key.startswith("largest")}
    changes |= {"largest": None, "supernet.passes": 2, "search.trials": 3, "retrain.passes": 1, "machine.workers": 1}
    alone = {"semantic_heads": ["sum"], "fusions": ["attention", "none"], "panoptic_heads": ["merge"]}
    changes |= {f"network.{key}": names for key, names in alone.items()}
    answer = own_head.main(tmp_path / "run", changes)
    assert (answer["semantic_head"], answer["panoptic_head.sum"]) == ("sum", "merge")
    assert "3 of 3 candidates have this file's head\nThe answer has sum." in capsys.readouterr().out
    found = load_network(tmp_path / "run" / "networks" / "searched")
    assert isinstance(found.segmentation, own_head.SumHead)


def test_its_head_has_the_partners_that_fit_it() -> None:
    own_head = importlib.import_module("own_head")
    config = load_config("scenes", own_head.SPACE).network_for(3, 2)
    with torch.device("meta"):
        space = Supernet(PanopticNetwork(config)).space
    assert space["fusion.sum"].options == ("attention", "none")
    assert space["panoptic_head.sum"].options == ("merge",)
    rng = np.random.default_rng(0)
    assert {space.sample(rng)["semantic_head"] for _ in range(20)} == {"sum", "upsnet"}
    made = [one for one in designs(space) if one["semantic_head"] == "sum"]
    assert made == [
        {"semantic_head": "sum", "mask_head": "plain", "fusion.sum": "attention", "panoptic_head.sum": "merge"}
    ]
