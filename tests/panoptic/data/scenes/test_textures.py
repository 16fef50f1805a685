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


def opposite(values):
    """How far a shift makes dark of light and light of dark: the least autocorrelation, -1 where it does so fully."""
    power = np.abs(np.fft.fft2(values - values.mean())) ** 2
    return np.fft.ifft2(power).real.min() / power.mean()


def test_a_checkerboard_alternates_and_blocks_do_not():
    assert max(opposite(drawn(textures.checker, seed)) for seed in range(8)) < -0.6
    assert min(opposite(drawn(textures.blocks, seed)) for seed in range(8)) > -0.5


def test_fields_of_checker_and_blocks_are_alike():
    for texture in (textures.checker, textures.blocks):
        values = drawn(texture)
        edges = (np.diff(values, axis=0) != 0).mean() + (np.diff(values, axis=1) != 0).mean()
        assert 0.15 < edges < 0.5
