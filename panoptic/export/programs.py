"""Graphs as torch's ExportedPrograms."""

from __future__ import annotations

from pathlib import Path

import torch

from autopanoptic.panoptic.export.plans import Inputs, Plan
from autopanoptic.panoptic.export.quiet import quiet


def traced(plan: Plan) -> torch.export.ExportedProgram:
    """Return a graph as torch.export traces it."""
    with torch.no_grad():
        shapes = {name: plan.varying.get(name) for name in plan.two}
        return torch.export.export(plan.module, (), plan.two, dynamic_shapes=shapes, strict=False)


def write_program(plan: Plan, path: Path) -> None:
    """Trace a graph and write it as an ExportedProgram, whose file must end in ``.pt2``."""
    with quiet():
        torch.export.save(traced(plan), path)


class Program:
    """An ExportedProgram that this process has written: reading a file of someone else's runs code in it."""

    def __init__(self, path: Path) -> None:
        self._module = torch.export.load(path).module()

    def __call__(self, inputs: Inputs) -> Inputs:
        """Run it: tensors by name, to tensors by name."""
        with torch.inference_mode():
            found: Inputs = self._module(**inputs)
        return found
