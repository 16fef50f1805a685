from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from autopanoptic.nas import Architecture, ProcessExecutor, Supernet
from autopanoptic.nas.evaluation.evaluator import Report
from autopanoptic.panoptic.configs.config import load_config, save_config
from autopanoptic.panoptic.configs.layers import ConfigError
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.parts.imports import missing_modules
from autopanoptic.panoptic.model.parts.registry import own_parts
from autopanoptic.panoptic.results.saved import load_network, save_network

OWN = """
from torch import nn
from autopanoptic.panoptic.model.parts.kinds import HeadOperator
from autopanoptic.panoptic.model.parts.registry import register
register(HeadOperator("conv3", lambda entering, leaving: nn.Conv2d(entering, leaving, 3, padding=1)))
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with a module of one's own."""
    (tmp_path / "some_ops.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    with own_parts():
        yield tmp_path
    for name in [*sys.modules]:
        if name not in before and name.split(".")[0] in ("some_ops", "failing", "package_of_ops"):
            del sys.modules[name]


def own_config(**changes: Any) -> PanopticConfig:
    return replace(
        PanopticConfig.scenes(3, 2), imports=("some_ops",), head_operators=("dw3", "conv3"), mask_layers=1, **changes
    )


def test_a_config_imports_what_it_names_from_the_working_folder(folder: Path) -> None:
    assert missing_modules(["some_ops", "sys"]) == ["some_ops"]
    before = list(sys.path)
    config = own_config()
    assert sys.path == [*before, str(folder)]  # at the end, where it hides nothing
    assert missing_modules(["some_ops"]) == []
    with torch.device("meta"):
        assert Supernet(PanopticNetwork(config)).space["mask.0"].options == ("dw3", "conv3")


def test_modules_of_packages_are_imported(folder: Path) -> None:
    (folder / "package_of_ops").mkdir()
    (folder / "package_of_ops" / "heads.py").write_text(OWN.replace("conv3", "conv3b"))
    config = replace(PanopticConfig(), imports=("package_of_ops.heads",), head_operators=("conv3b",))
    assert config.imports == ("package_of_ops.heads",)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none_such", r"imports: there is no module 'none_such' .* working folder .*\. Work in .* none_such\.py is in"),
        ("some_ops.more", r"imports: there is no module 'some_ops\.more'"),
        ("some_ops.py", "imports must hold names of modules, as in Python's import: 'some_ops', not the file"),
        ("sub/some_ops.py", "imports must hold names of modules, as in Python's import: 'some_ops', not the file"),
        ("some-ops", "imports must hold names of modules, as in Python's import, not 'some-ops'"),
        (5, "imports must hold names of modules, not 5"),
    ],
)
def test_a_module_that_is_not_there_is_named(name: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PanopticConfig(imports=(name,))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import torch\n1 / 0", r"the module 'failing' fails with ZeroDivisionError: .*failing\.py, line 2\)"),
        ("import nothing_of_it", r"fails with ModuleNotFoundError: No module named 'nothing_of_it' \(.*, line 1\)"),
        ("x = = 1", r"fails with SyntaxError: .*failing\.py, line 1\)"),
        (
            OWN.replace('"conv3"', '"dw3"'),
            r"fails with ValueError: there is another head operator named 'dw3', built by .*Separable .*registry\.py",
        ),
    ],
)
def test_a_module_that_fails_says_where(folder: Path, code: str, message: str) -> None:
    (folder / "failing.py").write_text(code)
    with pytest.raises(ValueError, match=message):
        PanopticConfig(imports=("failing",))


def test_a_run_records_its_modules_and_is_refused_without_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = {"network.imports": ["some_ops"], "network.head_operators": ["dw3", "conv3"]}
    settings = load_config("scenes", changes)
    save_config(settings, folder / "config.yaml")
    assert load_config(folder / "config.yaml") == settings
    del sys.modules["some_ops"]
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != str(folder)])
    with pytest.raises(ConfigError, match=r"config\.yaml, line \d+: network\.imports: there is no module 'some_ops'"):
        load_config(folder / "config.yaml")
    monkeypatch.syspath_prepend(folder)
    assert load_config(folder / "config.yaml") == settings


def test_a_networks_file_does_not_get_modules_imported(folder: Path) -> None:
    config = own_config()
    with torch.random.fork_rng():
        supernet = Supernet(PanopticNetwork(config))
        architecture = supernet.space.canonical({**supernet.active, "mask.0": "conv3"})
        network = supernet.subnet(architecture)
    assert isinstance(network, PanopticNetwork)
    save_network(network, architecture, folder / "found")
    assert json.loads((folder / "found" / "architecture.json").read_text())["mask.0"] == "conv3"
    loaded = load_network(folder / "found")
    assert loaded.config == config
    assert all(torch.equal(one, loaded.state_dict()[name]) for name, one in network.state_dict().items())
    del sys.modules["some_ops"]
    with pytest.raises(ValueError, match=r"config\.json: the network has parts of the module some_ops, .* --import"):
        load_network(folder / "found")


class BuildsTheNetwork:
    """An evaluator that has nothing but the config."""

    def __init__(self, config: PanopticConfig) -> None:
        self.config = config

    def evaluate(self, architecture: Architecture, report: Report) -> dict[str, float]:
        with torch.device("meta"):
            layer = PanopticNetwork(self.config).roi_heads.mask_head[0][0]  # type: ignore[union-attr, index]
        return {"options": len(layer.names)}  # type: ignore[union-attr, arg-type]


def test_spawned_processes_know_the_parts(folder: Path) -> None:
    executor = ProcessExecutor(1)
    executor.start(BuildsTheNetwork(own_config()), lambda *_: False, answers=False)
    try:
        executor.submit(0, Architecture({}))
        outcome = executor.wait()
    finally:
        executor.stop()
    assert outcome is not None
    assert outcome.error is None
    assert outcome.metrics == {"options": 2}


def test_configs_without_own_parts_load_no_torch() -> None:
    code = (
        "import sys; from autopanoptic.panoptic.configs.config import load_config; load_config('scenes'); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
