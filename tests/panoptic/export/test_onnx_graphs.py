"""Operators as ONNX knows them, and the comparison with torch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

from autopanoptic.panoptic.export import checks
from autopanoptic.panoptic.export.checks import ExportError
from autopanoptic.panoptic.export.onnx_graphs import OnnxGraph, write_onnx
from autopanoptic.panoptic.export.plans import Inputs, Plan
from autopanoptic.panoptic.model.operators.deformable import Deformable


class Layer(nn.Module):
    """A graph of one layer."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"y": self.layer(x)}


def plan_of(layer: nn.Module) -> Plan:
    generator = torch.Generator().manual_seed(0)
    one, two = (torch.randn((count, 4, 6, 7), generator=generator) for count in (1, 2))
    return Plan("layer", Layer(layer).eval(), {"x": one}, {"x": two}, {"x": {0: Dim("images")}})


@pytest.mark.parametrize("modulated", [True, False])
@pytest.mark.parametrize(
    ("opset", "operator", "other"), [(20, "DeformConv", "GridSample"), (18, "GridSample", "DeformConv")]
)
def test_deformable_convolutions_are_the_operator_of_the_opset(
    tmp_path: Path, opset: int, operator: str, other: str, modulated: bool
) -> None:
    pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = Deformable(4, 6, 3, modulated=modulated)
        nn.init.normal_(layer.offset.weight, std=1.0)
    plan, path = plan_of(layer), tmp_path / "layer.onnx"
    write_onnx(plan, ["y"], path, opset)
    model = onnx.load(path)
    operators = [node.op_type for node in model.graph.node]
    assert operators.count(operator) == 1
    assert other not in operators
    assert {entry.domain: entry.version for entry in model.opset_import}[""] == opset
    assert checks.largest_difference(plan, checks.expected_of(plan), OnnxGraph(path), "layer.onnx") <= 1e-5


def run_with(change: float) -> checks.Run:
    def run(inputs: Inputs) -> Inputs:
        return {"y": inputs["x"] + change * (inputs["x"] == inputs["x"].max())}

    return run


def test_a_graph_that_computes_something_else_is_refused_with_the_difference() -> None:
    plan = plan_of(nn.Identity())
    assert checks.largest_difference(plan, checks.expected_of(plan), run_with(0.0), "layer.onnx") == 0
    with pytest.raises(ExportError, match=r"layer\.onnx: its output y differs by 0\.0\d+ from torch's, not by 0\.0001"):
        checks.largest_difference(plan, checks.expected_of(plan), run_with(0.1), "layer.onnx")
    with pytest.raises(ExportError, match="differs by inf from torch"):
        checks.largest_difference(plan, checks.expected_of(plan), run_with(float("nan")), "layer.onnx")
    with pytest.raises(ExportError, match=r"the output y is \(1, 4, 6\), not \(1, 4, 6, 7\)"):
        checks.largest_difference(
            plan, checks.expected_of(plan), lambda inputs: {"y": inputs["x"][..., 0]}, "layer.onnx"
        )
    with pytest.raises(ExportError, match="the output y is missing"):
        checks.largest_difference(plan, checks.expected_of(plan), lambda inputs: {}, "layer.onnx")


def test_a_graph_that_does_not_run_with_images_of_another_size_is_refused() -> None:
    """As those are that older releases of torch write of a network for images of any size."""

    def guarded(inputs: Inputs) -> Inputs:
        assert inputs["x"].shape[0] == 2, "Guard failed: (-1 + images.size()[2]) // 32 % 2 == 0"
        return dict(inputs)

    plan = plan_of(nn.Identity())
    shape = "x".join(map(str, plan.one["x"].shape))
    problem = rf"dense\.pt2: it does not run with x {shape} \(AssertionError: Guard failed: .*give a fixed size"
    with pytest.raises(ExportError, match=problem):
        checks.largest_difference(plan, checks.expected_of(plan), guarded, "dense.pt2")

    def full(inputs: Inputs) -> Inputs:
        raise MemoryError("no memory")

    with pytest.raises(ExportError, match=rf"does not run with x {shape} \(MemoryError: no memory\)$"):
        checks.largest_difference(plan, checks.expected_of(plan), full, "dense.pt2")


def test_differences_are_relative_where_values_are_large() -> None:
    found = checks.differences({"y": torch.tensor([0.5, 200.0])}, {"y": torch.tensor([0.25, 100.0])})
    assert found == {"y": 1.0}
    assert checks.differences({"y": torch.tensor([0.5])}, {"y": torch.tensor([0.25])}) == {"y": 0.25}
