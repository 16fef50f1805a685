"""A run is the same one from every working folder."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from autopanoptic.panoptic.configs.config import load_config
from autopanoptic.panoptic.run.folder import Run, load_run


def quiet() -> Console:
    return Console(file=io.StringIO(), width=200)


def test_a_run_keeps_the_whole_path_of_its_data(
    scene_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(scene_folder.parent)
    run = Run(load_config("photographs", {"data.path": scene_folder.name}), tmp_path / "run", quiet())
    assert load_run(tmp_path / "run").data.path == run.settings.data.path == str(scene_folder)
    monkeypatch.chdir(tmp_path)
    assert Run.open(tmp_path / "run", quiet()).settings == run.settings


def test_a_path_to_the_same_data_is_the_same_setting(
    scene_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Run(load_config("photographs", {"data.path": str(scene_folder)}), tmp_path / "run", quiet())
    monkeypatch.chdir(scene_folder.parent)
    again = load_config("photographs", {"data.path": scene_folder.name})
    assert Run(again, tmp_path / "run", quiet()).settings.data.path == str(scene_folder)


def test_a_run_keeps_the_whole_path_of_its_starting_weights(
    scene_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "backbone.pt").touch()
    settings = load_config("photographs", {"data.path": str(scene_folder), "supernet_init": "backbone.pt"})
    assert Run(settings, tmp_path / "run", quiet()).settings.supernet_init == str(tmp_path / "backbone.pt")
    assert load_run(tmp_path / "run").init == settings.init
