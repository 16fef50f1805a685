"""What a comparison has found so far: a line for each network, how it differs from others, and its rank."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from autopanoptic.panoptic.compare.hand_made import near
from autopanoptic.panoptic.compare.naming import Kind
from autopanoptic.panoptic.compare.plan import Plan, folder_of
from autopanoptic.panoptic.compare.rows import COUNTS, Row
from autopanoptic.panoptic.compare.statistics import Difference, Mean, difference_of, mean_of
from autopanoptic.panoptic.data.categories import Category
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.data.image_id import ImageId
from autopanoptic.panoptic.model.designs.names import design_of
from autopanoptic.panoptic.model.parts.kinds import COMPONENTS
from autopanoptic.panoptic.quality.bootstrap import Estimate
from autopanoptic.panoptic.quality.images import ImageCounts
from autopanoptic.panoptic.results.fronts import HAND_MADE
from autopanoptic.panoptic.stages.starts import start_of

SUMMARY = "summary.json"
"""Everything that a comparison has found, in its folder."""
METRICS = ("pq", "pq_things", "pq_stuff", "mask_ap", "miou", "box_ap", "sq", "rq")
"""The metrics that are averaged over seeds."""
Counts = Mapping[str, Mapping[int, ImageCounts]]


@dataclass(frozen=True)
class Line:
    """A network of the table.

    Attributes:
        name: Of the network.
        kind: What it is.
        gflops: Of one image.
        mparams: Millions of parameters.
        seeds: Those of the trainings that have ended.
        metrics: Over these seeds, in percent, by their names; what was not seen is left out.
        latency_ms: Likewise; None where it is not measured yet.
        seconds: Of a training, likewise.
    """

    name: str
    kind: Kind
    gflops: float
    mparams: float
    seeds: tuple[int, ...]
    metrics: Mapping[str, Mean]
    latency_ms: Mean | None
    seconds: Mean | None


@dataclass(frozen=True)
class Compared:
    """Two networks beside each other: the PQ of the one minus that of the other."""

    one: str
    other: str
    difference: Difference


@dataclass(frozen=True)
class Summary:
    """A comparison so far.

    Attributes:
        facts: What all trainings had in common, and on what they ran.
        lines: The networks with a training that has ended, the best by mean PQ first.
        lacking: Trainings that have not ended: networks and seeds.
        against: The network with which the others are compared in `differences`; None where there is none.
        differences: Of the others from it.
        equal_cost: Of each network from the network made by hand that costs as much, where there is one.
        categories: PQ of each category, by the names of network and category: of each of its seeds, in percent, NaN
            where the category was neither there nor found. Names that several categories have are followed by the id.
    """

    facts: Mapping[str, Any]
    lines: tuple[Line, ...]
    lacking: tuple[tuple[str, int], ...]
    against: str | None
    differences: tuple[Compared, ...]
    equal_cost: tuple[Compared, ...]
    categories: Mapping[str, Mapping[str, tuple[float, ...]]]

    @classmethod
    def of(
        cls,
        plan: Plan,
        rows: Mapping[str, Mapping[int, Row]],
        folder: Path,
        datasets: Datasets,
        against: str | None = None,
    ) -> Summary:
        """Read what the trainings of a comparison have left.

        Args:
            plan: The comparison.
            rows: Of the trainings that have ended.
            folder: Of the comparison.
            datasets: Its data.
            against: With which network the others are compared; None for the best by mean PQ.

        Raises:
            ValueError: If a file is damaged or missing, or no training of `against` has ended.
        """
        ended = {name: dict(sorted(found.items())) for name, found in rows.items() if found}
        lines = sorted((_line(plan, name, found) for name, found in ended.items()), key=_rank)
        counts = {name: _counts(folder, name, found, datasets) for name, found in ended.items()}
        if against is not None and against not in ended:
            raise ValueError(
                f"--against {against}: no training of that name has ended, but {', '.join(ended) or 'none'}"
            )
        reference = against or (lines[0].name if lines else None)
        pairs = [(line.name, reference) for line in lines if reference not in (None, line.name)]
        return cls(
            _facts(plan, datasets, [row for found in ended.values() for row in found.values()]),
            tuple(lines),
            tuple((one.name, seed) for one, seed in plan.trainings() if seed not in rows[one.name]),
            reference,
            tuple(_compared(pairs, counts)),
            tuple(_compared(_of_equal_cost(lines), counts)),
            {line.name: _of_categories(list(counts[line.name].values())) for line in lines},
        )

    def line(self, name: str) -> Line:
        """Return the line of a network."""
        return next(line for line in self.lines if line.name == name)

    def to_json(self) -> dict[str, Any]:
        """Everything as a JSON object; NaN as null."""
        found: dict[str, Any] = _plain(asdict(self))
        return found

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Summary:
        """Return what `to_json` gave.

        Raises:
            KeyError: If something is missing.
            TypeError: If something is unknown.
        """
        return cls(
            values["facts"],
            tuple(_line_from(line) for line in values["lines"]),
            tuple((name, seed) for name, seed in values["lacking"]),
            values["against"],
            tuple(map(_compared_from, values["differences"])),
            tuple(map(_compared_from, values["equal_cost"])),
            {
                network: {name: tuple(map(_number_from, pq)) for name, pq in found.items()}
                for network, found in values["categories"].items()
            },
        )


def _line(plan: Plan, name: str, rows: Mapping[int, Row]) -> Line:
    one, found = plan.contestants[name], list(rows.values())
    metrics = {
        metric: mean_of([row.metrics[metric] for row in found])
        for metric in METRICS
        if all(metric in row.metrics for row in found)
    }
    times = [row.latency_ms for row in found if row.latency_ms is not None]
    seconds = [row.training_seconds for row in found if math.isfinite(row.training_seconds)]
    return Line(
        name, one.kind, one.gflops, one.mparams, tuple(rows), metrics,
        mean_of(times) if times else None, mean_of(seconds) if seconds else None,
    )  # fmt: skip


def _rank(line: Line) -> tuple[float, float]:
    return -line.metrics["pq"].value if "pq" in line.metrics else math.inf, line.gflops


def _counts(folder: Path, name: str, rows: Mapping[int, Row], datasets: Datasets) -> dict[int, ImageCounts]:
    ids: list[ImageId] = datasets.val.image_ids.tolist()
    found = {}
    for seed in rows:
        path = folder_of(folder, name, seed) / COUNTS
        found[seed], own = ImageCounts.load(path, datasets.val.categories)
        if own != ids:
            raise ValueError(f"{path} is of other images than those of val; delete row.json beside it to measure again")
    return found


def _of_categories(counts: Sequence[ImageCounts]) -> dict[str, tuple[float, ...]]:
    names = _apart(counts[0].categories)
    return {name: tuple(float(one.category_pq[place]) for one in counts) for place, name in enumerate(names)}


def _apart(categories: Iterable[Category]) -> list[str]:
    """Return the categories' names, with the id behind those that several have."""
    found = list(categories)
    often = Counter(category.name for category in found)
    return [one.name if often[one.name] == 1 else f"{one.name} ({one.id})" for one in found]


def _of_equal_cost(lines: list[Line]) -> list[tuple[str, str]]:
    """Pair each network with the network made by hand whose cost is nearest, where it is near."""
    made = [line for line in lines if line.kind == HAND_MADE]
    pairs = []
    for line in lines:
        if line.kind == HAND_MADE or not made:
            continue
        nearest = min(made, key=lambda one: abs(math.log(one.gflops / line.gflops)))
        if near(nearest.gflops, line.gflops):
            pairs.append((line.name, nearest.name))
    return pairs


def _compared(pairs: list[tuple[str, str | None]] | list[tuple[str, str]], counts: Counts) -> list[Compared]:
    found = []
    for one, other in pairs:
        assert other is not None
        difference = difference_of(counts[one], counts[other])
        if difference is not None:
            found.append(Compared(one, other, difference))
    return found


def _facts(plan: Plan, datasets: Datasets, rows: list[Row]) -> dict[str, Any]:
    settings, categories = plan.settings, datasets.train.categories
    return {
        "data": "generated scenes" if settings.data.path is None else Path(settings.data.path).resolve().name,
        "images": {"train": len(datasets.train), "val": len(datasets.val)},
        "things": len(categories.things),
        "stuff": len(categories.stuff),
        "short_side": settings.data.short_side,
        "long_side": settings.data.long_side,
        "recipe": settings.retrain.to_json(),
        "start": start_of(settings),
        "seeds": list(plan.seeds),
        "networks": {name: _described(plan, name) for name in plan.contestants},
        "devices": sorted({row.device for row in rows}),
        "torch": torch.__version__,
        "autopanoptic": version("autopanoptic"),
    }


def _described(plan: Plan, name: str) -> dict[str, Any]:
    one = plan.contestants[name]
    network = one.settings.network_for(1, 1, retrained=True)  # what it is made of does not hang on the classes
    return {
        "kind": one.kind,
        "space": one.settings.search.space,
        "backbone": network.backbone,
        **{part: getattr(network, part) for part in COMPONENTS},
        **design_of(network, one.architecture),
        "architecture_id": one.architecture.id,
        "gflops": one.gflops,
        "mparams": one.mparams,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _line_from(values: Mapping[str, Any]) -> Line:
    means = {metric: _mean_from(one) for metric, one in values["metrics"].items()}
    others = {key: None if values[key] is None else _mean_from(values[key]) for key in ("latency_ms", "seconds")}
    return Line(**{**values, "seeds": tuple(values["seeds"]), "metrics": means, **others})


def _mean_from(values: Mapping[str, Any]) -> Mean:
    return Mean(values["value"], values["half"], tuple(values["values"]))


def _compared_from(values: Mapping[str, Any]) -> Compared:
    found = values["difference"]
    images = Estimate.from_json(found["images"])
    return Compared(values["one"], values["other"], Difference(images, _mean_from(found["seeds"])))


def _number_from(value: float | None) -> float:
    return math.nan if value is None else value
