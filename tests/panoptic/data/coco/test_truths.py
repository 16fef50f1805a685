import numpy as np
import pytest

from autopanoptic.panoptic.data.coco import reader
from autopanoptic.panoptic.data.coco.truths import Truths


@pytest.fixture
def dataset(folder):
    folder.add(np.array([[1, 70_000], [0, 1]]), {1: 10, 70_000: 1}, crowds=[70_000])
    folder.add(np.arange(1, 301).reshape(3, 100), dict.fromkeys(range(1, 301), 1))  # more than a byte can tell apart
    return folder.open()


@pytest.mark.parametrize(("memory", "times"), [(4 + 300, 1), (4 + 299, 3)])
def test_truths_are_the_data_sets_and_decoded_once_where_they_may_be_kept(dataset, monkeypatch, memory, times):
    expected = [dataset.truth(index) for index in range(2)]
    seen, read = [], reader.read_coded_ids
    monkeypatch.setattr(reader, "read_coded_ids", lambda path: seen.append(path) or read(path))
    truths = Truths(dataset, memory)
    assert seen == []
    for _ in range(3):
        for index, truth in enumerate(expected):
            found = truths[index]
            np.testing.assert_array_equal(found.ids, truth.ids)
            assert found.ids.dtype == np.uint32
            assert found.segments == truth.segments
    assert len(seen) == 2 * times


def test_a_truth_that_cannot_be_read_is_named(dataset):
    dataset.png_path(1).write_bytes(b"no PNG")
    truths = Truths(dataset)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"2\.png: cannot be decoded"):
            truths[1]
