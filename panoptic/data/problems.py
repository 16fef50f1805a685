"""Collects what is wrong with a data set, so that one error reports all of it."""

from __future__ import annotations

from collections.abc import Sequence

LISTED = 10
"""Sentences that a message spells out."""


class DatasetWarning(UserWarning):
    """Something about a data set that may be meant, and is better looked at.

    Args:
        source: The data set or file, as the reader knows it.
        remarks: What is to be looked at, one sentence each.

    Attributes:
        remarks: All of them; the message lists the first ten.
    """

    def __init__(self, source: str, remarks: Sequence[str]) -> None:
        self.source, self.remarks = source, tuple(remarks)
        super().__init__(_listed(source, self.remarks, "remark", "remarks"))

    def __reduce__(self) -> tuple[type[DatasetWarning], tuple[str, tuple[str, ...]]]:
        return DatasetWarning, (self.source, self.remarks)


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
        super().__init__(_listed(source, self.problems, "problem", "problems"))

    def __reduce__(self) -> tuple[type[DatasetError], tuple[str, tuple[str, ...]]]:
        # By default an exception is rebuilt from its message alone, in whatever process receives it.
        return DatasetError, (self.source, self.problems)


def _listed(source: str, found: Sequence[str], one: str, many: str) -> str:
    lines = [f"{source}: {len(found)} {one if len(found) == 1 else many}"]
    lines += [f"  - {sentence}" for sentence in found[:LISTED]]
    if len(found) > LISTED:
        lines.append(f"  ... and {len(found) - LISTED} more (in the attribute `{many}`)")
    return "\n".join(lines)
