import numpy as np
import pytest

from autopanoptic.panoptic.data.scenes import textures
from autopanoptic.panoptic.data.scenes.kinds import STUFF


def drawn(texture, seed=0):
    x, y = np.meshgrid(np.arange(96, dtype=np.float32), np.arange(96, dtype=np.float32))
    return texture(x, y, np.random.default_rng(seed))


@pytest.mark.parametrize("name", STUFF)
def test_textures_vary_within_their_range(name):
    values = drawn(STUFF[name])
    assert values.shape == (96, 96)
    assert values.dtype == np.float32
    assert np.abs(values).max() <= 1
    assert abs(values.mean()) < 0.15
    assert values.std() > 0.4


def strongest(values):
    """The largest amplitude of a plane wave in some values."""
    power = np.abs(np.fft.fft2(values - values.mean()))
    return power.max() / values.size


def test_bands_have_a_long_period_and_stripes_have_not():
    # Squaring removes the sign of the fast wave and leaves the envelope.
    assert all(strongest(drawn(textures.bands, seed) ** 2) > 0.1 for seed in range(5))
    assert all(strongest(drawn(textures.stripes, seed) ** 2) < 1e-6 for seed in range(5))


@pytest.mark.parametrize(("regular", "random"), [("checker", "blocks"), ("mesh", "noise")])
def test_of_a_pair_one_has_a_rule_and_one_has_none(regular, random):
    least = min(strongest(drawn(STUFF[regular], seed)) for seed in range(5))
    assert least > 1.3 * max(strongest(drawn(STUFF[random], seed)) for seed in range(5))


def test_blocks_look_like_a_checkerboard_from_near():
    def runs(values):
        """Lengths of runs of equal values along a row."""
        edges = np.flatnonzero(np.diff(values[48]))
        return np.diff(edges)

    shortest = [runs(drawn(texture)).min() for texture in (textures.checker, textures.blocks)]
    assert shortest[0] >= 6 or shortest[1] <= shortest[0] + 4
