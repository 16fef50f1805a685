"""A comparison from the first training to the table."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console

from autopanoptic.nas import InlineExecutor, ProcessExecutor
from autopanoptic.nas.executors.base import Executor
from autopanoptic.nas.storage.lock import LOCK, FileLock, working_on
from autopanoptic.panoptic.compare.contestants import network_config_of
from autopanoptic.panoptic.compare.plan import Plan, folder_of
from autopanoptic.panoptic.compare.progress import moving
from autopanoptic.panoptic.compare.rows import row_of, rows_of, write_rows
from autopanoptic.panoptic.compare.summary import SUMMARY, Summary
from autopanoptic.panoptic.compare.tables import line_of
from autopanoptic.panoptic.compare.training import Trainings, key_of
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.results.json_files import write_object
from autopanoptic.panoptic.results.latency import latency
from autopanoptic.panoptic.results.saved import load_network
from autopanoptic.panoptic.stages.batches import batches_of
from autopanoptic.panoptic.stages.machine import device_of, devices_of, threads_of_torch
from autopanoptic.panoptic.stages.side_by_side import TrainingError, ended, failed


def compare(
    plan: Plan,
    folder: Path,
    datasets: Datasets,
    console: Console | None = None,
    *,
    asked: Plan | None = None,
    against: str | None = None,
) -> Summary:
    """Train the networks of a comparison that are not trained yet, measure all of them, and say how they compare.

    Each training goes on from what its folder holds and writes its row when it has ended. One that fails does not end
    the others.

    Args:
        plan: What the folder's comparison is of; see `Plan.within`.
        folder: Of the comparison.
        datasets: Its data.
        console: Where progress is told; None for nowhere.
        asked: The part of the plan that is trained now; None for all of it.
        against: With which network the others are compared; None for the best.

    Raises:
        BlockingIOError: If another program works on the folder.
        TrainingError: If a training fails; names the first. The rows of the others are kept.
        ValueError: If a finished network was trained otherwise, or files are damaged.
    """
    console, asked = console or Console(quiet=True), asked or plan
    with working_on(folder, FileLock(folder / LOCK)):
        plan = plan.within(folder)  # which another program may have added to since
        plan.save(folder)
        write_rows(plan, folder)
        waiting = {
            f"{one.name}, seed {seed}": (one.name, seed)
            for one, seed in asked.trainings()
            if row_of(folder_of(folder, one.name, seed)) is None
        }
        if waiting:
            _train(plan, folder, datasets, waiting, console)
        time_networks(plan, folder, datasets)
        return summarised(plan, folder, datasets, against)


def summarised(plan: Plan, folder: Path, datasets: Datasets, against: str | None = None) -> Summary:
    """Say how the networks of a comparison compare, as far as they are trained, and write it to ``summary.json``."""
    write_rows(plan, folder)
    found = Summary.of(plan, rows_of(plan, folder), folder, datasets, against)
    write_object(folder / SUMMARY, found.to_json())
    return found


def _train(
    plan: Plan, folder: Path, datasets: Datasets, waiting: Mapping[str, tuple[str, int]], console: Console
) -> None:
    problems: list[TrainingError] = []
    gpus = gpus_of(plan)
    training = Trainings(plan.contestants, datasets, folder, gpus)
    keys = {label: key_of(*one) for label, one in waiting.items()}
    executor = executor_of(plan, len(waiting), gpus)
    with (
        moving(console, list(waiting), plan.settings.retrain.passes) as moved,
        closing(ended(training, keys, executor, moved.to)) as outcomes,
    ):
        for label, outcome in outcomes:
            moved.end(label)
            if outcome.error is not None:
                problems.append(failed(label, outcome))
                console.print(f"{label} failed; the others go on", style="red", markup=False)
                continue
            write_rows(plan, folder)
            row = row_of(folder_of(folder, *waiting[label]))
            assert row is not None
            console.print(line_of(row), markup=False, highlight=False)
    if problems:
        raise problems[0]


def time_networks(plan: Plan, folder: Path, datasets: Datasets) -> None:
    """Measure the latency of the networks that have none yet, one after the other, when nothing is trained beside."""
    image = None
    for one, seed in plan.trainings():
        path = folder_of(folder, one.name, seed)
        row = row_of(path)
        if row is None or row.latency_ms is not None:
            continue
        settings = one.settings
        divisor = network_config_of(settings, datasets).image_divisor
        image = next(iter(batches_of(settings, datasets.nas_val.subset([0]), divisor)))
        network = load_network(path).to(device_of(settings)).eval()
        with threads_of_torch(settings.machine.threads):
            taken = latency(network, image, datasets.val.categories, settings.merge, settings.machine.precision)
        replace(row, latency_ms=taken).save(path)


def gpus_of(plan: Plan) -> tuple[str, ...]:
    """Return the GPU of each training of those that run beside each other; empty where they do not."""
    settings = plan.settings
    if device_of(settings).type != "cuda" or devices_of(settings) > 1:
        return ()
    count = torch.cuda.device_count()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(number) for number in range(count)]
    places = names[:count] * settings.machine.per_gpu
    return tuple(places) if len(places) > 1 else ()


def executor_of(plan: Plan, trainings: int, gpus: Sequence[str]) -> Executor:
    """Return what runs some trainings: processes, for each GPU or in all as many as the settings say, or this one."""
    settings = plan.settings
    machine = settings.machine
    at_a_time = machine.trainings // machine.threads if device_of(settings).type == "cpu" else len(gpus)
    at_a_time = min(at_a_time, trainings)
    if at_a_time > 1 and devices_of(settings) == 1:
        return ProcessExecutor(at_a_time, machine.threads)
    return InlineExecutor()
