from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from autopanoptic.nas import FlopCount, ModelSpace, Supernet
from autopanoptic.nas.costs.shapes_alone import shapes_alone


class Ran(TorchDispatchMode):
    """Notes the operations that run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


def meta(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.empty(shape, device="meta", dtype=dtype)


SHORT: list[Callable[[Tensor], Tensor]] = [
    functional.relu,
    lambda x: functional.batch_norm(x, meta(6), meta(6), meta(6), meta(6)),
    lambda x: functional.batch_norm(x, meta(6), meta(6)),
    lambda x: functional.group_norm(x, 3, meta(6), bias=meta(6)),
    lambda x: functional.interpolate(x, 7, mode="bilinear", align_corners=False),
    lambda x: functional.interpolate(input=x, size=(7, 9), mode="bicubic"),
    lambda x: functional.interpolate(x, x.shape[-2:]),
    lambda x: functional.interpolate(x, scale_factor=4, mode="bilinear"),
    lambda x: functional.grid_sample(x, meta(2, 3, 8, 2, dtype=x.dtype), align_corners=False),
]
WHOLE: list[Callable[[Tensor], Tensor]] = [
    lambda x: functional.relu(x, inplace=True),
    lambda x: functional.batch_norm(x, meta(6), meta(6), training=True),
    lambda x: functional.interpolate(x, scale_factor=1.3, mode="bilinear"),
    lambda x: functional.interpolate(x[0], scale_factor=2, mode="linear"),
    lambda x: functional.layer_norm(x, x.shape[1:]),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("function", [*SHORT, *WHOLE])
def test_shapes_and_types_are_torchs_own(function: Callable[[Tensor], Tensor], dtype: torch.dtype) -> None:
    x = meta(2, 6, 4, 5, dtype=dtype)
    whole = function(x)
    with shapes_alone():
        found = function(x)
    assert (found.shape, found.dtype, found.device) == (whole.shape, whole.dtype, whole.device)


@pytest.mark.parametrize(("functions", "short"), [(SHORT, True), (WHOLE, False)])
def test_what_is_left_out(functions: list[Callable[[Tensor], Tensor]], short: bool) -> None:
    for function in functions:
        with shapes_alone(), Ran() as ran:
            function(meta(2, 6, 4, 5))
        assert all("empty" in name for name in ran.names) == short, ran.names


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: functional.batch_norm(x, meta(5), meta(5)),
        lambda x: functional.batch_norm(x, meta(6), meta(6), meta(7)),
        lambda x: functional.group_norm(x, 4),
        lambda x: functional.group_norm(x, 3, meta(5)),
        lambda x: functional.interpolate(x, mode="bilinear"),
        lambda x: functional.interpolate(x, 4, align_corners=True),
        lambda x: functional.interpolate(x, (4, 4, 4), mode="bilinear"),
        lambda x: functional.grid_sample(x, meta(1, 3, 8, 2), align_corners=False),
    ],
)
def test_what_is_wrong_raises_torchs_error(wrong: Callable[[Tensor], Tensor]) -> None:
    with shapes_alone(), pytest.raises((ValueError, RuntimeError)):
        wrong(meta(2, 6, 4, 5))


def test_memory_is_computed_with() -> None:
    with shapes_alone():
        assert functional.relu(torch.tensor([[-1.0, 2.0]])).tolist() == [[0, 2]]


def test_a_formula_for_a_norm_counts() -> None:
    class Normed(ModelSpace):
        def __init__(self) -> None:
            super().__init__()
            self.norm = torch.nn.GroupNorm(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.norm(x)

    supernet, image = Supernet(Normed()), torch.zeros(1, 3, 2, 2)
    formulas = {torch.ops.aten.native_group_norm: lambda shape, *_, **__: 2 * shape.numel()}
    assert FlopCount(supernet, image)({}) == 0
    assert FlopCount(supernet, image, formulas=formulas)({}) == 12
