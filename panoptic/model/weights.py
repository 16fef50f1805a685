"""Tensors on disk: written whole or not at all, and read without trusting the file."""

from __future__ import annotations

import errno
import io
import re
import zipfile
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import nn

from autopanoptic.nas.storage.files import whole
from autopanoptic.panoptic.model.misfits import reason

COUNTER = "num_batches_tracked"
"""A batch norm's counter, which other programs' files lack, and which nothing reads where it has a momentum."""


def save_weights(network: nn.Module, path: Path) -> None:
    """Write a state dict such that the file is either whole or as it was.

    Raises:
        OSError: If it cannot be written.
    """
    write_tensors(network.state_dict(), path)


def write_tensors(state: Any, path: Path) -> None:
    """Write what `read_tensors` reads, such that the file is either whole or as it was.

    Raises:
        OSError: If it cannot be written, with the cause; nothing half written takes room then.
    """
    found = serialized(state)
    try:
        with whole(path) as partial:
            partial.write_bytes(found)
    except OSError as error:
        raise OSError(error.errno, f"it cannot be written: {error.strerror or error}", str(path)) from error


def serialized(state: Any) -> memoryview:
    """Return what `torch.save` writes into a file; when that cannot be written, it does not say why."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getbuffer()


def load_weights(network: nn.Module, path: Path) -> None:
    """Read a state dict into a network.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, or another network's; the network is then as it was.
    """
    state = read_tensors(path)
    own = network.state_dict()
    problem = difference(own, state)
    if problem:
        raise ValueError(f"{path} does not hold the weights of this network: {problem}")
    network.load_state_dict(state)


def read_tensors(path: Path) -> Any:
    """Read what `torch.save` wrote, on the CPU; nothing but tensors and plain values is taken.

    Raises:
        OSError: If there is no such file, or it cannot be read.
        ValueError: If the file is damaged: empty, cut, changed, or something else altogether; or if it holds more.
    """
    size = path.stat().st_size
    try:
        _check_sums(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    # What the readers of a zip archive and of a pickle raise for foreign bytes is anything at all.
    except Exception as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # which a place beyond the file is
            raise
        if isinstance(error, UnpicklingError) and zipfile.is_zipfile(path):
            raise ValueError(
                f"{path} holds more than tensors and plain values, which is not read, for it could run any code. Save "
                "the network's state_dict() alone"
            ) from error
        raise ValueError(f"{path} ({size} bytes) is damaged: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, (KeyError, EOFError, UnpicklingError)):
        return "torch.save has not written this, or not to its end"
    lines = str(error).strip().splitlines()
    # Torch's readers explain themselves in several sentences, of which the first says it.
    return lines[0].split(". ")[0] if lines else type(error).__name__


def _check_sums(path: Path) -> None:
    """Compare the archive's parts with their checksums, which torch does not."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            changed = archive.testzip()
        if changed is not None:
            raise ValueError(f"its part {changed} has changed since it was written")


_ONE, _TWO = r"(?:[\w-]+\.)?", r"(?:[\w-]+\.){0,2}"
"""Options of components, which stand in the names of a supernet in which they are choices."""
THING_LAYERS = rf"roi_heads\.box_predictor\.|roi_heads\.mask_predictor\.2\.|panoptic\.{_TWO}relation\."
STUFF_LAYERS = rf"segmentation\.{_ONE}score\."
ALL_LAYERS = rf"segmentation\.{_ONE}classes\.|graph\.{_TWO}classes\."
"""Names of the layers whose outputs are the classes: of things, of stuff, or of both."""


def load_for_classes(network: nn.Module, path: Path) -> tuple[str, ...]:
    """Read a state dict of a network that is the same but for its classes, without the layers that are of those.

    Args:
        network: It keeps its own weights in the layers that are left out.
        path: The file; it may hold the state dict under ``state_dict`` or ``model``.

    Returns:
        The names of the layers that were left out; none where there are as many classes.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, or another network's in other layers too; the network is then as it was.
    """
    found, own = unwrapped(read_tensors(path)), network.state_dict()
    state, left_out = with_own_classes(own, found)
    problem = difference(own, state)
    if problem:
        raise ValueError(f"{path} does not hold the weights of this network: {problem}")
    network.load_state_dict(state)
    return left_out


def with_own_classes(
    own: dict[str, Any], found: Any, *, other_things: bool = False, other_stuff: bool = False
) -> tuple[Any, tuple[str, ...]]:
    """Return what a file holds, with a network's own tensors where the layers are of other classes.

    Args:
        own: The network's.
        found: What the file holds; what is no state dict comes back as it is.
        other_things: Whether the things are known to be others, even if there are as many.
        other_stuff: The same of the stuff.

    Returns:
        The state dict, and the names of the layers that are the network's own.
    """
    if not isinstance(found, dict):
        return found, ()
    state, left_out = dict(found), dict[str, None]()
    kinds = ((THING_LAYERS, other_things), (STUFF_LAYERS, other_stuff), (ALL_LAYERS, other_things or other_stuff))
    for layers, other in kinds:
        names = [name for name in own if re.match(layers, name) and name in found]
        if other or any(_shape(found[name]) != _shape(own[name]) for name in names):
            state |= {name: own[name] for name in names}
            left_out |= dict.fromkeys(name.rpartition(".")[0] for name in names)
    return state, tuple(left_out)


WRAPPER = "module."
"""Stands before the names that a training on several devices has written."""


def unwrapped(found: Any) -> Any:
    """Return the state dict of a file, which may hold it under ``state_dict`` or ``model``, or ``module.`` in names."""
    for key in ("state_dict", "model"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict):
        return found
    return {name.removeprefix(WRAPPER) if isinstance(name, str) else name: value for name, value in found.items()}


SHOWN = 5
"""Names of tensors in a message."""


def difference(own: dict[str, Any], found: Any) -> str | None:
    """Say what makes a state dict not the network's, in one line that names the first tensors; None where nothing does.

    Args:
        own: The network's.
        found: What a file holds.
    """
    if not isinstance(found, dict):
        return f"it is a {type(found).__name__}, not a state dict"
    problem, known = _tensors(own, found), reason(own, found)
    return problem if problem is None or known is None else f"{known}. {problem}"


def _tensors(own: dict[str, Any], found: dict[Any, Any]) -> str | None:
    missing, unknown = sorted(own.keys() - found.keys()), sorted(map(str, found.keys() - own.keys()))
    if missing or unknown:
        return "; ".join(
            f"{len(names)} {what}{_first(names)}"
            for what, names in (("missing", missing), ("unknown", unknown))
            if names
        )
    wrong = [
        f"{name} is {_shape(found[name])}, not {_shape(value)}"
        for name, value in own.items()
        if _shape(found[name]) != _shape(value)
    ]
    return f"{len(wrong)} of another shape{_first(wrong)}" if wrong else None


def _first(names: list[str]) -> str:
    return f"{', such as' if len(names) > SHOWN else ':'} {', '.join(names[:SHOWN])}"


def _shape(value: object) -> object:
    return tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
