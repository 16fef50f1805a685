"""What a search is made of, looked at before it begins."""

from __future__ import annotations

from types import NoneType

from autopanoptic.nas.space.space import SearchSpace
from autopanoptic.nas.stopping.base import Stopper
from autopanoptic.nas.strategy import Strategy


def check_parts(space: SearchSpace, strategy: Strategy, stopper: Stopper | None) -> None:
    """Refuse what is no space, no strategy or no stopper.

    Raises:
        TypeError: names the first that is none.
    """
    if not isinstance(strategy, Strategy):
        raise TypeError(f"A strategy is an object that derives from Strategy, such as Evolution(), not {strategy!r}.")
    if not isinstance(stopper, (Stopper, NoneType)):
        raise TypeError(
            f"A stopper is an object that derives from Stopper, such as SuccessiveHalving(), not {stopper!r}."
        )
    if not isinstance(space, SearchSpace):
        raise TypeError(f"A space is a SearchSpace, such as SearchSpace([Choice('a', [1, 2])]), not {space!r}.")
