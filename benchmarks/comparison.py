"""Writes docs/comparison.md from what `autopanoptic panoptic compare --json` has written; no number of ours is typed.

Run as ``python -m benchmarks.comparison``. The trainings are those of the commands on the page: each writes its file to
``benchmarks/results/comparison``, also with ``--show`` before all of them have ended.
"""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from autopanoptic.panoptic.compare.statistics import Mean
from autopanoptic.panoptic.compare.summary import Compared, Line, Summary
from autopanoptic.panoptic.compare.tables import between, notes_of, signed

RESULTS, PAGE = Path("benchmarks/results/comparison"), "comparison.md"
MODELS = "panoptic-fpn,upsnet,sognet,bgrnet,auto-panoptic"
NETWORKS = RESULTS / "networks"
PUBLISHED_FOUND = f"searched-published={NETWORKS}/searched-published.json"
SEARCHED = f"searched={NETWORKS}/searched.json,{PUBLISHED_FOUND},hand-made@upsnet,hand-made@bgrnet"
AT = ("hand-made@panoptic-fpn", "hand-made@searched-published")


class Table(NamedTuple):
    """A comparison of the page: its file, its title, and the command that trains it."""

    file: str
    title: str
    command: str


TABLES = (
    Table(
        "scenes",
        "Generated scenes",
        f"autopanoptic panoptic compare --config scenes --retrain-passes 800 --seeds 2 --name scenes-table \\\n"
        f"    --set merge.score_threshold=0.5 --models {MODELS},{SEARCHED},{','.join(AT)} \\\n"
        f"    --json {RESULTS}/scenes.json",
    ),
    Table(
        "published",
        "Generated scenes, a later search of published designs",
        f"autopanoptic panoptic compare --config scenes --retrain-passes 800 --seeds 2 --name published-table \\\n"
        f"    --set merge.score_threshold=0.5 --models {PUBLISHED_FOUND},{AT[1]} \\\n"
        f"    --json {RESULTS}/published.json",
    ),
    Table(
        "camvid",
        "CamVid at 192x256",
        f"autopanoptic panoptic compare --config camvid --data data/camvid --seeds 2 --name camvid-table \\\n"
        f"    --set merge.score_threshold=0.5 --models {MODELS},{SEARCHED},{','.join(AT)} \\\n"
        f"    --json {RESULTS}/camvid.json",
    ),
)


SEARCHES = (
    "autopanoptic panoptic run --config scenes --name scenes",
    "autopanoptic panoptic run --config scenes --space published --set search.max_share=null --name published",
)
"""What found the networks of `NETWORKS`, on one processor; another, whose sums round otherwise, finds others."""


class Variant(NamedTuple):
    """A model on scenes with weights changed, which tells how much of its distance these account for."""

    file: str
    model: str
    label: str
    changes: tuple[str, ...]
    seeds: int = 1

    @property
    def command(self) -> str:
        """What trains it."""
        return (
            f"autopanoptic panoptic compare --config scenes --retrain-passes 800 --seeds {self.seeds} "
            f"--name {self.file} \\\n"
            f"    {' '.join(f'--set {one}' for one in ('merge.score_threshold=0.5', *self.changes))} \\\n"
            f"    --models {self.model} \\\n"
            f"    --json {RESULTS}/{self.file}.json"
        )


NO_REGIONS, WEAK_PANOPTIC = "network.roi_segmentation_loss_weight=0", "network.panoptic_loss_weight=0.015"
VARIANTS = (
    Variant("upsnet-no-regions", "upsnet", "without the loss of regions", (NO_REGIONS,), 2),
    Variant("upsnet-weak-panoptic", "upsnet", "0.15 of the panoptic loss", (WEAK_PANOPTIC,)),
    Variant("upsnet-neither", "upsnet", "both", (NO_REGIONS, WEAK_PANOPTIC)),
    Variant("upsnet-weight", "upsnet", "Panoptic FPN's weight of pixels", ("network.segmentation_loss_weight=0.5",)),
    Variant("sognet-neither", "sognet", "both", (NO_REGIONS, WEAK_PANOPTIC)),
)


LONGER = Table(
    "scenes-1600",
    "1600 passes",
    "autopanoptic panoptic compare --config scenes --retrain-passes 1600 --seeds 1 --name long \\\n"
    "    --set merge.score_threshold=0.5 --models upsnet,hand-made@upsnet \\\n"
    f"    --json {RESULTS}/scenes-1600.json",
)
FLOWERS = "rose", "lily"
"""The same thing, which is of one category or the other by the stuff around it."""
APART = """What accounts for much of it is {flowers}: the same flower, whose class hangs on the stuff around it.
{shares}. UPSNet calls both by one name with both seeds, and with 1600 passes, too; SOGNet, which has its losses,
with one seed of two. Without the loss of regions, by which the semantic head tells classes from inside of the boxes of
things, UPSNet begins to tell them apart, and comes half of the way in lily with one seed and a fifth with the other:
that loss is a part of the reason and not all of it. All networks that have none of UPSNet's losses tell them apart."""
"""What the categories of the results say; a test holds it against them."""


RESTING, PLAIN, WIDER = ("upsnet", "sognet"), "panoptic-fpn", "hand-made@upsnet"
WIDTHS = """What they share is perhaps where the cost is: in heads behind a narrow backbone, where the network made by
hand is wider in all of its layers; this has not been tested by itself."""


class Published(NamedTuple):
    """A system on COCO val by its own paper or its authors' code: PQ, PQ of things, PQ of stuff in percent."""

    system: str
    backbone: str
    pq: str
    things: str
    stuff: str
    source: str


PUBLISHED = (
    Published("Panoptic FPN, 1x", "ResNet-50", "39.0 to 39.4", "45.9", "28.7", "Kirillov et al. 2019; Detectron2"),
    Published("Panoptic FPN, 3x", "ResNet-50", "41.5", "48.3", "31.2", "Detectron2"),
    Published("Panoptic FPN, 3x", "ResNet-101", "43.0", "49.7", "32.9", "Detectron2"),
    Published("UPSNet", "ResNet-50", "42.5", "48.5", "33.4", "Xiong et al. 2019"),
    Published("BGRNet", "ResNet-50", "43.2", "49.8", "33.4", "Wu et al. 2020, BGRNet"),
    Published("SOGNet", "ResNet-50", "43.7", "50.6", "33.2", "Yang et al. 2020"),
    Published("Auto-Panoptic", "searched", "44.8", "51.4", "35.0", "Wu et al. 2020, Auto-Panoptic"),
    Published("MaskFormer", "ResNet-50", "46.5", "", "", "Cheng et al. 2021"),
    Published("Mask2Former", "ResNet-50", "51.9", "", "", "Cheng et al. 2022"),
    Published("kMaX-DeepLab", "ResNet-50", "53.0", "", "", "Yu et al. 2022"),
    Published("OneFormer", "Swin-L", "57.9", "", "", "Jain et al. 2023"),
)
INTRODUCTION = """# The published models in one table

<!-- Written by `python -m benchmarks.comparison` from benchmarks/results/comparison. Do not edit. -->

Two kinds of figures stand on this page, and they say nothing of each other. **Measured here** are small networks,
trained for minutes on a CPU by `autopanoptic panoptic compare`: they tell designs apart at equal training, not which
system is the best on COCO. **Published** are the figures of the papers on COCO val, of large networks that were trained
on all of COCO; none of them was trained here."""
COLUMNS = ("network", "PQ", "PQ things", "PQ stuff", "mask AP", "mIoU", "parameters", "GFLOPs", "latency", "training")
METRICS = ("pq", "pq_things", "pq_stuff", "mask_ap", "miou")
METHOD = """## How they are compared

Every network sees the same images, for the same passes with the same schedule, from weights that are drawn from the
same seeds. A model is the network made by hand of its parts: plain 3x3 shuffle blocks in the backbone, in the
config's fixed widths, so that all models share backbone, pyramid and RPN. What follows from the parts, the weights of
losses and the rules of merging, is each paper's, but for two things. The config's `pixel_loss_factor` multiplies the
losses of pixels of all models, since so short a training ends before stuff is learned else; and all have one score
threshold, 0.5, because few detections are surer by then. The least area of stuff is the config's, too, and so is all
that `auto-panoptic` does not take from its paper. Costs differ, and are columns: GFLOPs are of one image, a
multiply and an add as one, without the making of the map; latency is from an image to its map, on what trained.
Training seconds are the processor's.

`auto-panoptic` is that design with operators chosen by hand, and nothing searched. `searched` is what a run's search
has found in the space elastic, `searched-published` in the space of published designs, trained anew as the others are.
Both were searched on scenes; their architectures are kept in benchmarks/results/comparison/networks. In the first
table `searched-published` is what an earlier run found, whose file was not kept; the others have a later run's, another
design.
`hand-made@NAME` is `auto-panoptic` with all its widths times one factor, so that it costs what NAME does (within a
tenth): the network of equal cost that another design or a search has to beat. None comes so near to the cost of
`searched`; `auto-panoptic` is the nearest that is not cheaper.

± is half of the 95% interval over the seeds by Student's t, which with two seeds is 12.7 standard errors: two seeds
tell little of a third. Differences of PQ are paired twice: over the images by the bootstrap, in which all networks and
seeds share the draws, and over the seeds. "above" and "below" are said where both intervals leave out 0, "on these
images" where that of the images alone does."""


def page(results: Path) -> str:
    """Return the page for the files that are in a folder."""
    parts = [INTRODUCTION]
    for table in TABLES:
        path = results / f"{table.file}.json"
        parts.append("\n".join(_measured(table, _read(path) if path.exists() else None)))
        if table.file == "scenes" and path.exists():
            parts += ["\n".join(_variants(_read(path), results)), "\n".join(_apart(results))]
    parts += ["\n".join(_published()), METHOD, _commands()]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def write(results: Path, docs: Path) -> Path:
    """Write the page and return its path."""
    path = docs / PAGE
    path.write_text(page(results))
    return path


def _read(path: Path) -> Summary:
    return Summary.from_json(json.loads(path.read_text()))


def _measured(table: Table, found: Summary | None) -> Iterator[str]:
    yield f"## Measured here: {table.title}\n"
    if found is None or not found.lines:
        yield "Not trained yet: there are no results to show. The command below trains this table."
        return
    facts, images, recipe = found.facts, found.facts["images"], found.facts["recipe"]
    yield _paragraph(
        f"{images['train']} images to train on, {images['val']} of val, {facts['things']} thing and {facts['stuff']} "
        f"stuff classes; {recipe['passes']} passes of {recipe['batch_size']} images, {facts['start']}, seeds "
        f"{_listed(facts['seeds'])}; on {_listed(facts['devices'])}."
    )
    yield from _table(COLUMNS, map(_cells, found.lines))
    yield ""
    if found.differences:
        yield _paragraph(f"PQ minus that of {found.against}:")
        yield from _table(("network", *_DIFFERENCE), ([one.one, *_difference(one)] for one in found.differences))
        yield ""
    if found.equal_cost:
        yield _paragraph("PQ minus that of the network made by hand that costs as much:")
        rows = ([one.one, one.other, *_difference(one)] for one in found.equal_cost)
        yield from _table(("network", "minus", *_DIFFERENCE), rows)
        yield ""
    yield from (_paragraph(note) for note in notes_of(found))


def _variants(found: Summary, results: Path) -> Iterator[str]:
    """Say what parts of some models' distance come from, for the variants that have been trained."""
    known = {one: _read(path) for one in VARIANTS if (path := results / f"{one.file}.json").exists()}
    models = [line for line in found.lines if any(one.model == line.name for one in known)]
    if not models:
        return
    yield _paragraph(
        "What weights of losses change of UPSNet's and SOGNet's distance: the same networks with other weights, beside "
        "themselves with the same seeds. Two seeds of one network may lie several points apart, so that a point or two "
        "says nothing. None of them accounts for the whole distance."
    )
    yield from _table(
        ("network", "seeds", "PQ", "as above", "PQ things", "PQ stuff", "mask AP"),
        (
            _beside(f"{whole.name}, {one.label}", had.lines[0], whole)
            for whole in models
            for one, had in known.items()
            if one.model == whole.name
        ),
    )
    yield ""


def _beside(label: str, line: Line, whole: Line) -> list[str]:
    """A row: a variant's figures, and the PQ of the network that it is one of with the same seeds."""
    pq = dict(zip(whole.seeds, whole.metrics["pq"].values, strict=True))
    metrics = [line.metrics.get(metric) for metric in METRICS[:4]]
    own, *others = ("-" if one is None else _with_seeds(one.values) for one in metrics)
    return [label, _listed(line.seeds), own, _with_seeds([pq[seed] for seed in line.seeds]), *others]


def _apart(results: Path) -> Iterator[str]:
    """Say how much of the models' distance lies in what a thing's surroundings decide."""
    titles = {TABLES[0].file: "800 passes", LONGER.file: LONGER.title}
    titles |= {one.file: f"{one.label}, 800 passes" for one in VARIANTS} | {TABLES[1].file: "later search, 800 passes"}
    known = {
        title: found
        for file, title in titles.items()
        if (path := results / f"{file}.json").exists() and (found := _read(path)).categories
    }
    if not known:
        return
    first = next(iter(known.values()))
    yield _paragraph(APART.format(flowers=" and ".join(FLOWERS), shares=_shares(first)))
    if rest := " ".join(_rest(first)):
        yield _paragraph(f"{rest} {' '.join(WIDTHS.split())}")
    yield _paragraph("PQ, the mean over the seeds and behind it each seed's:")
    count = len(next(iter(first.categories.values()))) - len(FLOWERS)
    yield from _table(
        ("network", "seeds", "PQ", *FLOWERS, f"the other {count}"),
        (_by_category(title, found, line) for title, found in known.items() for line in found.lines),
    )
    yield ""


def _by_category(title: str, found: Summary, line: Line) -> list[str]:
    parts = map(_with_seeds, (line.metrics["pq"].values, *_parts(found, line.name)))
    return [f"{line.name}, {title}", _listed(line.seeds), *parts]


def _shares(found: Summary) -> str:
    """Say how much of UPSNet's distance to others the flowers are, by the means over the seeds."""
    pq = {name: {one: fmean(values) for one, values in of.items()} for name, of in found.categories.items()}
    texts = []
    for other in ("panoptic-fpn", "hand-made@upsnet"):
        if "upsnet" in pq and other in pq:
            gaps = {name: (pq[other][name] - value) / len(pq[other]) for name, value in pq["upsnet"].items()}
            flowers = sum(gaps[name] for name in FLOWERS)
            texts.append(f"{flowers:.1f} of {sum(gaps.values()):.1f} PQ to {other}")
    return f"Of UPSNet's distance that is {' and '.join(texts)}" if texts else "The others tell them apart"


def _rest(found: Summary) -> Iterator[str]:
    """Say of UPSNet and SOGNet what of their distance lies in the classes that are no flowers, by whom it is shared."""
    if not {*RESTING, PLAIN, WIDER} <= set(found.categories):
        return
    others = {name: len(of) - len(FLOWERS) for name, of in found.categories.items()}
    pq = {name: fmean([*_parts(found, name)][-1]) * others[name] / len(of) for name, of in found.categories.items()}
    for name in RESTING:
        whole, shared = pq[WIDER] - pq[name], pq[WIDER] - pq[PLAIN]
        yield (
            f"In the other {others[name]} classes lie {whole:.1f} PQ of {name}'s distance to {WIDER}. {PLAIN} lacks "
            f"{shared:.1f} of them, too, so that {whole - shared:.1f} are {name}'s own."
        )


def _parts(found: Summary, network: str) -> Iterator[Sequence[float]]:
    """Yield the PQ of some categories, and the mean of the others, of each seed."""
    categories = found.categories[network]
    yield from (categories[name] for name in FLOWERS)
    others = [values for name, values in categories.items() if name not in FLOWERS]
    yield [fmean(one) for one in zip(*others, strict=True)]


def _with_seeds(values: Sequence[float]) -> str:
    """The mean, and behind it each seed's where there are several."""
    each = f" ({', '.join(f'{one:.1f}' for one in values)})" if len(values) > 1 else ""
    return f"{fmean(values):.1f}{each}"


_DIFFERENCE = ("PQ", "95% over images", "95% over seeds", "")


def _cells(line: Line) -> list[str]:
    return [
        line.name, *(_mean(line.metrics.get(metric)) for metric in METRICS), f"{line.mparams:.2f} M",
        f"{line.gflops:.3g}", "-" if line.latency_ms is None else f"{line.latency_ms.value:.0f} ms",
        "-" if line.seconds is None else f"{line.seconds.value:.0f} s",
    ]  # fmt: skip


def _mean(mean: Mean | None) -> str:
    if mean is None:
        return "-"
    return f"{mean.value:.1f}" if mean.half is None else f"{mean.value:.1f} ± {mean.half:.1f}"


def _difference(one: Compared) -> list[str]:
    images, seeds = one.difference.images, one.difference.seeds
    over = "one seed" if seeds.half is None else between(seeds.value - seeds.half, seeds.value + seeds.half)
    return [signed(images.value), between(images.low, images.high), over, one.difference.reading]


def _published() -> Iterator[str]:
    yield "## Published: COCO val\n"
    yield _paragraph(
        "By the papers and their authors' code, of a single model and scale; nothing here was measured by this library."
    )
    yield from _table(("system", "backbone", "PQ", "PQ things", "PQ stuff", "source"), PUBLISHED)
    yield ""
    yield "On ADE20K the papers have 31.8 for BGRNet and 32.4 for Auto-Panoptic."


def _commands() -> str:
    searches = "\n".join(SEARCHES)
    commands = "\n".join(one.command for one in (*TABLES, *VARIANTS, LONGER))
    return f"""## Train them

```bash
{searches}
{commands}
python -m benchmarks.comparison
```

Interrupted, the same command goes on. The first two are the searches, whose answers are kept: a processor that rounds
sums otherwise finds others. `data/camvid` stands for CamVid in the COCO panoptic format."""


def _table(names: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(names)} |"
    yield f"| --- |{' ---: |' * (len(names) - 1)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def _paragraph(text: str) -> str:
    return f"{textwrap.fill(text, 116, break_on_hyphens=False)}\n"


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    options = parser.parse_args()
    print(write(options.results, options.docs))
