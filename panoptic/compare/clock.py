"""How long a training took, counted over interruptions: what was lost with them and done again counts once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from autopanoptic.panoptic.results.json_files import read_object, write_object

SECONDS = "seconds.json"
_Times = tuple[float, float]


class Clock:
    """Takes the time of a training's passes.

    Args:
        folder: Of the training; gets ``seconds.json``.
        every: Passes between two checkpoints, from the last of which a training goes on.
        passes: Of the whole training.
        on_pass: Called with the passes done.
    """

    def __init__(self, folder: Path, every: int, passes: int, on_pass: Callable[[int], None] | None = None) -> None:
        self._path, self._every, self._passes, self._on_pass = folder / SECONDS, every, passes, on_pass
        self._known: dict[int, _Times] = _read(self._path)
        self._begun = _now()
        self._before: _Times | None = None

    def passed(self, done: int) -> None:
        """Take note that so many passes are done."""
        if self._before is None:
            kept = [passes for passes in self._known if passes < done]
            self._before = self._known[max(kept)] if kept else (0.0, 0.0)
            self._known = {passes: self._known[passes] for passes in kept}
        if done % self._every == 0 or done == self._passes:
            self._known[done] = self._since()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_object(self._path, {str(passes): times for passes, times in self._known.items()}, indent=None)
        if self._on_pass is not None:
            self._on_pass(done)

    @property
    def seconds(self) -> _Times:
        """Seconds by the clock, and of this process, of the whole training; NaN where nothing has noted them."""
        return self._known.get(self._passes, (float("nan"), float("nan")))

    def _since(self) -> _Times:
        assert self._before is not None
        wall, own = _now()
        return self._before[0] + wall - self._begun[0], self._before[1] + own - self._begun[1]


def _now() -> _Times:
    return time.monotonic(), time.process_time()


def _read(path: Path) -> dict[int, _Times]:
    if not path.exists():
        return {}
    try:
        return {int(passes): (float(wall), float(own)) for passes, (wall, own) in read_object(path).items()}
    except (ValueError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is damaged: {error}; delete it, for nothing but times is lost") from error
