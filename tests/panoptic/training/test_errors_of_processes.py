"""Errors that end a process of a training."""

from __future__ import annotations

import pytest
from torch.multiprocessing.spawn import ProcessRaisedException

from autopanoptic.panoptic.training.terminal import same_errors

HEAD = """

-- Process 1 terminated with the following error:
Traceback (most recent call last):
  File "a.py", line 3, in <module>
    train()
"""
CAUSE = "OSError: truncated\n\nThe above exception was the direct cause of the following exception:\n" + HEAD


@pytest.mark.parametrize(
    ("end", "kind", "message"),
    [
        ("FloatingPointError: The loss of pass 0 is nan", FloatingPointError, "The loss of pass 0 is nan"),
        (f"{CAUSE}ValueError: x.jpg: cannot be decoded", ValueError, "x.jpg: cannot be decoded"),
        ("a.b.DatasetError: two problems:\n  one\n  two", ValueError, "two problems:\n  one\n  two"),
        ("FileNotFoundError: no x.jpg", FileNotFoundError, "no x.jpg"),
    ],
)
def test_what_tells_the_user_what_to_do_is_raised_as_it_was(end: str, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught, same_errors():
        raise ProcessRaisedException(f"{HEAD}{end}\n", 1, 12)
    assert type(caught.value) is kind
    assert str(caught.value) == message


def test_other_errors_keep_their_traceback() -> None:
    with pytest.raises(ProcessRaisedException, match="line 3"), same_errors():
        raise ProcessRaisedException(f"{HEAD}KeyError: 'a'", 1, 12)
