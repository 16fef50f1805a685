from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from autopanoptic.panoptic.cli import app
from autopanoptic.panoptic.configs.config import load_config
from autopanoptic.panoptic.model.parts.registry import own_parts

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(autouse=True)
def _in_examples(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(EXAMPLES)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with own_parts():
        yield
    sys.modules.pop("own_operator", None)


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec")
@pytest.mark.filterwarnings("ignore:.*available but not used")
def test_its_parts_are_searched_and_retrained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sys.path.append(str(EXAMPLES))
    own_operator = importlib.import_module("own_operator")
    changes = {key: value for key, value in own_operator.TINY.items() if not key.startswith("largest")}
    changes |= {"largest": None, "supernet.passes": 2, "search.trials": 2, "retrain.passes": 1, "machine.workers": 1}
    changes["search.space"] = "auto-panoptic"
    answer = own_operator.main(tmp_path / "run", changes)
    own = [option for option in answer.values() if option in own_operator.OWN]
    assert len(own) >= 3
    assert f"{len(own)} parts of the network found are from this file" in capsys.readouterr().out
    assert load_config(tmp_path / "run" / "config.yaml").network.imports == ("own_operator",)
    saved = json.loads((tmp_path / "run" / "networks" / "searched" / "config.json").read_text())
    assert saved["imports"] == ["own_operator"]
    evaluated = CliRunner().invoke(app, ["evaluate", str(tmp_path / "run")], catch_exceptions=False)
    assert evaluated.exit_code == 0, evaluated.output


def test_the_command_line_imports_it() -> None:
    given = ["--import", "own_operator", "--set", "network.head_operators=[dw3, conv3]"]
    shown = CliRunner().invoke(app, ["config", "show", "network.imports", *given])
    assert shown.output == "network:\n  imports: [own_operator]\n"
    listed = CliRunner().invoke(app, ["config", "parts", "--import", "own_operator"]).output.splitlines()
    heads = listed[listed.index("head operators:") : listed.index("backbone blocks:")]
    assert heads[1] == "  dw3 (autopanoptic.panoptic.model.operators.separable)"
    assert heads[-1] == "  conv3 (own_operator)"
    assert listed[listed.index("semantic heads:") - 1] == "  gate (own_operator)"
    without = CliRunner().invoke(app, ["config", "show", "--set", "network.head_operators=[dw3, conv9]"])
    assert without.exit_code == 1
    assert "--set network.head_operators=[dw3, conv9]: network.head_operators: there is no head" in without.output
