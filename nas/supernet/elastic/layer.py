"""What all elastic layers have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from autopanoptic.nas.space.conditions import Condition
from autopanoptic.nas.supernet import _nni
from autopanoptic.nas.supernet.elastic.sizes import ElasticSize, Kernel, SizeChoice, each_once, size_of
from autopanoptic.nas.supernet.elastic.slices import Layout, active_part, active_shape


class DisagreementError(ValueError):
    """A layer was given another number of channels than its width is; gives the layer's name where it has one."""


class ElasticLayer(nn.Module):
    """Base class of a layer whose weights are those of its largest form, of which a part is active.

    The part is a slice of each tensor: nothing is copied when the architecture changes, and the gradient is zero
    outside of it. A layer of your own derives from this class, gives its tensors the ``largest`` of each size, sets
    :attr:`layout`, and takes its tensors from :meth:`active_tensor` in ``forward``. In a subnet it is built again, of
    numbers::

        class ElasticPReLU(ElasticLayer):
            def __init__(self, width: Size) -> None:
                super().__init__()
                size = size_of(width)
                self.slope = nn.Parameter(torch.full((size.largest,), 0.25))
                self.layout = {"slope": (size,)}

            def forward(self, x: Tensor) -> Tensor:
                return torch.where(x > 0, x, x * self.active_tensor("slope").view(-1, 1, 1))

    Attributes:
        layout: for each parameter and buffer the size of each of its dimensions.
        further: sizes that the layer depends on without a tensor that has them, such as paddings.
        in_size, out_size: the channels of the input and of the output, where they are known; they help to name layers
            that disagree.
        path: the layer's name in the network, once a supernet has been made of that.
    """

    layout: Mapping[str, Layout]
    further: tuple[ElasticSize, ...] = ()
    in_size: ElasticSize | None = None
    out_size: ElasticSize | None = None
    path = ""

    def size_choices(self) -> tuple[SizeChoice, ...]:
        """Return the choices on which the layer depends, each once, the input's first."""
        around = [size for size in (self.in_size, self.out_size) if size is not None]
        sizes = [*around, *(size for layout in self.layout.values() for size in layout), *self.further]
        return each_once(choice for size in sizes for choice in size.choices())

    def active_tensor(self, name: str) -> Tensor | None:
        """Return the active part of a parameter or buffer: what the layer has by this name in the subnet."""
        tensor: Tensor | None = getattr(self, name)
        return None if tensor is None else active_part(tensor, self.layout[name])

    def active_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the parameters that the layer has in the subnet, by name."""
        return {name: active_shape(self.layout[name]) for name in self._parameters if self.has_in_subnet(name)}

    def has_in_subnet(self, name: str) -> bool:
        """Return whether the layer has a parameter or buffer in the subnet, too."""
        return getattr(self, name, None) is not None and name in self.layout

    def conditions(self, name: str) -> tuple[Condition, ...]:
        """Return the conditions under which a parameter is used where the layer runs; all hold together."""
        return ()

    def blocks(self) -> Iterable[tuple[ElasticSize, int]]:
        """Yield sizes whose channels the layer does not take one by one, with how many neighbours belong together.

        0 is for channels of which the order matters. :func:`sort_channels` heeds it.
        """
        return ()

    def check_channels(self, x: Tensor, dimension: int) -> None:
        """Check the size of the input.

        Raises:
            DisagreementError: when it is not the active :attr:`in_size`; names the layer and the choices.
        """
        given, size = x.shape[dimension], self.in_size
        if size is not None and given != size.active:
            raise DisagreementError(
                f"{self.described()} takes {size.active} channels, the active size of {size!r}, but was given {given}. "
                "Give the layers that must agree one Width."
            )

    def described(self) -> str:
        """Return the kind of layer, with its name where that is known."""
        return f"{type(self).__name__} {self.path!r}" if self.path else f"An {type(self).__name__}"

    def extra_repr(self) -> str:
        """Return the sizes of the tensors."""
        return ", ".join(f"{name}=({', '.join(map(repr, sizes))})" for name, sizes in self.layout.items() if sizes)


def is_elastic(values: Iterable[Any]) -> bool:
    """Return whether any of the values is an elastic size.

    Raises:
        RuntimeError: when one is while a single architecture is built.
    """
    elastic = [value for value in values if isinstance(value, ElasticSize) and value.choices()]
    if elastic:
        with _nni.CONSTRUCTION_LOCK:
            if _nni.current_model() is not None:
                raise RuntimeError(made_outside(elastic[0].choices()[0]))
    return bool(elastic)


def made_outside(choice: SizeChoice) -> str:
    """Return what is wrong with a choice that two networks would share."""
    return (
        f"{choice!r} was made outside of the network's constructor, so that a second network would share it and "
        "switch with the first. Make it inside, from its label and numbers."
    )


def channels(value: Any, of_what: str) -> ElasticSize:
    """Return a number of channels as a size.

    Raises:
        TypeError: when it is no whole number, or a kernel size.
        ValueError: when it may be 0.
    """
    try:
        size = size_of(value)
    except TypeError:
        raise TypeError(f"{of_what} must be a whole number or a Width, not {value!r}.") from None
    if any(isinstance(choice, Kernel) for choice in size.choices()):
        raise TypeError(f"{of_what} must be a whole number or a Width, not {value!r}.")
    if size.smallest < 1:
        raise ValueError(
            f"{of_what} {value!r} would be {size.smallest} for the smallest option; it must be at least 1."
        )
    return size


def fixed(value: Any) -> Any:
    """Return torch's form of an argument that is not elastic."""
    if isinstance(value, ElasticSize):
        return value.active
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value


def has_elastic(network: nn.Module) -> bool:
    """Return whether a network has an elastic layer."""
    return any(isinstance(module, ElasticLayer) for module in network.modules())
