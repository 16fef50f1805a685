"""An elastic convolution."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

from torch import Tensor, nn
from torch.nn import functional

from autopanoptic.nas.space.conditions import Condition
from autopanoptic.nas.supernet.elastic.kernel_transform import transformed, transforms
from autopanoptic.nas.supernet.elastic.layer import ElasticLayer, channels, fixed, is_elastic
from autopanoptic.nas.supernet.elastic.sizes import ElasticSize, Fixed, Kernel, Size, signature
from autopanoptic.nas.supernet.elastic.slices import active_part

Groups: TypeAlias = Size | Literal["depthwise"]
Pair: TypeAlias = int | tuple[int, int]


class ElasticConv2d(ElasticLayer, nn.Conv2d):
    """``torch.nn.Conv2d`` of elastic channels and kernel size: its active part is a slice of the weight.

    A smaller kernel is the centre of the largest one. Of numbers alone it makes ``torch.nn.Conv2d`` itself.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: one number, a :class:`Kernel`, or two numbers.
        stride: as torch's.
        padding: as torch's, or a size: ``kernel // 2`` keeps the size of the image.
        dilation: as torch's.
        groups: 1; ``"depthwise"`` for as many as there are input channels; or, where the channels in a group stay and
            the number of groups follows the width, a size such as ``width // 16``.
        bias: as torch's.
        padding_mode: as torch's.
        device: as torch's.
        dtype: as torch's.
        kernel_transform: whether a smaller kernel is the centre of the next larger one times a matrix that is learned,
            one for each size, shared by all channels, and the identity at first (once-for-all, Cai et al. 2020,
            section 3.3); else it is the centre. The subnet has the kernel that comes out.

    Raises:
        ValueError: when a size may be 0, the sizes do not fit the groups, or a kernel to transform is a number.
        DisagreementError: on use, when the input has another number of channels than the active one.
    """

    def __new__(
        cls,
        in_channels: Size = 0,
        out_channels: Size = 0,
        kernel_size: Any = 0,
        stride: Pair = 1,
        padding: Any = 0,
        dilation: Pair = 1,
        groups: Groups = 1,
        *args: Any,
        kernel_transform: bool = False,
        **keywords: Any,
    ) -> Any:
        """Return torch's layer where no size is elastic."""
        sizes = [in_channels, out_channels, kernel_size, padding, groups]
        if cls is not ElasticConv2d or not in_channels or is_elastic(sizes):
            return super().__new__(cls)
        number = in_channels if groups == "depthwise" else groups
        plain = [fixed(value) for value in (in_channels, out_channels, kernel_size, stride, padding, dilation, number)]
        return nn.Conv2d(*plain, *args, **keywords)

    def __init__(
        self,
        in_channels: Size,
        out_channels: Size,
        kernel_size: Pair | Kernel,
        stride: Pair = 1,
        padding: str | tuple[int, int] | Size = 0,
        dilation: Pair = 1,
        groups: Groups = 1,
        bias: bool = True,
        padding_mode: Literal["zeros", "reflect", "replicate", "circular"] = "zeros",
        device: Any = None,
        dtype: Any = None,
        *,
        kernel_transform: bool = False,
    ) -> None:
        given, made = channels(in_channels, "in_channels"), channels(out_channels, "out_channels")
        number = given if groups == "depthwise" else channels(groups, "groups")
        _check_groups(number, given, made)
        if _has_size(kernel_size) and not isinstance(kernel_size, Kernel):
            raise TypeError(f"kernel_size must be a number, two numbers or a Kernel, not {kernel_size!r}.")
        if isinstance(padding, tuple) and _has_size(padding):
            raise TypeError(f"padding must be as torch's or one size, such as kernel // 2, not {padding!r}.")
        for name, value in (("stride", stride), ("dilation", dilation)):
            if _has_size(value):
                raise TypeError(f"{name} must be a number or two, not {value!r}.")
        kernel = kernel_size.largest if isinstance(kernel_size, Kernel) else kernel_size
        around = padding.largest if isinstance(padding, ElasticSize) else padding
        super().__init__(
            given.largest, made.largest, kernel, stride, around, dilation, number.largest, bias, padding_mode,
            device=device, dtype=dtype,
        )  # fmt: skip
        self.in_size, self.out_size, self.group_count = given, made, number
        self.elastic_padding = padding if isinstance(padding, ElasticSize) else None
        self.further = () if self.elastic_padding is None else (self.elastic_padding,)
        sides = (kernel_size, kernel_size) if isinstance(kernel_size, Kernel) else tuple(map(Fixed, self.kernel_size))
        self.layout = {"weight": (made, self._in_a_group(), *sides), "bias": (made,)}
        self.kernel = kernel_size if isinstance(kernel_size, Kernel) else None
        self.transforms_kernel = kernel_transform
        if kernel_transform:
            self._add_transforms(device, dtype)

    def _add_transforms(self, device: Any, dtype: Any) -> None:
        if self.kernel is None:
            raise ValueError(f"kernel_transform=True needs a Kernel, not kernel_size={self.kernel_size}.")
        for size, matrix in transforms(self.kernel, device=device, dtype=dtype).items():
            self.register_parameter(_matrix(size), matrix)

    def active_tensor(self, name: str) -> Tensor | None:
        """Return the active part of a parameter, the kernel transformed."""
        if name != "weight" or not self.transforms_kernel:
            return super().active_tensor(name)
        assert self.kernel is not None
        whole = active_part(self.weight, self.layout["weight"][:2])
        matrices = {size: getattr(self, _matrix(size)) for size in self.kernel.options[:-1]}
        return transformed(whole, self.kernel.active, matrices)

    def conditions(self, name: str) -> tuple[Condition, ...]:
        """Return under which kernel sizes a matrix is used."""
        if self.kernel is None or name in self.layout:
            return ()
        sizes = self.kernel.options
        return next(((self.kernel.label, sizes[: n + 1]),) for n, size in enumerate(sizes) if _matrix(size) == name)

    def blocks(self) -> Iterable[tuple[ElasticSize, int]]:
        """Yield the channels of groups of several, whose order matters."""
        assert self.in_size is not None
        assert self.out_size is not None
        if 1 < self.group_count.largest < self.in_size.largest:
            yield from ((self.in_size, 0), (self.out_size, 0))

    def _in_a_group(self) -> ElasticSize:
        """Return the size of the weight's second dimension."""
        assert self.in_size is not None
        if self.group_count.largest == 1:
            return self.in_size
        return Fixed(self.in_size.largest // self.group_count.largest)

    def forward(self, x: Tensor) -> Tensor:
        """Return the active part's output, of shape (n, out_channels, height, width)."""
        self.check_channels(x, -3)
        weight = self.active_tensor("weight")
        assert weight is not None
        padding: Any = self.padding if self.elastic_padding is None else self.elastic_padding.active
        if self.padding_mode != "zeros":
            x, padding = functional.pad(x, self._margins(weight, padding), mode=self.padding_mode), 0
        bias, groups = self.active_tensor("bias"), self.group_count.active
        return functional.conv2d(x, weight, bias, self.stride, padding, self.dilation, groups)

    def _margins(self, weight: Tensor, padding: Any) -> list[int]:
        """Return how far an image is padded on each side, the last dimension first, as ``torch.nn.functional.pad``."""
        if padding == "valid":
            return [0, 0, 0, 0]
        if padding == "same":
            totals = [step * (size - 1) for step, size in zip(self.dilation, weight.shape[2:], strict=True)]
            return [side for total in reversed(totals) for side in (total // 2, total - total // 2)]
        rows, columns = (padding, padding) if isinstance(padding, int) else padding
        return [columns, columns, rows, rows]


def _has_size(value: object) -> bool:
    """Return whether an argument is a size, or holds one."""
    return any(isinstance(part, ElasticSize) for part in (value if isinstance(value, tuple) else (value,)))


def _matrix(size: int) -> str:
    """Return the name of the matrix that makes the kernel of a size."""
    return f"kernel_transform_{size}"


def _check_groups(groups: ElasticSize, given: ElasticSize, made: ElasticSize) -> None:
    """Check that the channels of every group are the same ones in all architectures."""
    if groups.largest == 1:
        return
    for name, size in (("in_channels", given), ("out_channels", made)):
        times, rest = divmod(size.largest, groups.largest)
        if rest or not times:
            raise ValueError(f"{name} = {size!r} is not divisible into groups = {groups!r}.")
        if signature(groups * times) != signature(size):
            raise ValueError(
                f"{name} = {size!r} has not {times} channels for each of groups = {groups!r} in every architecture. "
                "Use 1 group, groups='depthwise', or a size such as width // 16 whose channels in a group stay."
            )
