import numpy as np
import pytest

from autopanoptic.panoptic.data.scenes import shapes
from autopanoptic.panoptic.data.scenes.kinds import THINGS


def plane():
    ticks = np.linspace(-1.5, 1.5, 301, dtype=np.float32)
    return np.meshgrid(ticks, ticks)


@pytest.mark.parametrize("name", THINGS)
def test_shapes_are_centred_and_stay_near_the_radius(name):
    u, v = plane()
    inside = THINGS[name].shape(u, v)
    assert inside.any()
    assert np.hypot(u, v)[inside].max() < 1.25
    assert inside.mean() * 9 > 0.25  # area in units of the squared radius


def area(shape):
    return shape(*plane()).mean() * 9


def test_areas_of_shapes():
    assert area(shapes.disc) == pytest.approx(np.pi, rel=0.02)
    assert area(shapes.square) == pytest.approx(1.7**2, rel=0.03)
    assert area(shapes.ring) == pytest.approx(np.pi * (1 - shapes.HOLE**2), rel=0.03)
    assert area(shapes.arc) == pytest.approx((1 - shapes.GAP) * area(shapes.ring), rel=0.03)
    assert area(shapes.cross) == pytest.approx(2 * area(shapes.bar) - (2 * shapes.ARM) ** 2, rel=0.03)
    # Ten triangles between the centre, a point at 1 and an inner corner at 1/2, at an angle of 36 degrees.
    assert area(shapes.star) == pytest.approx(10 * 0.5 * 0.5 * np.sin(np.pi / 5), rel=0.03)
    assert area(shapes.pips) == pytest.approx(5 * np.pi * shapes.PIP**2, rel=0.05)


def test_a_star_has_five_points():
    angles = np.arange(720) * np.pi / 360
    inside = shapes.star(0.75 * np.cos(angles).astype(np.float32), 0.75 * np.sin(angles).astype(np.float32))
    assert np.count_nonzero(inside & ~np.roll(inside, 1)) == 5


def test_pips_lie_on_the_square():
    u, v = plane()
    assert not (shapes.pips(u, v) & ~shapes.square(u, v)).any()
