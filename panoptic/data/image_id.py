"""Ids of images: integers as in COCO, or text as cityscapesScripts and other converters write them."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import TypeAlias

ImageId: TypeAlias = int | str


def is_image_id(value: object) -> bool:
    """Whether a value of a JSON is an id: an integer or text that is not empty."""
    return bool(value) if isinstance(value, str) else isinstance(value, int) and not isinstance(value, bool)


def faults_of_ids(ids: Iterable[ImageId]) -> list[str]:
    """Say why ids of a set cannot stand together in one array: they are not of one kind, or too large."""
    known = list(ids)
    numbers = [i for i in known if isinstance(i, int)]
    found = [f"image {i}: the id does not fit into 64 bits" for i in numbers if not -(2**63) <= i < 2**63]
    text = next((i for i in known if isinstance(i, str)), None)
    if numbers and text is not None:
        found.append(f"some image ids are integers ({numbers[0]}), others text ({text!r}); give all one kind")
    return found


def image_id_of(value: object) -> ImageId:
    """Returns an id of numpy's or torch's as Python's, which JSON can hold.

    Raises:
        ValueError: If it is neither an integer nor text.
    """
    # numpy's text is a str, but not one that compares and prints like Python's everywhere.
    plain: object = str(value) if isinstance(value, str) else value
    if not isinstance(value, (str, bool)) and hasattr(value, "__index__"):
        try:
            # A tensor that holds a truth value has an index too.
            plain = None if str(getattr(value, "dtype", "")) == "torch.bool" else operator.index(value)
        except TypeError:  # an array or tensor of several values, or of floats
            plain = None
    if not is_image_id(plain):
        raise ValueError(f"image id {value!r} of type {type(value).__name__} is neither an integer nor text")
    assert isinstance(plain, (int, str))
    return plain
