import numpy as np
import pytest

from autopanoptic.panoptic.data.scenes import shapes, textures
from autopanoptic.panoptic.data.scenes.draw import LEVELS, draw_scene, level


def draw(index, size=96, difficulty="easy"):
    return draw_scene(np.random.default_rng([3, index]), size, difficulty)


@pytest.mark.parametrize("difficulty", ["easy", "varied"])
@pytest.mark.parametrize("size", [32, 96, 130])
def test_scenes_are_consistent(size, difficulty):
    categories = level(difficulty).categories
    for index in range(25):
        scene = draw(index, size, difficulty)
        assert scene.image.shape == (size, size, 3)
        assert scene.image.dtype == np.uint8
        ids, counts = np.unique(scene.truth.ids, return_counts=True)
        areas = {s.id: s.area for s in scene.truth.segments}
        assert {i: n for i, n in zip(ids.tolist(), counts.tolist(), strict=True) if i} == areas
        assert min(areas.values()) >= 24 * (size / 96) ** 2
        stuff = [s.category_id for s in scene.truth.segments if not categories[s.category_id].isthing]
        assert len(stuff) == len(set(stuff)) <= 3
        assert len(scene.truth.segments) - len(stuff) <= 6


@pytest.mark.parametrize("difficulty", ["easy", "varied"])
def test_every_category_and_void_occur(difficulty):
    scenes = [draw(index, 96, difficulty) for index in range(120)]
    seen = {s.category_id for scene in scenes for s in scene.truth.segments}
    assert seen == {c.id for c in level(difficulty).categories}
    void = np.mean([(scene.truth.ids == 0).mean() for scene in scenes])
    assert 0 < void < 0.03


def test_a_scene_depends_on_the_generator_only():
    first, second = draw(5), draw(5)
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.truth.ids, second.truth.ids)
    assert first.truth.segments == second.truth.segments
    assert not np.array_equal(first.image, draw(6).image)


def test_stuff_colors_do_not_tell_the_class():
    means = {c.id: [] for c in level("easy").categories.stuff}
    for index in range(150):
        scene = draw(index)
        for segment in scene.truth.segments:
            if segment.category_id in means:
                means[segment.category_id].append(scene.image[scene.truth.ids == segment.id].mean(axis=0))
    centres = [np.mean(values, axis=0) for values in means.values()]
    spread = np.mean([np.std(values, axis=0) for values in means.values()])
    assert np.ptp(centres, axis=0).max() < spread / 2


def test_the_flower_is_a_lily_on_noise_and_a_rose_elsewhere():
    by_name = {c.name: c.id for c in level("varied").categories}
    votes = {"lily": [], "rose": []}
    for index in range(150):
        scene = draw(index, 96, "varied")
        ids = scene.truth.ids
        ground = {s.id: s.category_id for s in scene.truth.segments}
        for segment in scene.truth.segments:
            name = next(n for n, c in by_name.items() if c == segment.category_id)
            if name in votes:
                rows, columns = np.nonzero(ids == segment.id)
                near = ids[max(rows.min() - 3, 0) : rows.max() + 3, max(columns.min() - 3, 0) : columns.max() + 3]
                around = [ground[i] == by_name["noise"] for i in near[near != segment.id].tolist() if i]
                votes[name].append(np.mean(around))
    assert np.mean(votes["lily"]) > 0.6
    assert np.mean(votes["rose"]) < 0.15


def test_slivers_become_void():
    hidden = 0
    for index in range(100):
        scene = draw(index)
        things = {c.id for c in level("easy").categories.things}
        smallest = min((s.area for s in scene.truth.segments if s.category_id in things), default=99)
        assert smallest >= 24
        hidden += int((scene.truth.ids == 0).any())
    assert hidden > 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"size": 31}, "size=31: scenes need at least 32"), ({"difficulty": "hard"}, "choose one of easy, varied")],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        draw_scene(np.random.default_rng(0), **arguments)


def plane():
    ticks = np.linspace(-1.5, 1.5, 301, dtype=np.float32)
    return np.meshgrid(ticks, ticks)


@pytest.mark.parametrize("kind", [k for kinds in LEVELS.values() for k in kinds.things.values()])
def test_shapes_are_centred_and_stay_near_the_radius(kind):
    u, v = plane()
    inside = kind.shape(u, v)
    assert inside.any()
    assert np.hypot(u, v)[inside].max() < 1.25
    assert inside.mean() * 9 > 0.25  # area in units of the squared radius


def area(shape):
    return shape(*plane()).mean() * 9


def test_areas_of_shapes():
    assert area(shapes.circle) == pytest.approx(np.pi, rel=0.02)
    assert area(shapes.square) == pytest.approx(1.7**2, rel=0.03)
    assert area(shapes.triangle) == pytest.approx(3 * np.sqrt(3) / 4 * 1.2**2, rel=0.03)
    assert area(shapes.ring) == pytest.approx(np.pi * (1 - shapes.HOLE**2), rel=0.03)
    assert area(shapes.arc) == pytest.approx((1 - shapes.GAP) * area(shapes.ring), rel=0.03)
    assert area(shapes.cross) == pytest.approx(2 * area(shapes.bar) - (2 * shapes.ARM) ** 2, rel=0.03)


@pytest.mark.parametrize("texture", LEVELS["varied"].stuff.values())
def test_textures_vary_within_their_range(texture):
    x, y = np.meshgrid(np.arange(96, dtype=np.float32), np.arange(96, dtype=np.float32))
    values = texture(x, y, np.random.default_rng(0))
    assert values.shape == x.shape
    assert values.dtype == np.float32
    assert np.abs(values).max() <= 1
    assert abs(values.mean()) < 0.15
    assert values.std() > 0.4


def test_bands_have_a_long_period_and_stripes_have_not():
    x, y = np.meshgrid(np.arange(96, dtype=np.float32), np.arange(96, dtype=np.float32))

    def slowest(texture, seed):
        # Squaring removes the sign of the fast wave and leaves the envelope.
        power = np.abs(np.fft.fft2(texture(x, y, np.random.default_rng(seed)) ** 2))
        power[0, 0] = 0
        return power.max() / 96**2

    assert all(slowest(textures.bands, seed) > 0.1 for seed in range(5))
    assert all(slowest(textures.stripes, seed) < 1e-6 for seed in range(5))
