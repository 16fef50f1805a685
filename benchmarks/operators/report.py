"""Writes docs/operators.md from the results; no number is typed."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.operators.results import path_of
from benchmarks.operators.statistics import __doc__ as method
from benchmarks.operators.table import differing, header, rows
from benchmarks.operators.training import AS_BEGUN

PAGE = "operators.md"
PASSES = 800
LONG = 1600
INTRODUCTION = """# What matters on the generated scenes

<!-- Written by `python -m benchmarks.operators report` from benchmarks/results/operators. Do not edit. -->

A search pays only where an architecture matters. These are trainings from scratch of networks that differ from the
hand-made one in one thing, everywhere: an operator, a width, a depth. The scenes were made so that the differences
show, before any search was run on them."""
COMMANDS = """## Run them

```bash
python -m benchmarks.operators train --jobs 2
python -m benchmarks.operators train --passes 1600 --read 800 --read 1600 --only hand-made --only at5
python -m benchmarks.operators report
```

Interrupted, the same command goes on."""


def write(results: Path, docs: Path) -> Path:
    """Write the page.

    Args:
        results: The folder of the JSON files.
        docs: Where the page goes.

    Returns:
        The page's path.

    Raises:
        FileNotFoundError: If the trainings of 800 passes have no results.
    """
    path = path_of(results, PASSES)
    if not path.exists():
        raise FileNotFoundError(f"there is no {path}: train the networks first")
    parts = [INTRODUCTION, "\n".join(_networks(_read(path)))]
    if path_of(results, LONG).exists():
        parts.append("\n".join(_long(_read(path_of(results, LONG)), _read(path))))
    parts += ["\n".join(_method()), COMMANDS]
    page = docs / PAGE
    page.write_text("\n\n".join(part.strip() for part in parts) + "\n")
    return page


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def _networks(found: Mapping[str, Any]) -> Iterator[str]:
    scenes, names = found["scenes"], differing(found)
    yield f"## {found['passes']} passes\n"
    yield _paragraph(
        f"{scenes['train']} scenes to train on, {scenes['val']} of val; PQ in percent, the mean of "
        f"{len(found['seeds'])} seeds, read while the learning rate falls to 0 at {found['passes']}. There each "
        "differs from the hand-made network by so much, ± one standard error; at equal cost, from the hand-made "
        "network in the width that costs as much. More than two standard errors (!), in PQ or in PQ at equal cost: "
        f"{len(names)} networks ({', '.join(names) or 'none'})."
    )
    begun = ", ".join(f"`{key}` {value}" for key, value in AS_BEGUN.items())
    yield _paragraph(
        f"The trainings are the `retrain` of the config `scenes` in the space `auto-panoptic`, from scratch, with "
        f"{begun} as when the first of them began."
    )
    yield from _table(header(found), rows(found))
    yield "\nWhat they are:\n"
    yield from (f"- {name}: {entry['what']}" for name, entry in found["networks"].items())


def _long(found: Mapping[str, Any], short: Mapping[str, Any]) -> Iterator[str]:
    yield f"## {found['passes']} passes\n"
    yield _paragraph(
        f"Longer trainings, their schedule stretched with them, and what they gain over those of {short['passes']}:"
    )
    cells = []
    for name in found["networks"]:
        seeds = range(len(found["seeds"]))
        ends = [one["networks"][name]["pq"][str(one["passes"])] for one in (short, found)]
        cells.append([name, *(f"{sum(end[seed] for seed in seeds) / len(seeds):.1f}" for end in ends)])
        cells[-1].append(f"{sum(ends[1][seed] - ends[0][seed] for seed in seeds) / len(seeds):+.1f}")
    yield from _table(["network", f"PQ at {short['passes']}", f"PQ at {found['passes']}", "gained"], cells)


def _method() -> Iterator[str]:
    yield "## Standard errors\n"
    yield (method or "").partition("\n")[2].strip()


def _paragraph(text: str) -> str:
    return f"{textwrap.fill(text, 116, break_on_hyphens=False)}\n"


def _table(names: list[str], cells: Any) -> Iterator[str]:
    yield f"| {' | '.join(names)} |"
    yield f"| --- |{' ---: |' * (len(names) - 1)}"
    yield from (f"| {' | '.join(row)} |" for row in cells)
