"""Converts the official API objects of NATS-Bench and NAS-Bench-201 to a table file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.strategies.cell import EDGES, OPS

DATASETS = ("cifar10", "cifar100", "ImageNet16-120")


class NatsBench(Protocol):
    """What the converter calls of ``nats_bench.create(path, "tss")``; NAS-Bench-201's own API has the same methods."""

    def __len__(self) -> int: ...

    def arch(self, index: int) -> str:
        """Return the text of an architecture."""
        ...

    def get_more_info(
        self, index: int, dataset: str, iepoch: int | None = None, hp: str = "12", is_random: bool = True
    ) -> Mapping[str, Any]:
        """Return accuracies and times."""
        ...

    def get_cost_info(self, index: int, dataset: str, hp: str = "12") -> Mapping[str, Any]:
        """Return training times, FLOPs and the like."""
        ...


def from_nats_bench(api: NatsBench, path: str | Path | None = None) -> dict[str, NDArray[Any]]:
    """Return the arrays of a table (see :mod:`benchmarks.strategies.npz`), and write them where a path is given.

    ::

        from nats_bench import create
        from benchmarks.strategies.convert import from_nats_bench

        api = create("NATS-tss-v1_0-3ffb9-simple", "tss", fast_mode=True, verbose=False)
        from_nats_bench(api, "nasbench201.npz")

    Every value is the mean over the seeds that the API has. On CIFAR-10 validation accuracies are those of
    ``cifar10-valid`` (trained on half of the training images, validated on the other half) and test accuracies those of
    ``cifar10``, or of ``cifar10-valid`` where ``cifar10`` was not run for so many epochs. ``val200_single``
    keeps the key of the schema, though here it is a mean as well. The API has one latency, of its authors' GPU, and no
    devices, so ``latency_ms`` is left out.

    Args:
        api: made by ``nats_bench.create(file, "tss")`` or ``nas_201_api.NASBench201API(file)``.
        path: the ``.npz`` file to write.

    Raises:
        ValueError: when the API holds other architectures than the 15,625 of the topology space, or lacks a value.
    """
    indices = range(len(api))
    parsed = [operations(api.arch(index)) for index in indices]
    if len(parsed) != len(OPS) ** len(EDGES) or len(set(parsed)) != len(parsed):
        raise ValueError(
            f"The API holds {len(parsed)} architectures, {len(set(parsed))} of them different; the topology space "
            f"has {len(OPS) ** len(EDGES)}. Was it made with create(file, 'tss')?"
        )
    arrays: dict[str, NDArray[Any]] = {
        "ops": np.array(OPS),
        "edges": np.array(EDGES),
        "arch": np.array([[OPS.index(op) for op in ops] for ops in parsed], dtype=np.int8),
        "datasets": np.array(DATASETS),
        "val12": _accuracies(api, indices, "valid-accuracy", "12"),
        "test12": _accuracies(api, indices, "test-accuracy", "12"),
        "val200_single": _accuracies(api, indices, "valid-accuracy", "200"),
        "test200": _accuracies(api, indices, "test-accuracy", "200"),
        "cost12_s_c10valid": np.array([_cost(api, index) for index in indices], dtype=np.float32),
    }
    if path is not None:
        np.savez_compressed(path, **arrays)  # type: ignore[arg-type]  # its type takes allow_pickle for an array
    return arrays


def operations(text: str) -> tuple[str, ...]:
    """Return the operations of the edges from the official text, such as ``|none~0|+|none~0|none~1|+|...|``.

    Raises:
        ValueError: when it is not a cell of the topology space.
    """
    found: dict[str, str] = {}
    for node, inputs in enumerate(text.split("+"), start=1):
        for part in filter(None, inputs.split("|")):
            op, _, source = part.partition("~")
            found[f"{node}<-{source}"] = op
    if set(found) != set(EDGES) or not set(found.values()) <= set(OPS):
        raise ValueError(f"{text!r} is no cell of the topology space, which has edges {EDGES} and operations {OPS}.")
    return tuple(found[edge] for edge in EDGES)


def _accuracies(api: NatsBench, indices: Sequence[int], key: str, hp: str) -> NDArray[np.float32]:
    rows = [[_accuracy(api, index, dataset, key, hp) for dataset in DATASETS] for index in indices]
    return np.array(rows, dtype=np.float32)


def _accuracy(api: NatsBench, index: int, dataset: str, key: str, hp: str) -> float:
    for source in _sources(dataset, key):
        try:
            found = api.get_more_info(index, source, hp=hp, is_random=False)
        except KeyError:  # the API has no run of this data set for so many epochs
            continue
        if found.get(key) is not None:
            return float(found[key])
    raise ValueError(f"The API has no {key} of architecture {index} on {dataset} after {hp} epochs.")


def _sources(dataset: str, key: str) -> Iterable[str]:
    """Return the API's names of a data set, the wanted one first."""
    if dataset != "cifar10":
        return (dataset,)
    return ("cifar10-valid",) if key == "valid-accuracy" else ("cifar10", "cifar10-valid")


def _cost(api: NatsBench, index: int) -> float:
    costs = api.get_cost_info(index, "cifar10-valid", hp="12")
    if costs.get("T-train@total") is None:
        raise ValueError(f"The API has no training time of architecture {index}.")
    return float(costs["T-train@total"])
