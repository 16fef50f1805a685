"""Files of tensors: read back, or refused by name."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from autopanoptic.panoptic.model.weights import load_weights, read_tensors, save_weights


class Payload:
    """What a pickle could run."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return print, ("executed",)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_weights(nn.Linear(50, 40), tmp_path / "new" / "w.pt")
    return tmp_path / "new" / "w.pt"


def test_a_full_disk_is_told_and_leaves_the_file_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()

    def half(file: Path, data: memoryview) -> int:
        with file.open("wb") as opened:
            opened.write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(OSError, match="it cannot be written: No space left on device") as raised:
        save_weights(nn.Linear(50, 40), path)
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, str(path))
    assert [file.name for file in path.parent.iterdir()] == ["w.pt"]
    assert path.read_bytes() == before


@pytest.mark.parametrize("problem", [PermissionError(errno.EACCES, "Permission denied"), MemoryError()])
def test_a_file_that_cannot_be_read_is_not_called_damaged(
    path: Path, monkeypatch: pytest.MonkeyPatch, problem: Exception
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise problem

    monkeypatch.setattr(torch, "load", fails)
    with pytest.raises(type(problem)):
        read_tensors(path)


@pytest.mark.parametrize("cut", [0, 1, 4, 100, 0.5, 0.99, -1, -22])
def test_a_cut_file_is_damaged(path: Path, cut: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(cut * len(content)) if 0 < cut < 1 else int(cut)])
    with pytest.raises(ValueError, match=r"w\.pt \(\d+ bytes\) is damaged: ") as raised:
        read_tensors(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("seed", range(5))
def test_random_bytes_are_damaged(path: Path, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    path.write_bytes(bytes(torch.randint(256, (10 ** (seed + 1),), generator=generator).tolist()))
    with pytest.raises(ValueError, match=r"w\.pt .* is damaged"):
        read_tensors(path)


def test_changed_bytes_are_damaged(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged: its part .* has changed"):
        read_tensors(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"weights: 1", b"PK"])
def test_what_is_no_file_of_weights_is_told_so(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"w\.pt \(\d+ bytes\) is damaged: torch\.save has not written this"):
        read_tensors(path)


def test_code_is_not_run(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"weight": Payload()}, path)
    with pytest.raises(
        ValueError, match=r"w\.pt holds more than tensors and plain values, .* the network's state_dict"
    ):
        read_tensors(path)
    assert not capsys.readouterr().out


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ([torch.zeros(1)], "it is a list, not a state dict"),
        ({"weight": torch.zeros(40, 50)}, "1 missing: bias"),
        ({"w": torch.zeros(1)}, "2 missing: bias, weight; 1 unknown: w"),
        ({"weight": torch.zeros(50, 40), "bias": torch.zeros(40)}, r"weight is \(50, 40\), not \(40, 50\)"),
        ({"weight": 3, "bias": torch.zeros(40)}, r"weight is int, not \(40, 50\)"),
    ],
)
def test_weights_of_another_network_are_refused(path: Path, state: object, message: str) -> None:
    torch.save(state, path)
    network = nn.Linear(50, 40)
    before = network.weight.clone()
    with pytest.raises(ValueError, match=message):
        load_weights(network, path)
    assert torch.equal(network.weight, before)


def test_a_round_trip(path: Path) -> None:
    network = nn.Linear(50, 40)
    load_weights(network, path)
    assert torch.equal(network.weight, read_tensors(path)["weight"])
    assert [file.name for file in path.parent.iterdir()] == ["w.pt"]


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_tensors(tmp_path / "w.pt")
