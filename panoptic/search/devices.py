"""Candidates on GPUs: each worker evaluates on its own, which it may share with others."""

from __future__ import annotations

import torch

from autopanoptic.nas import Architecture
from autopanoptic.nas.evaluation.evaluator import Metrics, Report
from autopanoptic.nas.executors.places import place_of_worker
from autopanoptic.panoptic.search.evaluator import PanopticEvaluator


class OnOwnDevice:
    """Evaluates candidates on the GPU whose number is the worker's place, by turns where there are more workers.

    Args:
        evaluator: Of a supernet that is on the CPU, from where each worker takes it to its GPU.
        device: Kind of the devices.
        count: How many there are; workers beyond share them.
    """

    def __init__(self, evaluator: PanopticEvaluator, device: str, count: int) -> None:
        self.evaluator, self.device, self.count = evaluator, device, count

    def evaluate(self, architecture: Architecture, report: Report) -> Metrics:
        """Return the metrics of a path."""
        device = torch.device(self.device, (place_of_worker() or 0) % self.count)
        self.evaluator.supernet.module.to(device)
        if device.type == "cuda":
            torch.cuda.set_device(device)
        return self.evaluator.evaluate(architecture, report)
