"""Progressive shrinking: a schedule of spaces, each of which holds the one before it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from itertools import pairwise

from autopanoptic.nas.space.architecture import Architecture, Option
from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.supernet.paths import PathSampler, UniformPaths


class ShrinkingPaths:
    """Paths of larger and larger spaces: first of the largest network alone, say, then of smaller ones as well.

    Progressive shrinking (once-for-all, Cai et al. 2020, "Train one network and specialize it for efficient
    deployment", section on progressive shrinking) trains the largest network, then lets kernels
    shrink, then depths, then widths, while what was open before stays so. :func:`opened` makes such spaces. The paper
    starts every phase with a learning rate of its own, which is the schedule's matter, and distils from the largest
    network as it was after the first phase; to distil from the largest path of the same update, let ``sampler`` make
    :class:`SandwichPaths`.

    A path depends on the pass alone, as with every sampler, so a resumed training goes on in the right phase.

    Args:
        spaces: by the pass from which each is used; the first from pass 0.
        sampler: makes the sampler of a space.

    Raises:
        ValueError: when no space begins at pass 0, a space lacks options of the one before it, the samplers' cycles
            have different lengths, or a space begins inside of a cycle.
    """

    def __init__(
        self, spaces: Mapping[int, SearchSpace], sampler: Callable[[SearchSpace], PathSampler] = UniformPaths
    ) -> None:
        phases = sorted(spaces.items())
        if not phases or phases[0][0] != 0:
            raise ValueError(f"The spaces begin at the passes {[start for start, _ in phases]}; one must begin at 0.")
        for (_, earlier), (start, later) in pairwise(phases):
            _check_nested(earlier, later, start)
        self._phases = [(start, sampler(space)) for start, space in reversed(phases)]
        self.space = phases[-1][1]
        self.cycle = self._phases[0][1].cycle
        for start, paths in self._phases:
            if paths.cycle != self.cycle:
                raise ValueError(
                    f"The cycles of the spaces have {paths.cycle} paths from pass {start} on and {self.cycle} at the "
                    "end; let the sampler make cycles of one length, such as FairPaths(space, length=12)."
                )
            if start % self.cycle:
                raise ValueError(
                    f"A space begins at pass {start}, inside of a cycle of {self.cycle} paths; let it begin at "
                    f"{start - start % self.cycle + self.cycle}."
                )

    @property
    def roles(self) -> tuple[str, ...] | None:
        """What the paths of a cycle are, where the samplers of all spaces say the same; see :class:`SandwichPaths`."""
        found = {getattr(paths, "roles", None) for _, paths in self._phases}
        return found.pop() if len(found) == 1 else None

    def path(self, step: int) -> Architecture:
        """Return the architecture of forward pass ``step``, from 0."""
        return next(paths for start, paths in self._phases if start <= step).path(step)


def opened(space: SearchSpace, largest: Mapping[str, Option], labels: Collection[str]) -> SearchSpace:
    """Return the part of a space in which some choices are free and all others as in the largest architecture.

    Args:
        space: the whole space.
        largest: whose options the other choices keep. A choice that it does not make keeps all its options.
        labels: the free choices.

    Raises:
        ValueError: when the space has no choice of such a label.
    """
    for label in labels:
        if label not in {choice.label for choice in space.choices}:
            raise ValueError(f"The space has no choice {label!r}; it has {[choice.label for choice in space.choices]}.")
    return space.restricted({label: [option] for label, option in largest.items() if label not in labels})


def _check_nested(earlier: SearchSpace, later: SearchSpace, start: int) -> None:
    options = {choice.label: set(choice.options) for choice in later.choices}
    for choice in earlier.choices:
        missing = [option for option in choice.options if option not in options.get(choice.label, ())]
        if missing:
            raise ValueError(
                f"The space from pass {start} on has no option {missing[0]!r} of {choice.label!r}, which the one "
                "before it has; each space must hold the one before it."
            )
