"""Python's search for cycles of objects, which is put off while very many objects are made that form none."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_search_for_cycles() -> Iterator[None]:
    """Put it off in the block, in all threads; it would look through the same objects again and again.

    What is there at the end counts as old, so that the next search for young ones does not look through it either.
    """
    searches = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if searches and not gc.get_freeze_count():  # else the program has frozen what shall stay so
            gc.freeze()
            gc.unfreeze()
        if searches:
            gc.enable()
