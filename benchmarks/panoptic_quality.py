"""Panoptic quality: pairs of images per second, ours beside panopticapi's and hotcoco's, on the same pairs.

Run as ``python benchmarks/panoptic_quality.py [--json FILE]``.

- In memory, ours does all that `PanopticQuality.update` does; of panopticapi runs the unchanged
  `pq_compute_single_core`, with the reading and decoding of PNGs replaced by handing out the ids.
- From disk, each reads the same PNGs and JSON: `evaluate_folders`, `pq_compute_single_core` and, where it is
  installed (``pip install hotcoco``), hotcoco's `PanopticEval`.
- Many segments: one pair of maps of 66,000 segments.

All use one core; the fastest round counts, in processor time. The rounds of the measured take turns, so that
others on the machine disturb all of them alike.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from autopanoptic.panoptic.data.categories import Categories, Category
from autopanoptic.panoptic.data.segments import PanopticMap, Segment
from autopanoptic.panoptic.quality.folders import evaluate_folders
from autopanoptic.panoptic.quality.metric import PanopticQuality
from autopanoptic.panoptic.results.export import PanopticWriter

T = TypeVar("T")
CATEGORIES = Categories([Category(i, f"category {i}", i <= 80, (i, i, i)) for i in range(1, 134)])


def a_pair(rng: np.random.Generator, height: int, width: int) -> tuple[PanopticMap, PanopticMap]:
    """Stuff regions under 10 to 30 ellipses with ragged outlines; the prediction moves, bends and drops some.

    A row changes its pair of segments about as often as in COCO's annotations: some 30 times in 640 pixels.
    """
    shapes = [rng.random(4) * [height, width, height / 4, width / 4] + 8 for _ in range(rng.integers(10, 31))]
    labels = rng.integers(1, 81, len(shapes))
    stuff = rng.integers(81, 134, 4)
    ids = rng.choice(2**24 - 1, (2, len(shapes) + 4), replace=False) + 1
    truth = _draw(rng, shapes, labels, stuff, ids[0], (height, width))
    kept = [i for i in range(len(shapes)) if rng.random() < 0.85]
    moved = [shapes[i] * rng.normal(1, 0.05, 4) for i in kept]
    return truth, _draw(rng, moved, labels[kept], stuff, ids[1], (height, width))


def _draw(
    rng: np.random.Generator,
    shapes: list[NDArray[np.float64]],
    labels: NDArray[np.int64],
    stuff: NDArray[np.int64],
    ids: NDArray[np.int64],
    size: tuple[int, int],
) -> PanopticMap:
    ragged = rng.normal(0, 4, (2, size[0] // 4 + 1, size[1] // 4 + 1)).repeat(4, 1).repeat(4, 2)
    y, x = np.mgrid[: size[0], : size[1]] + ragged[:, : size[0], : size[1]]
    regions = np.clip(y * len(stuff) // size[0], 0, len(stuff) - 1).astype(int)
    pixels = ids[regions]
    for (cy, cx, ry, rx), segment_id in zip(shapes, ids[len(stuff) :], strict=False):
        pixels[((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1] = segment_id
    categories = dict(zip(ids.tolist(), [*stuff.tolist(), *labels.tolist()], strict=False))
    found, areas = np.unique(pixels, return_counts=True)
    segments = [Segment(i, categories[i], area) for i, area in zip(found.tolist(), areas.tolist(), strict=True)]
    return PanopticMap(pixels.astype(np.uint32), tuple(segments))


def compacted(panoptic: PanopticMap) -> PanopticMap:
    """The same with ids 1..K in bytes."""
    known = [segment.id for segment in panoptic.segments]
    segments = [Segment(i, s.category_id, s.area) for i, s in enumerate(panoptic.segments, start=1)]
    return PanopticMap((np.searchsorted(known, panoptic.numpy()) + 1).astype(np.uint8), tuple(segments))


def time_ours(pairs: list[tuple[PanopticMap, PanopticMap]], rounds: int) -> tuple[float, float]:
    """Pairs per second, and PQ in percent."""
    PanopticQuality(CATEGORIES).update(*pairs[0])

    def measure() -> PanopticQuality:
        quality = PanopticQuality(CATEGORIES)
        for truth, prediction in pairs:
            quality.update(truth, prediction)
        return quality

    seconds, quality = _fastest(measure, rounds)
    return len(pairs) / seconds, quality.compute().metrics()["pq"]


def time_panopticapi(pairs: list[tuple[PanopticMap, PanopticMap]], rounds: int) -> tuple[float, float]:
    """Pairs per second, and PQ in percent."""
    from panopticapi import evaluation

    maps = {f"{i}.png": panoptic.numpy() for i, panoptic in enumerate(sum(pairs, ()))}
    annotations = [(_annotation(2 * i, a), _annotation(2 * i + 1, b)) for i, (a, b) in enumerate(pairs)]
    categories = {entry["id"]: entry for entry in CATEGORIES.to_json()}
    read = mock.patch.object(evaluation.Image, "open", lambda path: maps[Path(path).name])
    decode = mock.patch.object(evaluation, "rgb2id", lambda ids: ids)
    with read, decode, contextlib.redirect_stdout(io.StringIO()):
        seconds, state = _fastest(lambda: evaluation.pq_compute_single_core(0, annotations, "", "", categories), rounds)
    return len(pairs) / seconds, 100 * state.pq_average(categories, None)[0]["pq"]


def write_folders(pairs: list[tuple[PanopticMap, PanopticMap]], root: Path) -> None:
    """Truths and predictions as files, ``truth.json`` and ``prediction.json`` with a folder each."""
    for side, name in enumerate(("truth", "prediction")):
        with PanopticWriter(root / f"{name}.json", root / name, CATEGORIES) as writer:
            for number, pair in enumerate(pairs):
                writer.add(number, f"{number}.jpg", pair[side])


def from_disk_by_ours(root: Path) -> float:
    return evaluate_folders(root / "truth.json", root / "truth", root / "prediction.json", root / "prediction").all.pq


def from_disk_by_panopticapi(root: Path) -> float:
    from panopticapi import evaluation

    sides = [json.loads((root / f"{name}.json").read_text()) for name in ("truth", "prediction")]
    annotations = list(zip(*(side["annotations"] for side in sides), strict=True))
    categories = {entry["id"]: entry for entry in sides[0]["categories"]}
    with contextlib.redirect_stdout(io.StringIO()):
        state = evaluation.pq_compute_single_core(
            0, annotations, str(root / "truth"), str(root / "prediction"), categories
        )
    pq: float = state.pq_average(categories, None)[0]["pq"]
    return pq


def from_disk_by_hotcoco(root: Path) -> float:
    from hotcoco import panoptic

    evaluation = panoptic.PanopticEval(
        root / "truth.json", root / "prediction.json", gt_folder=root / "truth", pred_folder=root / "prediction"
    )
    evaluation.evaluate()
    pq: float = evaluation.results()["All"]["pq"]
    return pq


def time_from_disk(pairs: list[tuple[PanopticMap, PanopticMap]], rounds: int) -> dict[str, tuple[float, float]]:
    """Pairs per second and PQ in percent, of each that is installed."""
    measured = {"panopticapi": from_disk_by_panopticapi, "ours": from_disk_by_ours}
    if importlib.util.find_spec("hotcoco"):
        measured["hotcoco"] = from_disk_by_hotcoco
    with tempfile.TemporaryDirectory() as folder:
        write_folders(pairs, Path(folder))
        pqs = {name: measure(Path(folder)) for name, measure in measured.items()}
        fastest = dict.fromkeys(measured, float("inf"))
        for _ in range(rounds):
            for name, measure in measured.items():
                fastest[name] = min(fastest[name], _fastest(partial(measure, Path(folder)), 1)[0])
    return {name: (len(pairs) / fastest[name], 100 * pqs[name]) for name in measured}


def time_many_segments(rounds: int) -> float:
    """Seconds for a pair of 1024x2048 with a truth of 66,000 segments, moved by a pixel."""
    rows, columns = np.mgrid[:1024, :2048]
    ids = (rows * 192 // 1024) * 344 + columns * 344 // 2048 + 1
    areas = np.bincount(ids.ravel())[1:].tolist()
    segments = tuple(Segment(i, 1 + i % 133, area) for i, area in enumerate(areas, start=1))
    maps = [PanopticMap(np.roll(ids, by, 1).astype(np.uint32), segments) for by in (0, 1)]
    quality = PanopticQuality(CATEGORIES)
    return _fastest(lambda: quality.update(*maps), rounds)[0]


def _fastest(run: Callable[[], T], rounds: int) -> tuple[float, T]:
    """Seconds of processor time of the fastest round, which others on the machine disturbed least."""
    fastest = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        result = run()
        fastest = min(fastest, time.process_time() - start)
    return fastest, result


def _annotation(number: int, panoptic: PanopticMap) -> dict[str, Any]:
    segments = [{"id": s.id, "category_id": s.category_id, "area": s.area, "iscrowd": 0} for s in panoptic.segments]
    return {"image_id": number, "file_name": f"{number}.png", "segments_info": segments}


def main() -> None:
    os.environ["RAYON_NUM_THREADS"] = "1"  # hotcoco's threads
    parser = argparse.ArgumentParser(description="Panoptic quality, ours beside panopticapi's")
    parser.add_argument("--pairs", type=int, default=60, help="different pairs of images")
    parser.add_argument("--size", type=int, nargs=2, default=(480, 640), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--rounds", type=int, default=5, help="the fastest of them counts")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    pairs = [a_pair(rng, *options.size) for _ in range(options.pairs)]
    reference, expected = time_panopticapi(pairs, options.rounds)
    figures = {"panopticapi": {"pairs_per_second": reference, "pq": expected}}
    variants = {
        "ours, colors as ids (uint32)": pairs,
        "ours, compact ids (uint8)": [(compacted(a), compacted(b)) for a, b in pairs],
    }
    for name, variant in variants.items():
        rate, pq = time_ours(variant, options.rounds)
        figures[name] = {"pairs_per_second": rate, "pq": pq, "ratio": rate / reference}
    for name, (rate, pq) in time_from_disk(pairs, options.rounds).items():
        figures[f"{name}, from disk"] = {"pairs_per_second": rate, "pq": pq, "ratio": rate / reference}
    many = time_many_segments(options.rounds)
    print(f"{options.pairs} pairs of {options.size[0]}x{options.size[1]} (height x width), one core")
    for name, values in figures.items():
        print(
            f"{name:30} {values['pairs_per_second']:8.0f} pairs/s  x{values.get('ratio', 1):6.1f}  "
            f"PQ {values['pq']:.10f}"
        )
    print(f"66,000 segments in an image of 1024x2048: {many:.2f} s")
    if options.json:
        options.json.write_text(json.dumps({**figures, "66,000 segments": {"seconds": many}}, indent=2) + "\n")


if __name__ == "__main__":
    main()
