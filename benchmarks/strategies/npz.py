"""Tables from ``.npz`` files: the schema, and its checks.

A file holds a complete space, one row for every architecture, under these keys. n is the number of architectures,
m that of choices, k that of operations, d that of data sets.

| key | shape | contents |
|---|---|---|
| `ops` | (k,) text | the names of the operations |
| `arch` | (n, m) integers | for each choice the index into `ops`; n = k^m, every row once |
| `edges` | (m,) text, optional | the labels of the choices; `block1` to `blockm` where it is missing |
| `datasets` | (d,) text | the names of the second axis of the accuracies of the next three rows; needed with them |
| `val12`, `test12` | (n, d), optional | validation and test accuracy after 12 epochs, percent |
| `val200_single` | (n, d), optional | validation accuracy after 200 epochs, one run, percent |
| `test200` | (n, d), optional | test accuracy after 200 epochs, mean of the runs, percent |
| `test_acc` | (n, runs), optional | test accuracy of single runs, percent; the benchmark uses the mean |
| `cost12_s_c10valid` | (n,), optional | seconds of training for 12 epochs on CIFAR-10's training half |
| `latency_ms` | (n, devices), optional | latency, milliseconds |
| `latency_devices` | (devices,) text | the names of the devices; needed with `latency_ms` |
| `params`, `flops` | (n,), optional | size and cost of the network |
| `iso_class` | (n,), optional | the isomorphism class, not used by the benchmark |

At least one accuracy must be there. All numbers are finite, accuracies lie in [0, 100], everything else is at least 0.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autopanoptic.nas import Choice, SearchSpace
from benchmarks.strategies import cell
from benchmarks.strategies.table import Column, Table

ACCURACIES = ("val12", "test12", "val200_single", "test200")
PLAIN = ("cost12_s_c10valid", "params", "flops")
Arrays = Mapping[str, NDArray[Any]]


class TableError(ValueError):
    """A file does not keep to the schema."""


def load(path: str | Path, merged: bool = False) -> Table:
    """Read a table and check it.

    Args:
        path: the ``.npz`` file.
        merged: whether isomorphic cells of NAS-Bench-201 are one architecture, whose values are those of its
            representative; see :func:`benchmarks.strategies.cell.canonical`.

    Raises:
        FileNotFoundError: when there is no such file.
        TableError: when it is not an ``.npz`` file or does not keep to the schema.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no table {path}. Give the path of an .npz file with --table.")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except (ValueError, zipfile.BadZipFile, AttributeError) as error:
        raise TableError(f"{path.name} cannot be read as an .npz file of plain arrays: {error}") from error
    return from_arrays(path.stem, arrays, merged)


def from_arrays(name: str, arrays: Arrays, merged: bool = False) -> Table:
    """Return the table of the arrays of a file.

    Raises:
        TableError: when they do not keep to the schema.
    """
    ops, arch, labels = _architectures(name, arrays)
    columns = _columns(name, arrays, len(arch))
    rows = {tuple(ops[index] for index in values): row for row, values in enumerate(arch.tolist())}
    choices = [Choice(label, ops) for label in labels]
    if not merged:
        return Table(name, SearchSpace(choices), columns, rows, _fingerprint(arrays), np.arange(len(arch)))
    if not cell.is_cell(labels, ops):
        raise TableError(f"{name} has no cells of NAS-Bench-201, and for others no isomorphisms are known here.")
    space = SearchSpace(choices, canonical=cell.canonical)
    members = np.array([rows[tuple(architecture.values())] for architecture in space])
    return Table(f"{name}, isomorphic cells merged", space, columns, rows, _fingerprint(arrays), members)


def _need(name: str, arrays: Arrays, key: str, why: str = "") -> NDArray[Any]:
    if key not in arrays:
        raise TableError(f"{name} lacks {key!r}{why}; it has {', '.join(sorted(arrays)) or 'nothing'}.")
    return arrays[key]


def _architectures(name: str, arrays: Arrays) -> tuple[list[str], NDArray[Any], list[str]]:
    ops = _names(name, arrays, "ops")
    arch = _need(name, arrays, "arch")
    if arch.ndim != 2 or arch.dtype.kind not in "iu":
        raise TableError(f"'arch' of {name} must be integers of shape (n, choices), not {_kind(arch)}.")
    if arch.size == 0 or arch.min() < 0 or arch.max() >= len(ops):
        raise TableError(f"'arch' of {name} must hold indices from 0 to {len(ops) - 1} into 'ops'.")
    size, choices = len(ops) ** arch.shape[1], arch.shape[1]
    different = len(np.unique(arch, axis=0))
    if len(arch) != size or different != size:
        raise TableError(
            f"'arch' of {name} must hold each of the {len(ops)}^{choices} = {size} architectures once; it has "
            f"{len(arch)} rows, {different} of them different."
        )
    labels = _names(name, arrays, "edges") if "edges" in arrays else [f"block{n + 1}" for n in range(choices)]
    if len(labels) != choices:
        raise TableError(f"'edges' of {name} has {len(labels)} labels for the {choices} columns of 'arch'.")
    return ops, arch, labels


def _names(name: str, arrays: Arrays, key: str, why: str = "") -> list[str]:
    values = _need(name, arrays, key, why)
    found: list[str] = values.tolist() if values.ndim == 1 and values.dtype.kind == "U" else []
    if not found or len(set(found)) < len(found):
        raise TableError(f"{key!r} of {name} must be a list of different names, not {_kind(values)}: {values!r}.")
    return found


def _columns(name: str, arrays: Arrays, count: int) -> dict[str, Column]:
    columns: dict[str, Column] = {}
    for key in (key for key in ACCURACIES if key in arrays):
        columns |= _split(name, arrays, key, _names(name, arrays, "datasets", f" for {key!r}"), count, 100)
    if "test_acc" in arrays:
        single = _numbers(name, arrays["test_acc"], "test_acc", count, 2, 100)
        columns["test/mean"] = single.mean(axis=1)
    if not columns:
        raise TableError(f"{name} has no accuracy: none of {', '.join((*ACCURACIES, 'test_acc'))}.")
    for key in (key for key in PLAIN if key in arrays):
        columns[key] = _numbers(name, arrays[key], key, count, 1)
    if "latency_ms" in arrays:
        devices = _names(name, arrays, "latency_devices", " for 'latency_ms'")
        columns |= _split(name, arrays, "latency_ms", devices, count)
    return columns


def _split(
    name: str, arrays: Arrays, key: str, parts: list[str], count: int, high: float = np.inf
) -> dict[str, Column]:
    values = _numbers(name, arrays[key], key, count, 2, high)
    if values.shape[1] != len(parts):
        raise TableError(f"{key!r} of {name} has shape {values.shape}, but there are {len(parts)} names: {parts}.")
    return {f"{key}/{part}": values[:, index].copy() for index, part in enumerate(parts)}


def _numbers(
    name: str, values: NDArray[Any], key: str, count: int, dimensions: int, high: float = np.inf
) -> NDArray[np.float64]:
    if values.dtype.kind not in "iuf" or values.ndim != dimensions or len(values) != count:
        shape = f"({count},)" if dimensions == 1 else f"({count}, ...)"
        raise TableError(f"{key!r} of {name} must be numbers of shape {shape}, not {_kind(values)}.")
    found = values.astype(np.float64)
    wrong = np.argwhere(~np.isfinite(found) | (found < 0) | (found > high))
    if len(wrong):
        place = tuple(wrong[0].tolist())
        limit = "at least 0" if high == np.inf else f"from 0 to {high:g}"
        raise TableError(f"{key!r} of {name} must be finite numbers {limit}; {place} is {found[place]}.")
    return found


def _kind(values: NDArray[Any]) -> str:
    return f"{values.dtype} of shape {values.shape}"


def _fingerprint(arrays: Arrays) -> str:
    digest = hashlib.sha256()
    for key in sorted(arrays):
        digest.update(f"{key} {arrays[key].dtype.str} {arrays[key].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[key]).tobytes())
    return digest.hexdigest()[:10]
