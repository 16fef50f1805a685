"""The building blocks of a weight-sharing search space: NNI's mutable modules with the library's rules.

Labels are explicit and unique. Two choices that carry the same label are tied, always taking the same option, and
that has to be asked for with ``tied=True`` on each of them.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from autopanoptic.nas.supernet import _nni

RESERVED_OPTIONS = frozenset(
    {"choice", "names", "training", "tied", "trace_args", "trace_kwargs", "length", "key", "reduction", "return_mask"}
)
MAX_INPUT_COMBINATIONS = 1024


class ModelSpace(_nni.ModelSpace):
    """Base class of a network that holds choices.

    Write it as any ``torch.nn.Module``; the constructor must build the network from its arguments alone, because
    :meth:`autopanoptic.nas.Supernet.subnet` calls it again to build a single architecture. Construction is
    serialised by one process-wide lock, since NNI keeps its context in process-wide stacks.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        build = cls.__init__

        @functools.wraps(build)
        def locked(self: ModelSpace, *args: Any, **keywords: Any) -> None:
            with _nni.CONSTRUCTION_LOCK:
                build(self, *args, **keywords)

        cls.__init__ = locked  # type: ignore[assignment, method-assign]


class LayerChoice(_nni.LayerChoice):
    """A place in the network that holds one of several layers.

    Args:
        candidates: the options by name, or a list whose indices become the options.
        label: the choice's name in the search space.
        tied: whether other choices may carry the same label and so always take the same option.
        weights: prior weights of the options, see :class:`Choice`.

    Raises:
        TypeError: for a candidate that is not a module.
        ValueError: for an empty set of candidates, or a label or an option name that NNI cannot carry.
    """

    def __init__(
        self,
        candidates: Mapping[str, nn.Module] | Sequence[nn.Module],
        *,
        label: str,
        tied: bool = False,
        weights: Sequence[float] | None = None,
    ) -> None:
        check_label(label)
        super().__init__(_candidates(label, candidates), label=label)
        self.tied = tied
        self.option_weights = None if weights is None else tuple(weights)  # NNI has another use for "weights"

    @classmethod
    def create_fixed_module(
        cls,
        sample: dict[str, Any],
        candidates: Any,
        *,
        label: str,
        tied: bool = False,
        weights: Sequence[float] | None = None,
    ) -> nn.Module:
        """Return the candidate that ``sample`` names; NNI calls this while it builds a single architecture."""
        fixed: nn.Module = super().create_fixed_module(sample, _candidates(label, candidates), label=label)
        return fixed

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the active candidate on the given arguments."""
        return self._modules[str(self._dry_run_choice)](*args, **kwargs)


class InputChoice(_nni.InputChoice):
    """A place that takes some of several tensors.

    Args:
        n_candidates: how many tensors are offered.
        n_chosen: how many are taken; None for any number from one up.
        reduction: how several are combined: ``"sum"``, ``"mean"``, ``"concat"`` (dimension 1) or ``"none"`` (a list).
        label: the choice's name in the search space.
        tied: whether other choices may carry the same label and so always take the same inputs.

    An option is an index where one tensor is taken, else a string of indices such as ``"0+2"``.
    """

    def __init__(
        self,
        n_candidates: int,
        n_chosen: int | None = 1,
        reduction: str = "sum",
        *,
        label: str,
        tied: bool = False,
    ) -> None:
        check_label(label)
        self.combinations(n_candidates, n_chosen)
        super().__init__(n_candidates, n_chosen, reduction, label=label)
        self.tied = tied

    @classmethod
    def create_fixed_module(
        cls,
        sample: dict[str, Any],
        n_candidates: int,
        n_chosen: int | None = 1,
        reduction: str = "sum",
        *,
        label: str,
        tied: bool = False,
    ) -> nn.Module:
        """Return the fixed selection that ``sample`` names; NNI calls this to build a single architecture."""
        fixed: nn.Module = super().create_fixed_module(sample, n_candidates, n_chosen, reduction, label=label)
        return fixed

    @staticmethod
    def combinations(n_candidates: int, n_chosen: int | None) -> list[tuple[int, ...]]:
        """Return every selection of inputs, in lexicographic order of size and indices.

        Raises:
            ValueError: when the selection is impossible or has more than 1,024 options.
        """
        if n_candidates < 1 or (n_chosen is not None and not 1 <= n_chosen <= n_candidates):
            raise ValueError(f"InputChoice cannot take n_chosen={n_chosen} of n_candidates={n_candidates} inputs.")
        sizes = range(1, n_candidates + 1) if n_chosen is None else (n_chosen,)
        selections = itertools.chain.from_iterable(itertools.combinations(range(n_candidates), size) for size in sizes)
        found = list(itertools.islice(selections, MAX_INPUT_COMBINATIONS + 1))
        if len(found) > MAX_INPUT_COMBINATIONS:
            raise ValueError(
                f"InputChoice with n_candidates={n_candidates}, n_chosen={n_chosen} has more than "
                f"{MAX_INPUT_COMBINATIONS} options; split it into several choices."
            )
        return found


class Repeat(_nni.Repeat):
    """A stack of blocks of which a prefix runs.

    Args:
        blocks: a function from the index to the block, so that choices inside get labels of their own.
        depth: how many blocks: a number, or (fewest, most) for a choice.
        label: the choice's name in the search space; needed when ``depth`` is a range.
        tied: whether other choices may carry the same label and so always take the same depth.
    """

    def __init__(
        self,
        blocks: Callable[[int], nn.Module],
        depth: int | tuple[int, int],
        *,
        label: str | None = None,
        tied: bool = False,
    ) -> None:
        if isinstance(depth, tuple) and label is None:
            raise ValueError(f"Repeat with depth={depth} is a choice and needs a label.")
        if label is not None:
            check_label(label)
        ends = depth if isinstance(depth, tuple) else (depth, depth)
        if len(ends) != 2 or any(not isinstance(end, int) or isinstance(end, bool) for end in ends):
            raise ValueError(f"Repeat cannot have depth={depth!r}; it is a whole number or a tuple (fewest, most).")
        fewest, most = ends
        if not 0 <= fewest <= most or most < 1:
            raise ValueError(f"Repeat cannot have depth={depth}; use 0 <= fewest <= most and most >= 1.")
        super().__init__(blocks, depth, label=label)
        self.tied = tied

    @classmethod
    def create_fixed_module(
        cls,
        sample: dict[str, Any],
        blocks: Callable[[int], nn.Module],
        depth: int | tuple[int, int],
        *,
        label: str | None = None,
        tied: bool = False,
    ) -> nn.Module:
        """Return a sequence of the depth that ``sample`` names; NNI calls this to build a single architecture."""
        fixed: nn.Module = super().create_fixed_module(sample, blocks, depth, label=label)
        return fixed

    def forward(self, x: Tensor) -> Tensor:
        """Run the active prefix of the blocks."""
        for block in itertools.islice(self.blocks, self._dry_run_depth):
            x = block(x)
        return x


def check_label(label: str) -> None:
    """Raise ValueError for a label that a choice in a network cannot have."""
    if not isinstance(label, str) or not label or "/" in label:
        raise ValueError(f"Label {label!r} must be a non-empty string without '/'.")


def _candidates(label: str, candidates: Mapping[str, nn.Module] | Sequence[nn.Module]) -> Any:
    """Return the candidates as NNI takes them: a dictionary or a list."""
    if not candidates:
        raise ValueError(f"LayerChoice {label!r} has no candidates; give it at least one module.")
    found = dict(candidates) if isinstance(candidates, (Mapping, nn.ModuleDict)) else list(candidates)
    for name, module in found.items() if isinstance(found, dict) else enumerate(found):
        if isinstance(found, dict):
            _check_option(label, name)
        if not isinstance(module, nn.Module):
            raise TypeError(f"Candidate {name!r} of LayerChoice {label!r} must be a module, not {module!r}.")
    return found


def _check_option(label: str, name: object) -> None:
    # torch registers no module under the name of an attribute; it would say so without the label.
    if (
        not isinstance(name, str)
        or not name
        or "." in name
        or name.startswith("_")
        or name in RESERVED_OPTIONS
        or hasattr(LayerChoice, name)
    ):
        raise ValueError(
            f"Option {name!r} of LayerChoice {label!r} cannot be a module's name: it must be a non-empty string "
            "without a dot or a leading underscore, and no attribute of a module such as 'forward' or 'float'."
        )
