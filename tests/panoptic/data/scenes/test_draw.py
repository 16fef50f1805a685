import numpy as np
import pytest

from autopanoptic.panoptic.data.scenes.draw import COUNT, HUE_SPREAD, draw_scene
from autopanoptic.panoptic.data.scenes.kinds import CATEGORIES, CONTEXT, STUFF, THINGS

BY_NAME = {category.name: category.id for category in CATEGORIES}


def draw(index, size=96):
    return draw_scene(np.random.default_rng([3, index]), size)


def boxes(truth, names):
    """The sides of the boxes of things of some names that no edge of the image cuts."""
    wanted, size = {BY_NAME[name] for name in names}, truth.ids.shape[0]
    for segment in truth.segments:
        if segment.category_id in wanted:
            rows, columns = np.nonzero(truth.ids == segment.id)
            if 0 < rows.min() <= rows.max() < size - 1 and 0 < columns.min() <= columns.max() < size - 1:
                yield np.ptp(rows) + 1, np.ptp(columns) + 1


@pytest.mark.parametrize("size", [32, 96, 130])
def test_scenes_are_consistent(size):
    for index in range(25):
        scene = draw(index, size)
        assert scene.image.shape == (size, size, 3)
        assert scene.image.dtype == np.uint8
        ids, counts = np.unique(scene.truth.ids, return_counts=True)
        areas = {s.id: s.area for s in scene.truth.segments}
        assert {i: n for i, n in zip(ids.tolist(), counts.tolist(), strict=True) if i} == areas
        assert min(areas.values()) >= 24 * (size / 96) ** 2
        stuff = [s.category_id for s in scene.truth.segments if not CATEGORIES[s.category_id].isthing]
        assert len(stuff) == len(set(stuff)) <= 3
        assert len(scene.truth.segments) - len(stuff) <= COUNT[1]


def test_every_category_and_void_occur():
    scenes = [draw(index) for index in range(120)]
    seen = [s.category_id for scene in scenes for s in scene.truth.segments]
    assert set(seen) == {c.id for c in CATEGORIES}
    assert min(seen.count(category.id) for category in CATEGORIES) >= 15
    void = np.mean([(scene.truth.ids == 0).mean() for scene in scenes])
    assert 0 < void < 0.03


def test_a_scene_depends_on_the_generator_only():
    first, second = draw(5), draw(5)
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.truth.ids, second.truth.ids)
    assert first.truth.segments == second.truth.segments
    assert not np.array_equal(first.image, draw(6).image)


def test_things_are_of_very_different_sizes():
    sides = np.array([box for index in range(150) for box in boxes(draw(index).truth, ["disc", "ring", "star"])])
    longest = sides.max(axis=1)
    assert (longest < 20).mean() > 0.1
    assert (longest > 40).mean() > 0.1


def test_stuff_colors_do_not_tell_the_class():
    means = {c.id: [] for c in CATEGORIES.stuff}
    for index in range(150):
        scene = draw(index)
        for segment in scene.truth.segments:
            if segment.category_id in means:
                means[segment.category_id].append(scene.image[scene.truth.ids == segment.id].mean(axis=0))
    centres = [np.mean(values, axis=0) for values in means.values()]
    spread = np.mean([np.std(values, axis=0) for values in means.values()])
    assert np.ptp(centres, axis=0).max() < spread


def test_hues_tell_families_apart_and_not_their_kinds():
    hues = [kind.hue for kind in THINGS.values()] + [THINGS[name].hue for name in CONTEXT]
    families = sorted(set(hues))
    assert np.diff([*families, families[0] + 1]).min() >= 2 * HUE_SPREAD - 1e-9
    assert sum(hues.count(hue) > 1 for hue in families) >= 4


def test_a_flower_is_named_by_the_stuff_that_it_lies_on():
    lily, on = CONTEXT["rose"]
    votes = {lily: [], "rose": []}
    for index in range(150):
        ids, segments = draw(index).truth.ids, draw(index).truth.segments
        category = {s.id: s.category_id for s in segments}
        for segment in segments:
            name = CATEGORIES[segment.category_id].name
            if name in votes:
                rows, columns = np.nonzero(ids == segment.id)
                near = ids[max(rows.min() - 3, 0) : rows.max() + 3, max(columns.min() - 3, 0) : columns.max() + 3]
                around = [category[i] for i in near[near != segment.id].tolist() if i]
                stuff = [BY_NAME[texture] in around for texture in on]
                votes[name].append(np.mean([c in {BY_NAME[t] for t in on} for c in around]) if any(stuff) else 0.0)
    assert min(map(len, votes.values())) > 20
    assert np.mean(votes[lily]) > 0.6
    assert np.mean(votes["rose"]) < 0.25


def test_slivers_become_void():
    hidden = 0
    for index in range(100):
        scene = draw(index)
        things = {c.id for c in CATEGORIES.things}
        smallest = min((s.area for s in scene.truth.segments if s.category_id in things), default=99)
        assert smallest >= 24
        hidden += int((scene.truth.ids == 0).any())
    assert hidden >= 3


def test_a_die_is_a_square_with_dark_marks():
    dark = {"die": [], "square": []}
    for index in range(60):
        scene = draw(index)
        for segment in scene.truth.segments:
            name = CATEGORIES[segment.category_id].name
            if name in dark:
                dark[name].append((scene.image[scene.truth.ids == segment.id].max(axis=1) < 100).mean())
    assert np.mean(dark["die"]) > 0.08
    assert np.mean(dark["square"]) < 0.02


def test_categories_are_things_then_stuff():
    assert [c.id for c in CATEGORIES] == list(range(1, len(CATEGORIES) + 1))
    assert [c.name for c in CATEGORIES.stuff] == list(STUFF)
    assert {c.name for c in CATEGORIES.things} == {*THINGS, *(name for name, _ in CONTEXT.values())}


def test_too_small_a_size_is_refused():
    with pytest.raises(ValueError, match="size=31: scenes need at least 32"):
        draw_scene(np.random.default_rng(0), 31)
