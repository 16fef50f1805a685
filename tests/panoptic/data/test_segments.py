import numpy as np
import pytest
import torch

from autopanoptic.panoptic.data.segments import MAX_ID, PanopticMap, Segment, id_to_rgb, rgb_to_id


def test_id_is_red_then_green_then_blue():
    rgb = np.array([[[1, 0, 0], [0, 1, 0], [0, 0, 1], [255, 255, 255]]], dtype=np.uint8)
    ids = rgb_to_id(rgb)
    assert ids.dtype == np.uint32
    assert ids.tolist() == [[1, 256, 65536, MAX_ID]]


@pytest.mark.parametrize("dtype", [np.uint32, np.int32, np.int64, np.uint64])
def test_ids_survive_the_round_trip(dtype):
    ids = np.random.default_rng(0).integers(0, MAX_ID + 1, (40, 50)).astype(dtype)
    rgb = id_to_rgb(ids)
    assert rgb.dtype == np.uint8
    assert rgb.shape == (40, 50, 3)
    np.testing.assert_array_equal(rgb_to_id(rgb), ids)


def test_small_integer_types_are_encoded_without_overflow():
    np.testing.assert_array_equal(rgb_to_id(id_to_rgb(np.array([[0, 255]], dtype=np.uint8))), [[0, 255]])
    np.testing.assert_array_equal(rgb_to_id(id_to_rgb(np.zeros((0, 5), np.int16))), np.zeros((0, 5)))


@pytest.mark.parametrize("value", [-1, MAX_ID + 1])
def test_ids_that_do_not_fit_are_refused(value):
    with pytest.raises(ValueError, match=str(value)):
        id_to_rgb(np.array([[5, value]]))


@pytest.mark.parametrize("ids", [np.zeros((2, 2)), np.zeros((2, 2, 1), int), np.zeros((2, 2), bool)])
def test_maps_that_are_not_integers_are_refused(ids):
    with pytest.raises(ValueError, match="map of integers"):
        id_to_rgb(ids)
    with pytest.raises(ValueError, match="map of integers"):
        PanopticMap(ids, ())
    with pytest.raises(ValueError, match="map of integers"):
        PanopticMap(torch.from_numpy(ids), ())


@pytest.mark.parametrize("rgb", [np.zeros((2, 2), np.uint8), np.zeros((2, 2, 4), np.uint8), np.zeros((2, 2, 3))])
def test_colors_of_another_shape_or_type_are_refused(rgb):
    with pytest.raises(ValueError, match=r"\(H, W, 3\) of uint8"):
        rgb_to_id(rgb)


def test_map_gives_its_size_and_shares_memory_with_a_tensor():
    ids = torch.zeros(3, 4, dtype=torch.int32)
    panoptic = PanopticMap(ids, (Segment(1, 7, 1),))
    assert panoptic.size == (3, 4)
    panoptic.numpy()[0, 0] = 1
    assert ids[0, 0] == 1


def test_segment_ids_are_checked():
    ids = np.zeros((2, 2), int)
    with pytest.raises(ValueError, match="segment id 9 occurs more than once"):
        PanopticMap(ids, (Segment(9, 1, 1), Segment(9, 2, 1)))
    for wrong in (0, -3, MAX_ID + 1):
        with pytest.raises(ValueError, match=f"segment id {wrong} is not in"):
            PanopticMap(ids, (Segment(4, 1, 1), Segment(wrong, 1, 1)))
