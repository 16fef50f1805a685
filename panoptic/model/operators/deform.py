"""Deformable convolution, modulated (Zhu et al. 2019, "Deformable ConvNets v2") or not, quick on CPU and GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from torchvision.ops import deform_conv2d as torchvision_deform_conv2d

LARGE = 2**25
"""Sampled values (128 MiB in single precision) from which memory counts for more than time."""

_ONE_OPERATOR: ContextVar[bool] = ContextVar("one_operator", default=False)


@contextmanager
def one_operator() -> Iterator[None]:
    """Have deformable convolutions be torchvision's operator on every device, as one node of an exported graph."""
    token = _ONE_OPERATOR.set(True)
    try:
        yield
    finally:
        _ONE_OPERATOR.reset(token)


def deform_conv2d(x: Tensor, offset: Tensor, modulation: Tensor | None, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolve with stride 1 and "same" padding at displaced, weighted taps.

    On a GPU, and inside of `one_operator`, this is torchvision's operator. Elsewhere (CPU, meta) the taps are
    sampled with ``grid_sample`` and multiplied by the weights in one matrix product, which on a CPU is several
    times faster. Where a tap falls on a pixel's centre the offset's derivative is one-sided, and the two may take
    different sides. More than `LARGE` sampled values are not kept for the backward pass but sampled again.

    Args:
        x: Features, (B, C, H, W).
        offset: Displacement of every tap in pixels, (B, 2 k^2, H, W); channels 2t and 2t + 1 are tap t's
            y and x.
        modulation: Factor on every tap, (B, k^2, H, W); None for 1 (Dai et al. 2017, "Deformable Convolutional
            Networks").
        weight: Kernel, (C_out, C, k, k) with odd k.
        bias: (C_out,).

    Returns:
        (B, C_out, H, W).
    """
    if x.is_cuda or _ONE_OPERATOR.get():
        padding = weight.shape[-1] // 2
        out: Tensor = torchvision_deform_conv2d(x, offset, weight, bias, padding=padding, mask=modulation)
        return out
    arguments = (x, offset, modulation, weight, bias)
    if torch.is_grad_enabled() and x.numel() * weight[0, 0].numel() > LARGE:
        recomputed: Tensor = checkpoint(_sampled_conv2d, *arguments, use_reentrant=False, preserve_rng_state=False)
        return recomputed
    return _sampled_conv2d(*arguments)


def _sampled_conv2d(x: Tensor, offset: Tensor, modulation: Tensor | None, weight: Tensor, bias: Tensor) -> Tensor:
    batch, _, height, width = x.shape
    taps = _sample_taps(x, offset, weight.shape[-1])
    if modulation is not None:
        taps = taps * modulation.flatten(1, 2)[:, None]
    flat = weight.flatten(1)
    columns = taps.reshape(batch, flat.shape[1], height * width)
    out = torch.baddbmm(bias[None, :, None], flat.expand(batch, -1, -1), columns)
    return out.view(batch, len(flat), height, width)


def _sample_taps(x: Tensor, offset: Tensor, kernel: int) -> Tensor:
    """``x`` at the displaced taps, zero outside: (B, C, k^2 H, W)."""
    batch, _, height, width = x.shape
    # bfloat16 has 8 bits: beyond 256 it does not even hold every whole pixel.
    offset = offset.to(torch.promote_types(offset.dtype, torch.float32))
    around = torch.arange(kernel, device=x.device) - kernel // 2
    tap_y = around.repeat_interleave(kernel).view(-1, 1, 1)
    tap_x = around.repeat(kernel).view(-1, 1, 1)
    shift_y, shift_x = offset.view(batch, kernel * kernel, 2, height, width).unbind(2)
    y = shift_y + (tap_y + torch.arange(height, device=x.device).view(-1, 1))
    x_ = shift_x + (tap_x + torch.arange(width, device=x.device))
    grid = torch.stack(((2 * x_ + 1) / width - 1, (2 * y + 1) / height - 1), dim=-1)
    wide, grid = x.to(grid.dtype), grid.flatten(1, 2)
    taps = functional.grid_sample(wide, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return taps.to(x.dtype)


def _deform_conv2d_flops(
    x: Sequence[int], weight: Sequence[int], *_: Any, out_shape: Sequence[int] | None = None, **__: Any
) -> int:
    """Floating-point operations of torchvision's operator: two for each multiply-add of the kernel."""
    batch, _channels, height, width = x
    out_channels, channels, kernel_y, kernel_x = weight
    if out_shape is not None:
        height, width = out_shape[-2:]
    return 2 * batch * height * width * out_channels * channels * kernel_y * kernel_x


FLOP_FORMULAS: dict[Any, Callable[..., int]] = {torch.ops.torchvision.deform_conv2d: _deform_conv2d_flops}
"""For ``torch.utils.flop_counter.FlopCounterMode(custom_mapping=...)``: without it a deformable convolution on
a GPU counts as nothing. On the meta device and on a CPU the matrix product is counted as it stands."""
