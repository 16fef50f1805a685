import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco

from autopanoptic.panoptic.data.converters.masks import Region, mask_of, paint, rle_of, rle_of_mask

MASK = arrays.arrays(bool, st.tuples(st.integers(1, 40), st.integers(1, 40)))


@given(MASK)
def test_rle_of_every_form_is_the_mask(mask):
    rle = rle_of_mask(mask)
    text = {"size": rle["size"], "counts": rle["counts"].decode()}
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *changes, flat.size]).tolist()
    counts = {"size": list(mask.shape), "counts": runs if not flat[0] else [0, *runs]}
    for form in (rle, text, counts):
        assert np.array_equal(mask_of(rle_of(form, *mask.shape)), mask)


def test_large_rle():
    mask = np.zeros((3000, 2000), bool)
    mask[100:2000, 50:1500] = True
    assert coco.area(rle_of(rle_of_mask(mask), 3000, 2000)) == 1900 * 1450


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ([], "has no mask"),
        (None, "has no mask"),
        ([[1, 1, 5, 5]], "a polygon of 4 numbers"),
        ([[1, 1, 5, 5, 3, 3, 2]], "a polygon of 7 numbers"),
        ([[1, 1, 5, 5, 3, float("nan")]], "not a list of finite numbers"),
        ([[1, 1, 5, 5, 3, "3"]], "not a list of finite numbers"),
        ([[1, 1, 5, 5, 3, 91]], "a coordinate beyond 90, far outside of the image"),
        ([[1, 1, 5, 5, 3, -(10**400)]], "a coordinate beyond 90, far outside of the image"),
        ({"size": [8, 9], "counts": [72]}, r"an RLE of height and width \[8, 9\], but the image has \[9, 8\]"),
        ({"size": [9, 8], "counts": [70]}, "do not add up to the 72 pixels"),
        ({"size": [9, 8], "counts": [80, -8]}, "do not add up to the 72 pixels"),
        ({"size": [9, 8], "counts": None}, "counts are NoneType"),
        ({"size": [9, 8], "counts": "no good"}, "does not cover the 72 pixels"),
        ({"size": [9, 8], "counts": rle_of_mask(np.ones((9, 9), bool))["counts"]}, "does not cover the 72 pixels"),
        ({"size": [9, 8], "counts": rle_of_mask(np.ones((9, 8), bool))["counts"][:-1]}, "does not cover the 72 pixels"),
    ],
)
def test_what_is_no_mask_is_refused(segmentation, message):
    with pytest.raises(ValueError, match=message):
        rle_of(segmentation, 9, 8)


def region(name, category, kind, rows, columns=slice(None)):
    mask = np.zeros((6, 6), bool)
    mask[rows, columns] = True
    return Region(name, category, kind, rle_of_mask(mask))


def categories_of(painted):
    return np.vectorize(lambda i: painted.categories.get(i, -1))(painted.ids)


def test_the_smaller_thing_lies_on_top_and_stuff_and_crowds_below():
    regions = [
        region("small", 1, "thing", slice(0, 1)),
        region("large", 2, "thing", slice(0, 3)),
        region("crowd", 1, "crowd", slice(2, 4)),
        region("sky", 5, "stuff", slice(3, 5), slice(0, 3)),
        region("more sky", 5, "stuff", slice(4, 5)),
        region("nothing", None, "void", slice(0, 2), slice(0, 1)),
    ]
    painted = paint(regions, (6, 6), rest=9)
    expected = np.repeat([1, 2, 2, 1, 5, 9], 6).reshape(6, 6)
    expected[:2, 0] = -1
    assert np.array_equal(categories_of(painted), expected)
    assert [painted.ids[3, 0]] == list(painted.crowds)
    assert len(painted.categories) == 5, "sky is one segment"
    assert np.array_equal(categories_of(paint(regions, (6, 6), rest=None))[5], np.full(6, -1))


def test_hidden_things_are_left_out_and_named():
    regions = [region("annotation 7", 1, "thing", slice(0, 2)), region("annotation 8", 2, "thing", slice(0, 2))]
    painted = paint(regions, (6, 6), rest=None)
    assert set(painted.categories.values()) == {2}
    assert painted.remarks == ("annotation 7 has no visible pixel and is left out",)


def test_the_order_of_the_file():
    regions = [region("small", 1, "thing", slice(0, 1)), region("large", 2, "thing", slice(0, 3))]
    assert categories_of(paint(regions, (6, 6), None, "file"))[0, 0] == 2
    assert categories_of(paint(regions, (6, 6), None, "area"))[0, 0] == 1
    with pytest.raises(ValueError, match="order='size' is none of area, file"):
        paint(regions, (6, 6), None, "size")


def test_the_rest_joins_what_is_annotated_of_it():
    painted = paint([region("wall", 3, "stuff", slice(0, 2))], (6, 6), rest=3)
    assert (painted.ids == painted.ids[0, 0]).all()
