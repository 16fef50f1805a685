"""Exports a trained network: its state dict, and its graphs for torch.export and ONNX."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from autopanoptic.nas import Architecture
from autopanoptic.panoptic.export import checks, onnx_graphs
from autopanoptic.panoptic.export.checks import ExportError, GraphReport, Run, require_graphs
from autopanoptic.panoptic.export.onnx_graphs import OPSET, OnnxGraph, check_opset, require, write_onnx
from autopanoptic.panoptic.export.plans import GRAPHS, Inputs, Plan, Size, least_side, plans_of
from autopanoptic.panoptic.export.programs import Program, write_program
from autopanoptic.panoptic.results.json_files import write_object
from autopanoptic.panoptic.results.saved import ARCHITECTURE, CONFIG, WEIGHTS, save_network
from autopanoptic.panoptic.results.usage import USAGE
from autopanoptic.panoptic.trained.evaluate import require_folder
from autopanoptic.panoptic.trained.networks import TrainedNetwork, find_networks, load_trained

ONNX, TORCH, STATE_DICT = "onnx", "torch", "state-dict"
FORMATS = (ONNX, TORCH, STATE_DICT)
SUFFIXES = {ONNX: "onnx", TORCH: "pt2"}
REPORT = "export.json"
UNFINISHED = "unfinished"
"""Folder in which an export is made, before it takes the place of an earlier one."""
SHAPE = 3 / 4
"""Height by width of the images with which graphs for images of any size are checked and timed."""


@dataclass(frozen=True)
class Export:
    """What was exported.

    Attributes:
        folder: Where it lies.
        network: Name of the network.
        formats: Some of `FORMATS`.
        size: Height and width of the images, or of those with which the graphs were checked and timed.
        fixed: Whether images must have it.
        divisor: Where they need not: their sides are multiples of this.
        opset: Of the ONNX graphs.
        graphs: By their files.
        threads: That torch and onnxruntime were timed with.
    """

    folder: Path
    network: str
    formats: tuple[str, ...]
    size: Size
    fixed: bool
    divisor: int
    opset: int
    graphs: dict[str, GraphReport]
    threads: int

    def to_json(self) -> dict[str, Any]:
        """Everything as a JSON object, as ``export.json`` holds it."""
        return {
            "network": self.network,
            "formats": list(self.formats),
            "images": {
                "height": self.size[0], "width": self.size[1], "fixed": self.fixed, "multiple": self.divisor,
                "values": "RGB, 0 to 255, float32",
            },
            "opset": self.opset,
            "graphs": {name: asdict(report) for name, report in self.graphs.items()},
            "tolerance": checks.TOLERANCE,
            "threads": self.threads,
            "processor": platform.processor() or platform.machine(),
            "versions": _versions(),
        }  # fmt: skip


def export(
    source: str | Path,
    out: str | Path,
    *,
    formats: Sequence[str] = (ONNX,),
    network: str | None = None,
    size: Size | None = None,
    opset: int = OPSET,
    repeats: int = 5,
    console: Console | None = None,
) -> Export:
    """Write a trained network for use elsewhere, check what was written against torch, and time both.

    Args:
        source: A run's folder, or the folder of one network.
        out: A new folder, or that of an earlier export: ``dense.onnx``, ``boxes.onnx`` and ``masks.onnx``, or ``.pt2``
            of each; the network's ``config.json``, ``architecture.json`` and ``usage.json``, with its state dict
            ``weights.pt``; and ``export.json``, see `Export`.
        formats: Some of `FORMATS`: ONNX, torch.export, and the state dict.
        network: Which of a run's networks; by default ``searched``, or its first.
        size: Height and width of all images in pixels; the graph pads them as the training has. None for images of any
            size whose sides are multiples of the network's divisor.
        opset: Of ONNX; from 19 on deformable convolutions are its operator DeformConv.
        repeats: Times that a graph is timed.
        console: Where it is told what is done; None for nowhere.

    Raises:
        FileNotFoundError: If the run or the network is missing.
        ImportError: If packages for ONNX are missing.
        ExportError: If a graph cannot be exported, or differs from torch by more than `checks.TOLERANCE`.
        ValueError: If an argument is out of range, or files of the network are damaged.
    """
    out, console = Path(out), console or Console(quiet=True)
    _check(formats, size, repeats)
    if ONNX in formats:
        require()
        check_opset(opset)
    name, folder = next(iter(find_networks(source, [network] if network else ()).items()))
    _require_free(out)
    if out.resolve() == folder.resolve():
        raise ValueError(
            f"{out} is the network that is to be exported, which would be overwritten; give another folder"
        )
    trained = load_trained(folder)
    divisor = trained.network.config.image_divisor
    fixed, size = size is not None, size or _usual_size(trained)
    kinds = [one for one in SUFFIXES if one in formats]
    if kinds:
        require_graphs(trained.network)
    normalization = trained.usage.transform.normalization
    plans = plans_of(trained.network, normalization, size, fixed=fixed) if kinds else []
    with _replacing(out) as made:
        _save_network(trained, made, weights=STATE_DICT in formats)
        graphs = {one.file: one for one in _graphs(plans, kinds, made, opset, repeats, console)}
        threads, ordered = torch.get_num_threads(), tuple(one for one in FORMATS if one in formats)
        exported = Export(out, name, ordered, size, fixed, divisor, opset, graphs, threads)
        write_object(made / REPORT, exported.to_json(), indent=2)
    return exported


def described(report: GraphReport) -> str:
    """Say in a line how large, how exact and how fast a graph is."""
    return (
        f"{report.size / 1e6:.1f} MB, differs by {report.difference:.1e} from torch, {report.milliseconds:.1f} ms "
        f"(torch {report.torch_milliseconds:.1f})"
    )


def _check(formats: Sequence[str], size: Size | None, repeats: int) -> None:
    if not formats or set(formats) - set(FORMATS):
        raise ValueError(f"formats={list(formats)}: some of {', '.join(FORMATS)} are needed")
    if size is not None and min(size) < 1:
        raise ValueError(f"size={size[0]}x{size[1]}: a height and a width of at least 1 pixel are needed")
    if repeats < 1:
        raise ValueError(f"repeats={repeats}: at least 1 is needed")


def _require_free(out: Path) -> None:
    """Refuse a folder that holds anything but an earlier export."""
    require_folder(out)
    others = [one for one in out.iterdir() if one.name != UNFINISHED] if out.is_dir() else []
    if others and not (out / REPORT).is_file():
        raise FileExistsError(f"{out} is not empty, and no earlier export ({REPORT}); give another folder")


@contextmanager
def _replacing(out: Path) -> Iterator[Path]:
    """Give a folder for an export, which takes the place of an earlier one when it is whole, and else leaves it."""
    made = out / UNFINISHED
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    try:
        yield made
        _remove(out)
        # Last what says that the export is whole.
        for path in sorted(made.iterdir(), key=lambda path: path.name == REPORT):
            path.replace(out / path.name)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _remove(out: Path) -> None:
    """Remove an export, of which nothing may stay beside another one."""
    graphs = (f"{graph}.{suffix}" for graph in GRAPHS for suffix in SUFFIXES.values())
    for name in (REPORT, WEIGHTS, CONFIG, ARCHITECTURE, USAGE, *graphs):
        (out / name).unlink(missing_ok=True)


def _usual_size(trained: TrainedNetwork) -> Size:
    """Height and width of a landscape as the network sees it, in multiples of its divisor."""
    divisor = trained.network.config.image_divisor
    short = trained.usage.short_side or 2 * least_side(divisor)
    sides = trained.usage.transform.size(round(short), round(short / SHAPE))
    height, width = (max(round(side / divisor) * divisor, least_side(divisor)) for side in sides)
    return height, width


def _save_network(trained: TrainedNetwork, out: Path, *, weights: bool) -> None:
    out.mkdir(parents=True, exist_ok=True)
    architecture = Architecture.load(trained.folder / ARCHITECTURE)
    if weights:
        save_network(trained.network, architecture, out, trained.usage)
        return
    trained.usage.save(out)
    write_object(out / CONFIG, trained.network.config.to_json(), indent=2)
    architecture.save(out / ARCHITECTURE)


def _graphs(
    plans: Sequence[Plan], kinds: Sequence[str], out: Path, opset: int, repeats: int, console: Console
) -> Iterator[GraphReport]:
    for plan in plans:
        expected = checks.expected_of(plan)
        for kind in kinds:
            report = _graph(plan, expected, kind, out, opset, repeats)
            console.print(f"{report.file}: {described(report)}", markup=False, highlight=False)
            yield report


def _graph(plan: Plan, expected: tuple[Inputs, Inputs], kind: str, out: Path, opset: int, repeats: int) -> GraphReport:
    """Write, check and time a graph; its file is there when all of that is done."""
    path = out / f"{plan.name}.{SUFFIXES[kind]}"
    partial = path.with_name(f".partial-{path.name}")
    outputs = list(expected[0])
    try:
        run = _written(plan, kind, outputs, opset, partial)
        difference = checks.largest_difference(plan, expected, run, path.name)
        own, others = (checks.milliseconds(one, plan.one, repeats) for one in (run, checks.torch_of(plan)))
        size = partial.stat().st_size
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return GraphReport(path.name, size, checks.shapes(plan), outputs, difference, own, others)


def _written(plan: Plan, kind: str, outputs: Sequence[str], opset: int, path: Path) -> Run:
    """Write a graph and read it back."""
    try:
        if kind == TORCH:
            write_program(plan, path)
            return Program(path)
        write_onnx(plan, outputs, path, opset)
        return OnnxGraph(path)
    # What exporters and runtimes raise is anything at all.
    except Exception as error:
        hint = "; opset 18 does without that operator" if "DeformConv" in str(error) else ""
        raise ExportError(f"{plan.name} cannot be exported to {kind}: {_first_line(error)}{hint}") from error


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


def _versions() -> dict[str, str]:
    found = {"torch": str(torch.__version__)}
    for package in ("autopanoptic", *onnx_graphs.NEEDED):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
