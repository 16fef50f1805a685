from __future__ import annotations

import copy
import pickle
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
from torch import nn

from autopanoptic.nas import Concat, Kernel, Width
from autopanoptic.nas.supernet import _nni


def test_a_width_is_its_largest_at_first() -> None:
    width = Width("w", [8, 4, 16])
    assert width.options == (4, 8, 16)
    assert (width.smallest, width.active, width.largest) == (4, 16, 16)
    assert repr(width) == "Width('w', [4, 8, 16])"


def test_options_may_be_a_range_or_numpys_numbers() -> None:
    assert Width("w", range(4, 17, 4)).options == (4, 8, 12, 16)
    assert all(type(option) is int for option in Width("w", np.array([4, 8])).options)


def test_weights_follow_their_options() -> None:
    assert Width("w", [8, 4], weights=[1, 3]).option_weights == (3, 1)


@pytest.mark.parametrize("kind", [Width, Kernel])
@pytest.mark.parametrize(
    ("label", "options", "message"),
    [
        ("w", [0, 3], "'w' has the option 0; .* at least 1"),
        ("w", [-1, 3], "option -1"),
        ("w", [3, 3], "equal options"),
        ("w", [], "no options"),
        ("w", [3.0, 5], r"option 3\.0"),
        ("w", [True, 3], "option True"),
        ("w", ["3"], "option '3'"),
        ("w", {3, 5}, "order may change"),
        ("", [3], "non-empty string"),
        ("a/b", [3], "without '/'"),
    ],
)
def test_refused_choices(kind: Any, label: str, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(label, options)


def test_kernels_are_odd_and_centred() -> None:
    with pytest.raises(ValueError, match="option 4; only odd"):
        Kernel("k", [3, 4])
    kernel = Kernel("k", [3, 7])
    kernel._active = 3
    assert kernel.spans() == [(2, 3)]


def test_what_is_worked_out_follows_the_choice() -> None:
    width = Width("w", [4, 8, 16])
    sizes = [width * 3, 3 * width, width // 2, width // 2 * 49, width * 2 // 3]
    assert [(size.smallest, size.active, size.largest) for size in sizes] == [
        (12, 48, 48), (12, 48, 48), (2, 8, 8), (98, 392, 392), (2, 10, 10)
    ]  # fmt: skip
    width._active = 8
    assert [size.active for size in sizes] == [24, 24, 4, 196, 5]
    assert (width * 1) is width
    assert all(size.choices() == (width,) for size in sizes)


def test_spans_of_a_concatenation() -> None:
    a, b = Width("a", [4, 8]), Width("b", [3, 6])
    size = Concat(a, 2, Concat(b * 2, a))
    assert size.largest == 8 + 2 + 12 + 8
    assert size.choices() == (a, b)
    a._active, b._active = 4, 3
    assert size.spans() == [(0, 4), (8, 2), (10, 6), (22, 4)]
    assert (size * 3).spans() == [(0, 12), (24, 6), (30, 18), (66, 12)]
    assert (size * 3).active == 3 * size.active == 3 * (4 + 2 + 6 + 4)


def test_what_is_no_slice_is_refused() -> None:
    width = Width("w", [4, 8])
    with pytest.raises(TypeError, match="cannot be divided"):
        Concat(width, width) // 2
    with pytest.raises(TypeError, match="whole number"):
        width * 1.5  # type: ignore[operator]
    with pytest.raises(ValueError, match="at least 1"):
        width // 0
    with pytest.raises(ValueError, match="Concat needs"):
        Concat()


@pytest.mark.parametrize(
    "use",
    [
        lambda w: w + 1,
        lambda w: 1 + w,
        lambda w: w - 1,
        lambda w: w / 2,
        lambda w: w % 2,
        lambda w: max(w, 8),
        int,
        range,
        lambda w: nn.Conv2d(3, w, 1),
    ],
)
def test_a_size_that_is_taken_for_a_number_says_what_it_is(use: Any) -> None:
    with pytest.raises(
        TypeError, match=r"Width\('w', \[4, 8\]\) is a size that an architecture chooses, and no number"
    ):
        use(Width("w", [4, 8]))


def test_whole_numbers_of_numpy() -> None:
    assert (Width("w", [4, 8]) * np.int64(2)).largest == 16
    assert Concat(np.int64(2), Width("w", [4, 8])).largest == 10


@pytest.mark.parametrize("sample", [None, {"w": 4, "v": 4}, {"w": 8, "v": 8}])
def test_sizes_are_equal_where_they_are_so_in_every_architecture(sample: dict[str, int] | None) -> None:
    with nullcontext() if sample is None else _nni.model_context(sample):
        w, again, v = Width("w", [4, 8]), Width("w", [4, 8]), Width("v", [4, 8])
        one, four = Width("one", [4]), Width("four", [4])
        equal = [(w, again), (w * 2, 2 * w), (w * 4 // 2, w * 2), (Concat(w, 1, 2), Concat(again, 3)), (one, four)]
        unequal = [(w, v), (w * 2, v * 2), (w, w // 2), (Concat(w, v), Concat(v, w)), (Concat(w, w), w * 2), (w, one)]
    assert all(a == b and not a != b and hash(a) == hash(b) for a, b in equal)  # noqa: SIM202
    assert all(a != b and not a == b for a, b in unequal)  # noqa: SIM201


def test_a_size_is_not_compared_with_a_number() -> None:
    width = Width("w", [4, 8])
    for compare in (lambda: width == 8, lambda: width != 8, lambda: width in (8, 9)):
        with pytest.raises(TypeError, match=r"Width\('w', \[4, 8\]\) is compared with 8"):
            compare()
    assert width != "8"
    assert width not in (None, "depthwise")


def test_numbers_while_a_single_architecture_is_built() -> None:
    with _nni.model_context({"w": 8, "k": 3}):
        width: Any = Width("w", [16, 8, 4])
        kernel: Any = Kernel("k", [3, 5])
        unused: Any = Width("unused", [2, 3])
        both: Any = Concat(width, width // 2, 5)
    assert isinstance(width, int)
    assert (width, kernel, unused, both, both * 2) == (8, 3, 3, 17, 34)
    assert (width.smallest, width.active, width.largest) == (4, 8, 16)
    assert (both.smallest, both.active, both.largest) == (4 + 2 + 5, 17, 16 + 8 + 5)
    for copied in (copy.deepcopy(both), pickle.loads(pickle.dumps(both))):
        assert (int(copied), copied.largest, copied.smallest, copied) == (17, 29, 11, both)
    assert Concat(3, 4) == 7  # type: ignore[comparison-overlap]


def test_a_wrong_choice_is_refused_there_too() -> None:
    with _nni.model_context({"w": 8}), pytest.raises(ValueError, match="equal options"):
        Width("w", [8, 8])


def test_copies_are_choices_also_while_a_single_architecture_is_built() -> None:
    sizes = [width := Width("w", [4, 8]), width * 2]
    with _nni.model_context({"w": 4}):
        copied, twice = copy.deepcopy(sizes)
        again, _ = pickle.loads(pickle.dumps(sizes))
    assert isinstance(copied, Width)
    assert copied is not width
    assert twice.choices() == (copied,)
    assert (again.label, again.options, again.active) == ("w", (4, 8), 8)
