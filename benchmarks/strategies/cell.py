"""The cell of NAS-Bench-201: its choices, and which cells are isomorphic."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import cache

from autopanoptic.nas import Choice, SearchSpace
from autopanoptic.nas.space.architecture import Option

EDGES = ("1<-0", "2<-0", "2<-1", "3<-0", "3<-1", "3<-2")
OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
NODES = 4


def is_cell(labels: Sequence[str], ops: Sequence[str]) -> bool:
    """Return whether choices of these labels and operations make the cells of NAS-Bench-201, in any order."""
    return set(labels) == set(EDGES) and set(ops) == set(OPS)


def space(merged: bool = False) -> SearchSpace:
    """Return the space of 15,625 cells, or with isomorphic ones merged that of 6,466 classes."""
    return SearchSpace([Choice(edge, OPS) for edge in EDGES], canonical=canonical if merged else None)


def unique_string(options: Mapping[str, Option]) -> str:
    """Return a text that is equal for isomorphic cells.

    Dong and Yang 2020 ("NAS-Bench-201", section 2.1): ``skip_connect`` is the identity, ``none`` cuts an edge, and the
    order in which a node adds up its inputs does not matter. As in their code, a node remembers how many of its inputs
    are cut, which gives 6,466 classes; to forget that as well would give fewer.
    """
    nodes = ["0"]
    for node in range(1, NODES):
        inputs = (_edge(options[f"{node}<-{source}"], nodes[source]) for source in range(node))
        nodes.append("+".join(sorted(inputs)))
    return nodes[-1]


def _edge(op: Option, source: str) -> str:
    if op == "none" or source == "#":
        return "#"
    return source if op == "skip_connect" else f"({source})@{op}"


def canonical(options: Mapping[str, Option]) -> Mapping[str, Option]:
    """Return the representative of a cell's class: its first member in the order of :data:`OPS`.

    Meant for ``SearchSpace(canonical=...)``. Members of a class were trained separately, so a table has a value for
    each of them; a search on representatives sees only those of the representatives.
    """
    return _representatives()[unique_string(options)]


@cache
def _representatives() -> dict[str, Mapping[str, Option]]:
    found: dict[str, Mapping[str, Option]] = {}
    for ops in itertools.product(OPS, repeat=len(EDGES)):
        options: Mapping[str, Option] = dict(zip(EDGES, ops, strict=True))
        found.setdefault(unique_string(options), options)
    return found
