"""JSON objects are whole or not there."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest

from autopanoptic.panoptic.results.json_files import read_object, write_object


def test_what_was_there_stays_until_the_new_one_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metrics.json"
    write_object(path, {"pq": 1.5})
    with pytest.raises(TypeError):
        write_object(path, {"pq": object()})
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        write_object(path, {"pq": 2})
    assert read_object(path) == {"pq": 1.5}


def test_what_is_no_number_is_null(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    write_object(path, {"pq": math.nan, "networks": {"a": [1.5, math.inf, (-math.inf, 2)]}})
    assert read_object(path) == {"pq": None, "networks": {"a": [1.5, None, [None, 2]]}}
    assert "NaN" not in path.read_text()


@pytest.mark.parametrize(("text", "message"), [('{"pq": 1', "is damaged"), ("[1]", "must hold a JSON object, not")])
def test_what_is_no_object_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"metrics\.json {message}"):
        read_object(path)
