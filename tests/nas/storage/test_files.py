"""Files that are whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from autopanoptic.nas.storage.files import whole


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.json"
    with whole(path) as partial:
        partial.write_text("half")
        assert not path.exists()
        partial.write_text("whole")
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_what_is_no_file_is_written_to_as_it_is() -> None:
    with whole("/dev/null") as found:
        found.write_text("whole")
        assert found == Path("/dev/null")
    assert Path("/dev/null").is_char_device()


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file.json").write_text("before")
    (tmp_path / "link.json").symlink_to(tmp_path / "real" / "file.json")
    with whole(tmp_path / "link.json") as partial:
        partial.write_text("after")
    assert (tmp_path / "link.json").is_symlink()
    assert [path.read_text() for path in (tmp_path / "real").iterdir()] == ["after"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_was_there_stays_where_the_writing_fails(error: type[BaseException], tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text("before")

    def fail() -> None:
        with whole(path) as partial:
            partial.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
