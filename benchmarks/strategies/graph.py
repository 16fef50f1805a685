"""NAS-Bench-Graph (Qin et al., NeurIPS 2022): 26,206 graph neural networks, from the package ``nas-bench-graph``.

For users without any table: ``pip install nas-bench-graph`` brings the data of all networks along. A network has a
topology, which says from which node each of its four operations takes its input, and the four operations. Several of
the 9 x 9^4 = 59,049 descriptions are one network (a ``skip`` moves, equal branches swap places); the package's
``Arch.valid_hash`` says which. The columns are ``valid/DATASET`` and ``test/DATASET`` (the package's ``perf``) in
percent, ``latency_ms``, and ``params`` in millions. Its ``proteins`` has fewer operations and another hash, and is left
out.
"""

from __future__ import annotations

import hashlib
import importlib
import itertools
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from autopanoptic.nas import Architecture, Choice, SearchSpace
from autopanoptic.nas.space.architecture import Option
from benchmarks.strategies.table import Table

DATASETS = ("cora", "citeseer", "pubmed", "cs", "physics", "photo", "computers", "arxiv")
LABELS = ("topology", "op1", "op2", "op3", "op4")
MEASURES = {"valid": ("valid_perf", 100.0), "test": ("perf", 100.0), "latency_ms": ("latency", 1e3)}


def load(dataset: str) -> Table:
    """Return the table of a data set; isomorphic descriptions are merged by the space.

    Raises:
        ModuleNotFoundError: says what to install.
        ValueError: for a data set that it does not have.
    """
    if dataset not in DATASETS:
        raise ValueError(f"NAS-Bench-Graph has no data set {dataset!r} here; choose one of {', '.join(DATASETS)}.")
    bench: Mapping[int, Mapping[str, float]] = _package().light_read(dataset)
    hashes = {options: key for options, key in _hashes().items() if key in bench}
    keys = {key: row for row, key in enumerate(dict.fromkeys(hashes.values()))}
    rows = {options: keys[key] for options, key in hashes.items()}
    columns = {
        name if name == "latency_ms" else f"{name}/{dataset}": np.array([bench[key][field] for key in keys]) * factor
        for name, (field, factor) in MEASURES.items()
    }
    columns["params"] = np.array([float(bench[key]["para"]) for key in keys])
    digest = hashlib.sha256(b"".join(column.tobytes() for column in columns.values())).hexdigest()[:10]
    return Table(f"nas-bench-graph, {dataset}", _space(), columns, rows, digest, np.arange(len(keys)))


def _package() -> Any:
    try:
        return importlib.import_module("nas_bench_graph")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("NAS-Bench-Graph needs its package: pip install nas-bench-graph.") from error


def _space() -> SearchSpace:
    package = _package().architecture
    topologies = [",".join(map(str, links)) for links in package.link_list]
    choices = [Choice("topology", topologies), *(Choice(label, package.gnn_list) for label in LABELS[1:])]
    return SearchSpace(choices, canonical=canonical).where(_is_network, "at least one operation is not skip")


def _is_network(architecture: Architecture) -> bool:
    return any(architecture[label] != "skip" for label in LABELS[1:])


def canonical(options: Mapping[str, Option]) -> Mapping[str, Option]:
    """Return the representative of a network: the first of its descriptions in the order of the package's lists."""
    return _representatives()[_hashes()[tuple(options[label] for label in LABELS)]]


@cache
def _representatives() -> dict[int, Mapping[str, Option]]:
    found: dict[int, Mapping[str, Option]] = {}
    for options, key in _hashes().items():
        found.setdefault(key, dict(zip(LABELS, options, strict=True)))
    return found


@cache
def _hashes() -> dict[tuple[Option, ...], int]:
    """Return the package's hash of every description."""
    package = _package().architecture
    return {
        (",".join(map(str, links)), *ops): package.Arch(list(links), list(ops)).valid_hash()
        for links in package.link_list
        for ops in itertools.product(package.gnn_list, repeat=len(LABELS) - 1)
    }
