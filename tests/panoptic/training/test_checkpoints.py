"""Which checkpoint a training goes on from."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
import torch

from autopanoptic.panoptic.training.checkpoints import KeepTwo, newest_checkpoint


def write(path: Path, **changes: object) -> Path:
    whole = {"state_dict": {}, "optimizer_states": [], "loops": {}, "epoch": 1, "global_step": 2}
    torch.save({**whole, **changes}, path)
    return path


def cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def test_a_new_folder_has_none(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path / "new") is None


def test_the_last_one_comes_first(tmp_path: Path) -> None:
    previous, last = write(tmp_path / "previous.ckpt"), write(tmp_path / "last.ckpt")
    assert newest_checkpoint(tmp_path) == last
    last.unlink()  # killed between the moving and the writing
    assert newest_checkpoint(tmp_path) == previous


@pytest.mark.parametrize("size", [0, 10, 500])
def test_the_older_one_serves_where_the_last_is_damaged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, size: int
) -> None:
    previous, last = write(tmp_path / "previous.ckpt"), write(tmp_path / "last.ckpt")
    cut(last, size)
    assert newest_checkpoint(tmp_path) == previous
    assert f"last.ckpt ({size} bytes) is damaged" in caplog.text
    cut(previous, size)
    with pytest.raises(
        ValueError, match=r"damaged.*\. Delete last.ckpt and previous.ckpt to begin this .* anew"
    ) as raised:
        newest_checkpoint(tmp_path)
    assert "\n" not in str(raised.value)


def test_another_file_is_no_checkpoint(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "last.ckpt")
    with pytest.raises(
        ValueError, match=r"last.ckpt is no checkpoint of a training: it lacks optimizer_states. Delete last"
    ):
        newest_checkpoint(tmp_path)


class FullDisk:
    """A trainer whose next checkpoint cannot be written to its end."""

    is_global_zero = True

    def save_checkpoint(self, path: Path) -> None:
        path.write_bytes(b"PK")
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_whole_checkpoint_outlives_a_damaged_last_one(tmp_path: Path) -> None:
    previous, last = write(tmp_path / "previous.ckpt"), write(tmp_path / "last.ckpt")
    cut(last, 10)
    trainer: Any = FullDisk()
    said = "the checkpoint cannot be written: No space left on device. Those that were written before are there"
    with pytest.raises(OSError, match=said) as raised:
        KeepTwo(tmp_path).on_train_epoch_end(trainer, Any)
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, str(tmp_path / "new.ckpt"))
    assert newest_checkpoint(tmp_path) == previous
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last.ckpt", "previous.ckpt"]
