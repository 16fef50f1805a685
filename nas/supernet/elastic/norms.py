"""Elastic normalisation of images."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from autopanoptic.nas.supernet.elastic.chosen import Chosen
from autopanoptic.nas.supernet.elastic.layer import ElasticLayer, channels, fixed, is_elastic
from autopanoptic.nas.supernet.elastic.sizes import ElasticSize, Size, values_of
from autopanoptic.nas.supernet.elastic.slices import write_back


class ElasticBatchNorm2d(ElasticLayer, nn.BatchNorm2d):
    """``torch.nn.BatchNorm2d`` of elastic channels: weights and statistics are slices of the largest network's.

    The statistics of a channel mix all architectures that use it; take those of one by :func:`recalibrated`. Training
    updates the active channels' alone. Of numbers alone it makes ``torch.nn.BatchNorm2d`` itself.

    Args:
        num_features: channels of the input.
        eps: as torch's.
        momentum: as torch's.
        affine: as torch's.
        track_running_stats: as torch's.
        device: as torch's.
        dtype: as torch's.

    Raises:
        ValueError: when the size may be 0.
        DisagreementError: on use, when the input has another number of channels than the active one.
    """

    def __new__(cls, num_features: Size = 0, *args: Any, **keywords: Any) -> Any:
        """Return torch's layer where no size is elastic."""
        if cls is not ElasticBatchNorm2d or not num_features or is_elastic([num_features]):
            return super().__new__(cls)
        return nn.BatchNorm2d(fixed(num_features), *args, **keywords)

    def __init__(
        self,
        num_features: Size,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        size = channels(num_features, "num_features")
        super().__init__(size.largest, eps, momentum, affine, track_running_stats, device=device, dtype=dtype)
        self.size = self.in_size = self.out_size = size
        names = ("weight", "bias", "running_mean", "running_var")
        self.layout = {**dict.fromkeys(names, (size,)), "num_batches_tracked": ()}

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised input, of its shape (n, channels, height, width)."""
        self._check_input_dim(x)
        self.check_channels(x, 1)
        mean, variance = self.active_tensor("running_mean"), self.active_tensor("running_var")
        updates = self.training and mean is not None
        result = functional.batch_norm(
            x,
            mean,
            variance,
            self.active_tensor("weight"),
            self.active_tensor("bias"),
            self.training or mean is None,
            self._count() if updates else 0.0,
            self.eps,
        )
        if updates:
            self._keep(mean, variance)
        return result

    def _count(self) -> float:
        """Count a batch, and return its share in the statistics."""
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        return 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum

    def _keep(self, mean: Tensor | None, variance: Tensor | None) -> None:
        """Write back the statistics where they are several slices, which were copied to stand after each other."""
        for tensor, values in ((self.running_mean, mean), (self.running_var, variance)):
            assert tensor is not None
            assert values is not None
            if values.data_ptr() != tensor.data_ptr():
                write_back(tensor, self.size, values)


class ElasticGroupNorm(ElasticLayer, nn.GroupNorm):
    """``torch.nn.GroupNorm`` of elastic channels: the groups keep their size, their number follows the width.

    Of numbers alone it makes ``torch.nn.GroupNorm`` itself. While a single architecture is built it has that
    architecture's number of groups.

    Args:
        num_groups: of the largest number of channels.
        num_channels: channels of the input; every option must be a multiple of the size of a group.
        eps: as torch's.
        affine: as torch's.
        device: as torch's.
        dtype: as torch's.

    Raises:
        ValueError: when a size is no multiple of the size of a group.
        DisagreementError: on use, when the input has another number of channels than the active one.
    """

    def __new__(cls, num_groups: int = 0, num_channels: Size = 0, *args: Any, **keywords: Any) -> Any:
        """Return torch's layer where no size is elastic."""
        if cls is not ElasticGroupNorm or not num_channels or is_elastic([num_channels]):
            return super().__new__(cls)
        return nn.GroupNorm(_groups_of(num_groups, num_channels), fixed(num_channels), *args, **keywords)

    def __init__(
        self,
        num_groups: int,
        num_channels: Size,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        size, num_groups = channels(num_channels, "num_channels"), _groups_of(num_groups, num_channels)
        _check_groups(num_groups, size)
        super().__init__(num_groups, size.largest, eps, affine, device=device, dtype=dtype)
        self.size = self.in_size = self.out_size = size
        self.group = size.largest // num_groups
        self.layout = {"weight": (size,), "bias": (size,)}

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised input, of its shape (n, channels, ...)."""
        self.check_channels(x, 1)
        groups = self.size.active // self.group
        return functional.group_norm(x, groups, self.active_tensor("weight"), self.active_tensor("bias"), self.eps)

    def blocks(self) -> Iterable[tuple[ElasticSize, int]]:
        """Yield the channels with the size of a group."""
        yield self.size, self.group


def _groups_of(num_groups: int, num_channels: Size) -> int:
    """Return the number of groups, of a chosen number of channels with the groups' size among the largest one."""
    return num_groups * int(num_channels) // num_channels.largest if isinstance(num_channels, Chosen) else num_groups


def _check_groups(num_groups: int, size: ElasticSize) -> None:
    if num_groups < 1 or size.largest % num_groups:
        raise ValueError(f"{size.largest} channels cannot be {num_groups} groups; num_groups must divide num_channels.")
    group = size.largest // num_groups
    for part in size.parts():
        for number in values_of(part):
            if number % group:
                raise ValueError(
                    f"{num_groups} groups of {size.largest} channels have {group} each, of which {number}, an option "
                    f"of {part!r}, is no multiple. Choose other options, or another num_groups."
                )
