from collections import Counter
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autopanoptic.panoptic.data.loading.sampler import WINDOW, Draw, StepBatches


def sizes(landscape, portrait=0):
    return np.array([(3, 4)] * landscape + [(4, 3)] * portrait)


def test_batches_depend_on_seed_and_step_alone():
    whole = list(StepBatches(sizes(7, 5), 3, seed=2, stop=100))
    assert [next(iter(StepBatches(sizes(7, 5), 3, seed=2, start=k))) for k in range(100)] == whole
    assert list(StepBatches(sizes(7, 5), 3, seed=2, start=41, stop=100)) == whole[41:]
    jumping = StepBatches(sizes(7, 5), 3, seed=2)
    assert [jumping.batch(k) for k in (90, 3, 64, 3)] == [whole[k] for k in (90, 3, 64, 3)]
    assert [[d.image for d in b] for b in StepBatches(sizes(7, 5), 3, seed=3, stop=100)] != [
        [d.image for d in b] for b in whole
    ]


def test_draws_carry_different_entropy():
    draws = [draw for batch in StepBatches(sizes(2), 4, stop=50) for draw in batch]
    assert len({draw.seed for draw in draws}) == 200
    assert draws[0] == Draw(draws[0].image, (0, 0, 0))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(0, 40), st.integers(1, 7), st.booleans(), st.integers(0, 9))
def test_images_are_drawn_equally_often(landscape, portrait, batch_size, group, seed):
    n = landscape + portrait
    steps = 2 * WINDOW
    batches = list(StepBatches(sizes(landscape, portrait), batch_size, seed, stop=steps, group=group))
    assert all(len(batch) == batch_size for batch in batches)
    counts = Counter(draw.image for batch in batches for draw in batch)
    times = [counts[image] for image in range(n)]
    assert max(times) - min(times) <= 1
    assert sum(times) == steps * batch_size


def test_aspects_are_kept_apart():
    batches = list(StepBatches(sizes(300, 200), 4, stop=3 * WINDOW))
    mixed = [len({draw.image < 300 for draw in batch}) > 1 for batch in batches]
    assert all(sum(mixed[w * WINDOW : (w + 1) * WINDOW]) <= 1 for w in range(3))
    first = [batch[0].image < 300 for batch in batches]
    assert first != sorted(first)  # orientations alternate within a window
    loose = StepBatches(sizes(300, 200), 4, stop=3 * WINDOW, group=False)
    assert sum(len({draw.image < 300 for draw in batch}) > 1 for batch in loose) > 50


def test_processes_share_each_batch():
    whole = list(StepBatches(sizes(9, 4), 6, seed=1, stop=40))
    parts = [list(StepBatches(sizes(9, 4), 6, seed=1, stop=40, rank=r, world=3)) for r in range(3)]
    for step, batch in enumerate(whole):
        assert sorted(draw for part in parts for draw in part[step]) == sorted(batch)
        assert all(len(part[step]) == 2 for part in parts)


def test_length():
    assert len(StepBatches(sizes(3), 2, start=3, stop=10)) == 7
    endless = StepBatches(sizes(3), 2, start=3)
    with pytest.raises(TypeError, match="no length"):
        len(endless)
    assert len(list(islice(endless, 500))) == 500


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sizes": np.zeros((0, 2), int)}, "0 images"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"seed": -1}, "seed=-1"),
        ({"start": 5, "stop": 4}, "start=5, stop=4"),
        ({"start": -1}, "start=-1"),
        ({"rank": 2, "world": 2}, "rank=2, world=2"),
        ({"world": 3}, "share a batch evenly"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        StepBatches(**{"sizes": sizes(3), "batch_size": 2, **arguments})
