"""Writes docs/operators.md from the results; no number is typed."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.operators.categories import gains, noise
from benchmarks.operators.networks import NETWORKS
from benchmarks.operators.results import path_of
from benchmarks.operators.statistics import __doc__ as method
from benchmarks.operators.table import differing, header, rows
from benchmarks.operators.training import AS_BEGUN

PAGE = "operators.md"
PASSES = 800
LONG = 1600
CONVERGED = 1.5
"""A network that gains less PQ by a training of twice the length has converged."""
INTRODUCTION = """# What matters on the generated scenes

<!-- Written by `python -m benchmarks.operators report` from benchmarks/results/operators. Do not edit. -->

A search pays only where an architecture matters. These are trainings from scratch of networks that differ from the
hand-made one in one thing, everywhere: an operator, a width, a depth. The scenes were made so that the differences
show, before any search was run on them.

A first set of trainings, of eight of these networks, was made before that, and six differed by more than two standard
errors: narrow, wide, shuffle7, at3, at5 and deep. This is a second set, of all networks, on one other processor. It was
made later; scenes and recipe are the same. Of the six, narrow, at3 and at5 differ again, and wide, shuffle7 and deep do
not: with some thirty comparisons, two standard errors are exceeded once or twice by chance."""
COMMANDS = """## Run them

```bash
python -m benchmarks.operators train --jobs 2
python -m benchmarks.operators train --passes 1600 --read 800 --read 1600 --seeds 1 --only hand-made --only at5
python -m benchmarks.operators train --seeds 1 --only hand-made --variant larger-batches --set retrain.batch_size=16
python -m benchmarks.operators train --seeds 1 --only hand-made --variant larger-batches --set retrain.batch_size=16 \\
    --passes 1600
python -m benchmarks.operators train --seeds 1 --only hand-made --variant slower --set retrain.learning_rate=0.0015
python -m benchmarks.operators train --seeds 1 --only hand-made --variant faster --set retrain.learning_rate=0.006
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
    recipes = list(_recipes(results))
    if recipes:
        parts.append("\n".join(_others(recipes, _read(path))))
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
    if len(found["seeds"]) > 1:
        yield "\n" + _paragraph(noise(found))
    yield "What they are:\n" if len(found["seeds"]) > 1 else "\nWhat they are:\n"
    yield from (f"- {name}: {entry['what']}" for name, entry in found["networks"].items())
    missing = [name for name in NETWORKS if name not in found["networks"]]
    if missing:
        yield "\n" + _paragraph(
            f"Not trained with all of these seeds yet, of {len(NETWORKS)} networks: {', '.join(missing)}."
        )


def _long(found: Mapping[str, Any], short: Mapping[str, Any]) -> Iterator[str]:
    seeds = found["seeds"]
    yield f"## {found['passes']} passes\n"
    yield _paragraph(
        f"Longer trainings, their schedule stretched with them, and what they gain over those of {short['passes']}, "
        f"of seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}:"
    )
    ends = {name: [_mean(one, name, seeds) for one in (short, found)] for name in found["networks"]}
    cells = [
        [name, f"{before:.1f}", f"{after:.1f}", f"{after - before:+.1f}"] for name, (before, after) in ends.items()
    ]
    yield from _table(["network", f"PQ at {short['passes']}", f"PQ at {found['passes']}", "gained"], cells)
    converged = [name for name, (before, after) in ends.items() if after - before < CONVERGED]
    others = [name for name in ends if name not in converged]
    yield "\n" + _paragraph(
        f"A network has converged after {short['passes']} passes where twice as many gain less than {CONVERGED} PQ. "
        f"Converged: {', '.join(converged) or 'none'}. Not converged: {', '.join(others) or 'none'}. By category, "
        f"{'; '.join(gains(found, short))}."
    )


def _recipes(results: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any] | None]]:
    """Yield the results of other recipes, of 800 passes and, where there are such trainings, of 1600."""
    for path in sorted(results.glob(path_of(results, PASSES, "*").name)):
        found = _read(path)
        long = path_of(results, LONG, found["variant"])
        other = _read(long) if long.exists() else None
        alike = other is not None and all(other[key] == found[key] for key in ("changes", "seeds"))
        yield found, other if alike else None


def _others(recipes: Sequence[tuple[dict[str, Any], dict[str, Any] | None]], own: Mapping[str, Any]) -> Iterator[str]:
    yield "## Other recipes\n"
    yield _paragraph(
        f"Would another recipe have networks converge in {PASSES} passes? Beside each, what the recipe above comes to "
        "with the same seeds."
    )
    cells = []
    for short, long in recipes:
        changes = ", ".join(f"`{key}` {value}" for key, value in short["changes"].items())
        for name in short["networks"]:
            before, here = _mean(own, name, short["seeds"]), _mean(short, name, short["seeds"])
            known = long is not None and name in long["networks"]
            after = _mean(long, name, short["seeds"]) if known and long is not None else None
            ends = ["", ""] if after is None else [f"{after:.1f}", f"{after - here:+.1f}"]
            cells.append([changes, name, f"{before:.1f}", f"{here:.1f}", *ends])
    heads = ["recipe", "network", f"as above at {PASSES}", f"PQ at {PASSES}", f"PQ at {LONG}", "gained"]
    yield from _table(heads, cells)
    yield "\n" + _paragraph(
        "These are single trainings, so that the rates do not differ beyond what seeds do. Batches of twice the size "
        f"help most: a network then sees as many images in {PASSES} passes as by the config's in {LONG}, in as much "
        "time. But these "
        "trainings, too, gain by twice as many passes. So what networks lack is images seen; the order of operators "
        "is that of short trainings."
    )


def _mean(found: Mapping[str, Any], name: str, seeds: Sequence[int]) -> float:
    """Return a network's mean PQ at the end of its trainings over some of the seeds."""
    ends = found["networks"][name]["pq"][str(found["passes"])]
    return sum(float(ends[found["seeds"].index(seed)]) for seed in seeds) / len(seeds)


def _method() -> Iterator[str]:
    yield "## Standard errors\n"
    yield (method or "").partition("\n")[2].strip()


def _paragraph(text: str) -> str:
    return f"{textwrap.fill(text, 116, break_on_hyphens=False)}\n"


def _table(names: list[str], cells: Any) -> Iterator[str]:
    yield f"| {' | '.join(names)} |"
    yield f"| --- |{' ---: |' * (len(names) - 1)}"
    yield from (f"| {' | '.join(row)} |" for row in cells)
