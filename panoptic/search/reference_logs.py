"""The search logs of Auto-Panoptic's published code, ``final_test_log.json`` and ``cache_test_log.json``.

Such a file is a JSON list with an object for each candidate: ``cycle``, from 0; ``backbone_rngs``, ``head_rngs`` and
``inter_rngs``, the lists of option indices of its result files; ``pq``, ``pq_thing``, ``pq_stuff``, ``sq``, ``rq``,
``ap_box``, ``ap_mask`` and ``fitness``, in percent.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from autopanoptic.nas import Architecture, RandomSearch, Result, Search, SearchSpace
from autopanoptic.nas.storage.files import whole
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.search.architecture_files import from_published, read_records, to_published

PARTS = {"backbone_rngs": "backbone", "head_rngs": "head", "inter_rngs": "inter"}
"""Names of the indices in a log, and in a result file."""
METRICS = {
    "pq": "pq", "pq_thing": "pq_things", "pq_stuff": "pq_stuff", "sq": "sq", "rq": "rq", "ap_box": "ap_box",
    "ap_mask": "ap_mask",
}  # fmt: skip
"""Names of the metrics in a log, and here."""
FITNESS = "fitness"


class Candidate(NamedTuple):
    """A candidate of a log.

    Attributes:
        architecture: What was measured.
        metrics: By our names, in percent; those that the log has, ``pq`` always.
        cycle: Of the search, from 0.
    """

    architecture: Architecture
    metrics: Mapping[str, float]
    cycle: int


def read_log(path: str | Path, config: PanopticConfig | None = None) -> list[Candidate]:
    """Read a search log of the published code.

    Args:
        path: The JSON file.
        config: The network that was searched; None for the published one.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no log, or does not fit the config; names the entry.
    """
    records = read_records(path, f"cycle, {', '.join(PARTS)} and {', '.join(METRICS)}")
    found = []
    for number, record in enumerate(records):
        try:
            found.append(_candidate(record, config))
        except ValueError as error:
            raise ValueError(f"{path}: entry {number}: {error}") from error
    return found


def write_log(path: str | Path, candidates: Iterable[Candidate], config: PanopticConfig | None = None) -> None:
    """Write a search log that the published code goes on from, and `read_log` reads.

    A metric that was not measured is NaN, as that code would write it.

    Raises:
        ValueError: If an architecture does not fit the config, as of `to_published`.
    """
    records: list[dict[str, Any]] = []
    for one in candidates:
        indices = to_published(one.architecture, config)
        metrics = {theirs: float(one.metrics.get(ours, math.nan)) for theirs, ours in METRICS.items()}
        parts = {theirs: indices[ours] for theirs, ours in PARTS.items()}
        records.append({"cycle": one.cycle} | parts | metrics | {FITNESS: metrics["pq"]})
    with whole(path) as partial:
        partial.write_text(json.dumps(records) + "\n")


def log_to_journal(path: str | Path, journal: str | Path, config: PanopticConfig | None = None) -> Result:
    """Write the journal of the search that a log is of, which `autopanoptic show` and `warm_start` read.

    Of a candidate that the log has twice the first is taken.

    Args:
        path: The log.
        journal: The file to write.
        config: As of `read_log`.

    Raises:
        FileExistsError: If there is a file already.
        FileNotFoundError: If there is no such log.
        ValueError: If it is no log, or does not fit the config.
    """
    candidates: dict[Architecture, Mapping[str, float]] = {}
    for one in read_log(path, config):
        candidates.setdefault(one.architecture, one.metrics)
    if Path(journal).exists():
        raise FileExistsError(f"{journal} is there already; give another name")
    space = space_of(config or PanopticConfig.coco())
    found = Search(space, RandomSearch(), objectives="pq", journal=journal, initial=candidates)
    try:
        for _ in candidates:
            trial = found.ask()
            assert trial is not None
            found.tell(trial, candidates[trial.architecture])
    finally:
        found.close()
    return found.result()


def space_of(config: PanopticConfig) -> SearchSpace:
    """Return the search space of a network."""
    with torch.device("meta"):
        return SearchSpace.from_module(PanopticNetwork(config))


def _candidate(record: Any, config: PanopticConfig | None) -> Candidate:
    if not isinstance(record, Mapping):
        raise ValueError(f"it must be an object, not {record!r:.60}")
    if lacking := [name for name in PARTS if not isinstance(record.get(name), list)]:
        raise ValueError(f"it has no list {lacking[0]!r}; it has {', '.join(map(str, record))}")
    architecture = from_published({ours: record[theirs] for theirs, ours in PARTS.items()}, config)
    metrics = {ours: float(record[theirs]) for theirs, ours in METRICS.items() if _is_number(record.get(theirs))}
    if "pq" not in metrics:
        if not _is_number(record.get(FITNESS)):
            raise ValueError(f"it has neither a pq nor a fitness, but {record.get('pq')!r} and {record.get(FITNESS)!r}")
        metrics["pq"] = float(record[FITNESS])
    cycle = record.get("cycle")
    return Candidate(architecture, metrics, cycle if type(cycle) is int else 0)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
