"""Writes docs/throughput.md from the results; no number is typed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.throughput.operators import KINDS, OTHERS

DENSE = [kind for kind in KINDS if kind != OTHERS]
PAGE = "throughput.md"
REFERENCE = "Mask R-CNN"
INTRODUCTION = """# Throughput

<!-- Written by `python -m benchmarks.throughput report` from benchmarks/results/throughput. Do not edit. -->

Networks of different size compare by the work that they do in a second: images per second times the GFLOPs of an
image, a multiply and an add as one, by torch's counter. torchvision's Mask R-CNN with a ResNet-50 is what ours are
compared with, on the same machine and in the same run."""
OPERATORS = """## Where a training step's time goes

One core, seconds of the processor. GFLOPs are those of an image's forward pass and losses; rounds of all networks take
turns. Below are GFLOPs in a second of each kind of operator, forward and backward, and in parentheses the share of the
time that all operators take."""
BOUND = """The last row but one is what a network would reach if everything but its convolutions and matrix products
took no time; the last compares that with Mask R-CNN's own rate. torch's depthwise convolutions do a fraction of the
work that dense ones do in the same time, and products of few channels less than those of many: where the last row is
below 1, no code around torch's operators can reach Mask R-CNN's rate. So it stands, by the processor's seconds of the
table above, which vary by some 2% from one run to another:"""
SPEED = """## Training and evaluation

Random weights, random pixels, 10 things an image; training steps with AdamW, evaluation with no least score, until the
panoptic maps (of Mask R-CNN: the pasted masks) lie on the device. Every network has a process of its own. On a GPU
seconds are wall-clock seconds and memory is what torch has allocated at most; on a CPU, where one thread computes, they
are the processor's, and memory is the whole process's."""
COMMANDS = """## Run them

```bash
python -m benchmarks.throughput operators
python -m benchmarks.throughput measure --precision bf16-mixed --warmup 3 --steps 8 --seconds 330  # on a GPU
python -m benchmarks.throughput measure --height 192 --width 256 --batch 2 --steps 2 --rounds 2 --device cpu \\
    --only hand-made --only "Mask R-CNN" --only Mask2Former
python -m benchmarks.throughput report
```

`measure` takes a GPU where there is one, Mask2Former where transformers is installed, and the library's other models
(panoptic-fpn and so on, with the backbone of `hand-made`, which is auto-panoptic's design). Each network is a row of
benchmarks/results/throughput as soon as it is measured: where `--seconds` or an error ends the command, the same
command measures what is left. Without sizes it is of 800 x 1333 pixels in batches of 2 and 8."""


def write(results: Path, docs: Path) -> Path:
    """Write the page.

    Args:
        results: The folder of the JSON files.
        docs: Where the page goes.

    Returns:
        The page's path.

    Raises:
        FileNotFoundError: If the operators have not been measured.
    """
    source = results / "operators.json"
    if not source.exists():
        raise FileNotFoundError(f"there is no {source}: run `python -m benchmarks.throughput operators` first")
    found = json.loads(source.read_text())
    parts = [INTRODUCTION, OPERATORS, "\n".join(operators(found)), BOUND, "\n".join(reached(found))]
    if speeds := sorted(results.glob("speed-*.json")):
        parts += [SPEED, *("\n".join(speed(json.loads(path.read_text()))) for path in speeds)]
    page = docs / PAGE
    page.write_text("\n\n".join([*parts, COMMANDS]) + "\n")
    return page


def operators(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of the tables of a training step."""
    networks = found["networks"]
    yield f"{found['device']}, {found['size']} x {found['size']} pixels, {found['batch']} images in a batch:\n"
    yield from _head("network", "GFLOPs an image", "images/s", "slowest to fastest", "GFLOPs/s", f"by {REFERENCE}'s")
    for name, row in networks.items():
        yield _row(
            name, f"{row['gflops']:.2f}", f"{row['images_per_second']:.2f}",
            f"{row['slowest']:.2f} to {row['fastest']:.2f}", f"{row['gflops_per_second']:.1f}", f"{row['ratio']:.2f}",
        )  # fmt: skip
    yield ""
    yield from _head("GFLOPs/s forward and backward", *networks)
    for kind in KINDS:
        yield _row(kind, *(_cell(row["operators"], kind) for row in networks.values()))
    whole = {name: rate(row["operators"], KINDS) for name, row in networks.items()}
    dense = {name: rate(row["operators"], DENSE) for name, row in networks.items()}
    yield _row("all", *(f"{one:.1f}" for one in whole.values()))
    yield _row(f"all but {OTHERS}", *(f"{one:.1f}" for one in dense.values()))
    yield _row(f"the same by {REFERENCE}'s own rate", *(f"{one / whole[REFERENCE]:.2f}" for one in dense.values()))


def reached(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each of our networks: what it reaches of the reference's rate, and what it could."""
    networks = found["networks"]
    whole = rate(networks[REFERENCE]["operators"], KINDS)
    for name, row in networks.items():
        if name != REFERENCE:
            most = rate(row["operators"], DENSE) / whole
            compared = "as fast as" if row["ratio"] >= 1 else "slower than"
            yield f"- {name}: {row['ratio']:.2f} of {REFERENCE}'s rate, so {compared} it; {most:.2f} at most."


def rate(spent: Mapping[str, Any], kinds: Any) -> float:
    """Return the GFLOPs in a second of some kinds of operators together."""
    chosen = [spent[kind] for kind in kinds if kind in spent]
    return sum(one["gflops"] for one in chosen) / max(sum(one["seconds"] for one in chosen), 1e-9)


def speed(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of the table of one device."""
    height, width = found["size"]
    yield f"{found['device']}, {height} x {width} pixels, {found['precision']}, torch {found['torch']}:\n"
    yield from _head("network", "batch", "", "GFLOPs an image", "images/s", "slowest to fastest", "GFLOPs/s",
                     f"by {REFERENCE}'s", "MiB")  # fmt: skip
    for batch, networks in found["batches"].items():
        for name, row in networks.items():
            for kind, one in row.items():
                reference = networks.get(REFERENCE, {}).get(kind)
                done = one["images_per_second"] * one["gflops"]
                ratio = f"{done / (reference['images_per_second'] * reference['gflops']):.2f}" if reference else ""
                yield _row(
                    name, batch, kind, f"{one['gflops']:.1f}", f"{one['images_per_second']:.3g}",
                    f"{one['slowest']:.3g} to {one['fastest']:.3g}", f"{done:.3g}", ratio, f"{one['memory']:.0f}",
                )  # fmt: skip


def _cell(spent: Mapping[str, Any], kind: str) -> str:
    if kind not in spent:
        return ""
    share = spent[kind]["seconds"] / sum(one["seconds"] for one in spent.values())
    return f"({share:.0%})" if kind == OTHERS else f"{rate(spent, [kind]):.1f} ({share:.0%})"


def _head(*cells: str) -> Iterator[str]:
    yield _row(*cells)
    yield _row("---", *(["---:"] * (len(cells) - 1)))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
