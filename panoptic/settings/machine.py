"""What a run computes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from autopanoptic.panoptic.model.precision import Precision
from autopanoptic.panoptic.settings.checks import require_at_least, require_options

Device: TypeAlias = Literal["auto", "cpu", "cuda"]
ExecutorName: TypeAlias = Literal["inline", "processes", "ray"]
Logger: TypeAlias = Literal["csv", "tensorboard"]


@dataclass(frozen=True, kw_only=True)
class MachineSettings:
    """What a run computes on; the results of a search do not depend on it but where it says so.

    Attributes:
        device: ``"auto"`` (a GPU where there is one), ``"cpu"`` or ``"cuda"``.
        precision: Of training, evaluation and latency: ``"32-true"`` or ``"bf16-mixed"``.
        devices: GPUs that train together, or on a CPU processes, at least 1; each takes an equal part of every batch.
            Where torchrun has started several processes, these are the devices, and this is 1 or those of a machine.
            Found networks are evaluated on one GPU, and candidates on all of these, `per_gpu` on each. Where widths are
            fixed batch norms take their statistics over all GPUs, else each device over its own part.
        batch_size: Images that a device computes at a time, at least 1; None for its whole part of a batch. Recipes
            keep their batches: gradients are accumulated over as many parts as it takes.
        executor: Where candidates are evaluated: ``"processes"`` of this machine; ``"inline"``, one after the other in
            this process; or ``"ray"``, workers on a Ray of this machine or, where the environment variable
            ``RAY_ADDRESS`` names one, on a cluster, each with `threads` CPUs or with a GPU. Where the cost is a latency
            always in this process.
        workers: Processes that evaluate candidates on a CPU, or workers on Ray, at least 1. ``"bayesian"``,
            ``"regularized-evolution"`` and ``"local-search"`` propose from what has ended, so that their candidates
            depend on this number, and on GPUs on `devices` times `per_gpu`; those of the other strategies do not.
        threads: Threads of a training on a CPU, at least 1; the workers share as many. Sums over several threads
            differ in their last bits from sums over one.
        supernet_processes: Processes on a CPU that train the supernet together, with `threads` each, at least 1, where
            `devices` is 1. They share the paths of a step, of which each has one at least; where the largest path
            teaches the others, one process trains. Where the largest networks, or one path, are trained before all
            paths they have equal parts of each batch, of two images at least, of which their batch norms take the
            statistics. Sums over several processes differ in their last bits from sums over one.
        trainings: Threads over all the networks that are compared, which train side by side in a process each on a
            CPU, at least 1; with 1 one trains after the other. The networks do not depend on it.
        per_gpu: Candidates that are evaluated, or compared networks that train, side by side on each GPU, in a process
            each, at least 1. Small networks keep a GPU waiting for the processor that starts their kernels, so that
            several take hardly longer than one; each has a context of its own in the GPU's memory.
        loaders: Processes that load images; 0 loads in the process that computes.
        evaluation_batch: Images in a batch of an evaluation, at least 1.
        checkpoint_every: Passes between two checkpoints of a training, at least 1.
        memory: Bytes up to which the decoded images of a split are kept between evaluations.
        logger: What writes the figures of a training: ``"csv"`` or ``"tensorboard"``.
    """

    device: Device = "auto"
    precision: Precision = "32-true"
    devices: int = 1
    batch_size: int | None = None
    executor: ExecutorName = "processes"
    workers: int = 2
    threads: int = 1
    supernet_processes: int = 1
    trainings: int = 1
    per_gpu: int = 1
    loaders: int = 0
    evaluation_batch: int = 8
    checkpoint_every: int = 24
    memory: int = 2**30
    logger: Logger = "csv"

    def __post_init__(self) -> None:
        require_options(self)
        require_at_least(1, self, "devices", "batch_size", "workers", "threads", "supernet_processes", "trainings")
        require_at_least(1, self, "per_gpu", "evaluation_batch", "checkpoint_every")
        require_at_least(0, self, "loaders", "memory")
