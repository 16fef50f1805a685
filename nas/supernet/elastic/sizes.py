"""Sizes that an architecture chooses: widths, kernel sizes, and what is worked out from them.

A choice with integer options is one object that all layers share which must agree on it. While a single architecture is
built (:meth:`autopanoptic.nas.Supernet.subnet`), the same expression makes a number instead, so that the network's
code is one for elastic and for fixed networks.
"""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import index
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from autopanoptic.nas.space.options import options_of, weights_of
from autopanoptic.nas.supernet import _nni
from autopanoptic.nas.supernet.elastic.chosen import Chosen, Part, merged
from autopanoptic.nas.supernet.mutables import check_label

if TYPE_CHECKING:
    from torch import nn

Span: TypeAlias = tuple[int, int]
"""Where a run of active indices starts, and how many there are."""


class ElasticSize(ABC):
    """A size that changes with the architecture.

    ``size * 4`` and ``size // 2`` are sizes, too. Anything else than these would not say which slice it stands for, and
    raises a TypeError. Sizes are equal that are so part by part in every architecture.
    """

    def __init__(self) -> None:
        self.largest = self.value(lambda choice: choice.options[-1])
        """With the largest option of every choice: the extent of the weights."""
        self.smallest = self.value(lambda choice: choice.options[0])
        """With the smallest option of every choice."""

    @property
    def active(self) -> int:
        """The size in the active architecture."""
        return self.value(lambda choice: choice.active)

    @abstractmethod
    def value(self, option_of: Callable[[SizeChoice], int]) -> int:
        """Return the size for the given option of each choice."""

    @abstractmethod
    def choices(self) -> tuple[SizeChoice, ...]:
        """Return the choices on which the size depends."""

    def parts(self) -> Sequence[ElasticSize]:
        """Return the sizes that stand after each other, itself where it is one."""
        return (self,)

    def spans(self) -> list[Span]:
        """Return which of the ``largest`` indices are active: a prefix of each part."""
        return [(0, self.active)]

    def __mul__(self, times: int) -> ElasticSize:
        return _derived(self, "*", times)

    __rmul__ = __mul__

    def __floordiv__(self, by: int) -> ElasticSize:
        return _derived(self, "//", by)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, int):
            raise TypeError(
                f"{self!r} is compared with {other}: in a supernet it is no number, and in a subnet it is one, so that "
                "the two would be built differently. Compare it with other sizes, or compare its .largest."
            )
        return signature(self) == signature(other) if isinstance(other, ElasticSize) else NotImplemented

    def __hash__(self) -> int:
        return hash(signature(self))

    def _is_no_number(self, *_: object) -> NoReturn:
        raise TypeError(
            f"{self!r} is a size that an architecture chooses, and no number. Elastic layers take it, its multiples "
            "and parts (* and //), and Concat of several; torch's own layers do not. Its .largest, .smallest and "
            ".active are numbers."
        )

    __index__ = __int__ = __float__ = __lt__ = __le__ = __gt__ = __ge__ = _is_no_number
    __add__ = __radd__ = __sub__ = __rsub__ = __mod__ = __truediv__ = _is_no_number


Size: TypeAlias = int | ElasticSize
"""A fixed or an elastic number of channels or features."""


class SizeChoice(ElasticSize):
    """A choice with integer options; see :class:`Width` and :class:`Kernel`."""

    tied = True

    def __new__(cls, label: str = "", options: Iterable[int] = (), **keywords: Any) -> SizeChoice:
        """Return the chosen number while a single architecture is built."""
        # Copies and pickles are made without arguments, also while a single architecture is built.
        if not label:
            return super().__new__(cls)
        with _nni.CONSTRUCTION_LOCK:
            sample = _nni.current_model()
        if sample is None:
            return super().__new__(cls)
        found, _ = cls._checked(label, options, None)
        # What no layer uses is no choice, and stays as it is in the supernet.
        number: Any = Chosen(sample.get(label, found[-1]), [(label, found)])
        return number  # type: ignore[no-any-return]

    def __init__(self, label: str, options: Iterable[int], *, weights: Iterable[float] | None = None) -> None:
        self.label = label
        self.options, self.option_weights = self._checked(label, options, weights)
        super().__init__()
        self._active = self.largest
        self.owner: weakref.ref[nn.Module] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return the state of a copy, which belongs to no network yet."""
        return {**vars(self), "owner": None}

    @property
    def active(self) -> int:
        """The option of the active architecture; the largest until a supernet activates one."""
        return self._active

    def value(self, option_of: Callable[[SizeChoice], int]) -> int:
        """Return the given option."""
        return option_of(self)

    def choices(self) -> tuple[SizeChoice, ...]:
        """Return itself."""
        return (self,)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.label!r}, {list(self.options)})"

    @classmethod
    def _checked(
        cls, label: str, options: Iterable[int], weights: Iterable[float] | None
    ) -> tuple[tuple[int, ...], tuple[float, ...] | None]:
        """Return the options in ascending order, and their weights."""
        check_label(label)
        found = options_of(label, options)
        shares = weights_of(label, found, weights)
        for option in found:
            cls._check(label, option)
        order = sorted(range(len(found)), key=lambda index: found[index])
        ascending = tuple(int(found[index]) for index in order)
        return ascending, None if shares is None else tuple(shares[index] for index in order)

    @classmethod
    def _check(cls, label: str, option: Any) -> None:
        if not isinstance(option, int) or isinstance(option, bool) or option < 1:
            raise ValueError(
                f"{cls.__name__} {label!r} has the option {option!r}; its options are whole numbers of at least 1."
            )


class Width(SizeChoice):
    """A number of channels or features to choose: a choice of the search space with integer options.

    Give the same object to all layers that must agree, such as those whose results are added; make it inside of the
    network's constructor. Two objects of one label are the same choice. It is a conditional choice where all layers
    that use it stand inside options of other choices or in optional blocks. While a single architecture is built, it
    is the chosen number.

    Args:
        label: the choice's name in the search space.
        options: whole numbers of at least 1, all different; they are put in ascending order.
        weights: prior weights of the options, in the order given; see :class:`Choice`.
        ordered: whether something in the network depends on the channels' order, such as a shuffle or a split; then
            :func:`sort_channels` leaves them alone.

    Attributes:
        largest, smallest: of the options.
        active: the option of the active architecture; the largest until a supernet activates one.

    Raises:
        ValueError: for a label or options of another form.
    """

    def __init__(
        self, label: str, options: Iterable[int], *, weights: Iterable[float] | None = None, ordered: bool = False
    ) -> None:
        super().__init__(label, options, weights=weights)
        self.ordered = ordered


class Kernel(SizeChoice):
    """A kernel size to choose: the centre of the largest kernel (Cai et al. 2020, once-for-all, section 3.3).

    Shared between layers, and a number while a single architecture is built, as :class:`Width` is.
    ``padding=kernel // 2`` keeps the size of the image.

    Args:
        label: the choice's name in the search space.
        options: odd numbers, all different; they are put in ascending order.
        weights: prior weights of the options, in the order given; see :class:`Choice`.

    Raises:
        ValueError: for a label or options of another form.
    """

    def spans(self) -> list[Span]:
        """Return the centre."""
        return [((self.largest - self._active) // 2, self._active)]

    @classmethod
    def _check(cls, label: str, option: Any) -> None:
        super()._check(label, option)
        if not option % 2:
            raise ValueError(f"Kernel {label!r} has the option {option!r}; only odd kernels have a centre.")


class Fixed(ElasticSize):
    """A number as a size."""

    def __init__(self, number: int) -> None:
        self._number = index(number)
        super().__init__()

    @property
    def active(self) -> int:
        """The number."""
        return self._number

    def value(self, option_of: Callable[[SizeChoice], int]) -> int:
        """Return the number."""
        return self._number

    def choices(self) -> tuple[SizeChoice, ...]:
        """Return nothing."""
        return ()

    def __repr__(self) -> str:
        return str(self._number)


class Derived(ElasticSize):
    """A multiple or a part of a choice, by steps such as ``("*", 4)`` and ``("//", 2)``."""

    def __init__(self, choice: SizeChoice, steps: tuple[tuple[str, int], ...]) -> None:
        self.choice, self.steps = choice, steps
        super().__init__()

    def value(self, option_of: Callable[[SizeChoice], int]) -> int:
        """Return the size for the given option."""
        number = option_of(self.choice)
        for sign, factor in self.steps:
            number = number * factor if sign == "*" else number // factor
        return number

    def choices(self) -> tuple[SizeChoice, ...]:
        """Return the choice."""
        return (self.choice,)

    def __repr__(self) -> str:
        return f"{self.choice!r}" + "".join(f" {sign} {factor}" for sign, factor in self.steps)


class Concat(ElasticSize):
    """Channels of several tensors after each other, as ``torch.cat`` puts them.

    Args:
        *sizes: of the tensors, in their order.

    Of numbers it is their sum, a number.
    """

    def __new__(cls, *sizes: Size) -> Concat:
        """Return the sum of numbers."""
        if not sizes or any(isinstance(size, ElasticSize) for size in sizes):
            return super().__new__(cls)
        number: Any = sum(map(Chosen.of, sizes), start=Chosen(0, []))  # type: ignore[arg-type]
        return number  # type: ignore[no-any-return]

    def __init__(self, *sizes: Size) -> None:
        if not sizes:
            raise ValueError("Concat needs the sizes of the tensors that stand after each other.")
        self._parts = tuple(part for size in sizes for part in size_of(size).parts())
        super().__init__()

    def value(self, option_of: Callable[[SizeChoice], int]) -> int:
        """Return the sum for the given options."""
        return sum(part.value(option_of) for part in self._parts)

    def choices(self) -> tuple[SizeChoice, ...]:
        """Return the choices of all parts, each once."""
        return each_once(choice for part in self._parts for choice in part.choices())

    def parts(self) -> Sequence[ElasticSize]:
        """Return the parts."""
        return self._parts

    def spans(self) -> list[Span]:
        """Return a prefix of each part."""
        return [(start + first, count) for start, part in placed(self) for first, count in part.spans()]

    def __repr__(self) -> str:
        return f"Concat({', '.join(map(repr, self._parts))})"


def size_of(value: Size) -> ElasticSize:
    """Return a whole number or a size as a size."""
    return value if isinstance(value, ElasticSize) else Fixed(value)


def each_once(choices: Iterable[SizeChoice]) -> tuple[SizeChoice, ...]:
    """Return the different objects among choices, also those of one label, as each has a switch of its own."""
    return tuple({id(choice): choice for choice in choices}.values())


def placed(size: ElasticSize) -> Iterator[tuple[int, ElasticSize]]:
    """Yield each part of a size with where it begins."""
    start = 0
    for part in size.parts():
        yield start, part
        start += part.largest


def values_of(part: ElasticSize) -> tuple[int, ...]:
    """Return what a size that is no concatenation may be, for each option of its choice."""
    options = [option for choice in part.choices() for option in choice.options]
    return tuple(part.value(lambda _, option=option: option) for option in options) or (part.largest,)  # type: ignore[misc]


def signature(size: ElasticSize) -> tuple[Part, ...]:
    """Return what is the same for sizes that are equal part by part in every architecture, however they are written."""
    return merged(
        (part.choices()[0].label, values_of(part)) if part.choices() else part.largest for part in size.parts()
    )


def _derived(size: ElasticSize, sign: str, factor: int) -> ElasticSize:
    try:
        factor = index(factor)
    except TypeError:
        raise TypeError(f"{size!r} {sign} {factor!r}: use a whole number.") from None
    if factor < 1:
        raise ValueError(f"{size!r} {sign} {factor}: use a whole number of at least 1.")
    if factor == 1:
        return size
    if isinstance(size, Fixed):
        return Fixed(size.active * factor if sign == "*" else size.active // factor)
    if isinstance(size, SizeChoice):
        return Derived(size, ((sign, factor),))
    if isinstance(size, Derived):
        return Derived(size.choice, _and_then(size.steps, sign, factor))
    if sign == "*":
        return Concat(*(part * factor for part in size.parts()))
    raise TypeError(f"{size!r} cannot be divided, because no slice of a concatenation is a part of every tensor in it.")


def _and_then(steps: tuple[tuple[str, int], ...], sign: str, factor: int) -> tuple[tuple[str, int], ...]:
    """Return the steps and one more; two of a kind are one."""
    if steps[-1][0] == sign:
        return (*steps[:-1], (sign, steps[-1][1] * factor))
    return (*steps, (sign, factor))
