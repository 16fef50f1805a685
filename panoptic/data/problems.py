"""Collects what is wrong with a data set, so that one error reports all of it."""

from __future__ import annotations

from collections.abc import Sequence

LISTED = 10
"""Problems that an error message spells out."""


class DatasetError(ValueError):
    """A data set breaks the COCO panoptic format.

    Args:
        source: The data set or file, as the reader knows it.
        problems: What is wrong, one sentence each.

    Attributes:
        problems: All of them; the message lists the first ten.
    """

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        self.source = source
        self.problems = tuple(problems)
        count = len(self.problems)
        lines = [f"{source}: {count} problem{'s' if count != 1 else ''}"]
        lines += [f"  - {problem}" for problem in self.problems[:LISTED]]
        if count > LISTED:
            lines.append(f"  ... and {count - LISTED} more (in this error's `problems`)")
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[type[DatasetError], tuple[str, tuple[str, ...]]]:
        # By default an exception is rebuilt from its message alone, in whatever process receives it.
        return DatasetError, (self.source, self.problems)
