"""The commands."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any

import torch
import torchvision
import typer

from autopanoptic.panoptic.training.hardware import keep_memory
from benchmarks import training_speed
from benchmarks.throughput import report as page
from benchmarks.throughput.contestants import CONTESTANTS
from benchmarks.throughput.operators import OperatorTimes
from benchmarks.throughput.rows import Plan, Row, RowFile, fill, in_a_process
from benchmarks.throughput.speed import device_name
from benchmarks.throughput.speed import measure as measure_one

RESULTS = Path(__file__).resolve().parents[1] / "results" / "throughput"
app = typer.Typer(help="How much work a second networks do in training and evaluation.", no_args_is_help=True)
Results = Annotated[Path, typer.Option(help="Folder of the results.")]


@app.command()
def measure(
    height: Annotated[int, typer.Option(min=64, help="Of the images.")] = 800,
    width: Annotated[int, typer.Option(min=64, help="Of the images.")] = 1333,
    batch: Annotated[list[int], typer.Option(help="Images in a batch, 2 at least; once for each.")] = [2, 8],  # noqa: B006
    steps: Annotated[int, typer.Option(min=1, help="Steps measured of each kind, in a round.")] = 10,
    warmup: Annotated[int, typer.Option(min=1, help="Steps of each kind before these.")] = 1,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds, in which the networks take turns.")] = 1,
    seconds: Annotated[float | None, typer.Option(min=1, help="For all; what is left, the same command does.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Measure anew what is in the file already.")] = False,
    precision: Annotated[str, typer.Option(help="32-true or bf16-mixed.")] = "32-true",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    only: Annotated[list[str] | None, typer.Option(help="Networks; by default all that can be had.")] = None,
    results: Results = RESULTS,
) -> None:
    """Measure images per second and memory of training and evaluation; a file for each device, size and precision.

    Each network is a row of the file as soon as it is measured; given again, the command measures the others.
    """
    wanted = only or list(CONTESTANTS)
    if unknown := sorted(set(wanted) - set(CONTESTANTS)):
        raise typer.BadParameter(f"{', '.join(unknown)}: there are {', '.join(CONTESTANTS)} in this environment")
    if min(batch) < 2:
        raise typer.BadParameter(
            f"a batch of {min(batch)} is too small for batch norm at the coarsest level: 2 at least"
        )
    chosen = torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")
    if device == "cuda" and chosen.type != "cuda":
        raise typer.BadParameter(f"torch {torch.__version__} can use no GPU of this machine; take auto or cpu")
    where = {"device": device_name(chosen), "torch": torch.__version__, "torchvision": torchvision.__version__}
    name = re.sub(r"\W+", "-", f"{where['device']} {height}x{width} {precision}").lower()
    path = results / f"speed-{name}.json"
    if again:
        path.unlink(missing_ok=True)
    file = _opened(path, Plan((height, width), precision, steps, warmup, rounds), where)

    def run(name: str, images: int, limit: float | None) -> Row:
        arguments = name, (height, width), images, steps, warmup, chosen, precision
        return in_a_process(measure_one, arguments, limit)

    left_out = fill(file, wanted, batch, run, seconds, typer.echo)
    if file.taken:
        typer.echo("\n".join(page.speed(file.content())))
    for line in left_out:
        typer.echo(f"Not measured: {line}", err=True)
    if left_out:
        raise typer.Exit(1)


@app.command()
def operators(
    size: Annotated[int, typer.Option(min=64, help="Side of the scenes, a multiple of 64.")] = 192,
    batch: Annotated[int, typer.Option(min=2, help="Images in a batch.")] = 4,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of four steps of each network.")] = 3,
    results: Results = RESULTS,
) -> None:
    """Measure a training step on one core of the CPU, as a whole and by the kinds of its operators."""
    torch.set_num_threads(1)
    keep_memory()
    device = torch.device("cpu")
    spent: dict[str, OperatorTimes] = {}

    def watch(name: str, training: training_speed.Training, batches: list[Any]) -> None:
        with spent.setdefault(name, OperatorTimes()):
            for one in batches[:2]:
                training.step(one)

    found = training_speed.measure(size, batch, rounds, device, watch)
    for name, times in spent.items():
        found["networks"][name]["operators"] = {kind: vars(one) for kind, one in times.spent.items()}
    found |= {"device": device_name(device), "torch": torch.__version__, "size": size, "batch": batch}
    _write(results / "operators.json", found)
    typer.echo("\n".join(page.operators(found)))


@app.command()
def report(
    results: Results = RESULTS, docs: Annotated[Path, typer.Option(help="Where the page goes.")] = Path("docs")
) -> None:
    """Write docs/throughput.md from the results."""
    typer.echo(f"written: {page.write(results, docs)}")


def _opened(path: Path, plan: Plan, where: dict[str, Any]) -> RowFile:
    try:
        return RowFile(path, plan, where)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _write(path: Path, found: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1) + "\n")
