import pytest
import torch

from autopanoptic.panoptic.data.loading.masks import ThingMasks
from autopanoptic.panoptic.model.panoptic_head.pruning import (
    IGNORED,
    instance_numbers,
    kept_instances,
    panoptic_loss,
    panoptic_target,
    quartered,
)
from tests.pretended_gpu import PretendedGpu, on_gpu


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("count", "kept"), [(0, 0), (1, 1), (2, 1), (3, 2), (10, 7), (30, 21), (100, 70)])
def test_seven_of_ten_are_kept_and_at_least_one(count, kept):
    chosen = kept_instances(count, seeded())
    assert len(chosen) == kept
    assert chosen.tolist() == sorted(set(chosen.tolist()))
    assert all(0 <= place < count for place in chosen.tolist())


def test_the_share_is_rounded_down_as_written():
    for count in range(1, 1000):
        assert len(kept_instances(count, seeded())) == max(1, 7 * count // 10)


def test_the_generator_decides():
    assert kept_instances(50, seeded(1)).tolist() == kept_instances(50, seeded(1)).tolist()
    assert len({tuple(kept_instances(50, seeded(seed)).tolist()) for seed in range(10)}) == 10
    often = torch.zeros(5)
    for seed in range(1000):
        often[kept_instances(5, seeded(seed))] += 1
    # Three of five: each 600 times of 1000, with a deviation of 15.
    assert ((often - 600).abs() < 80).all()


@pytest.mark.parametrize("share", [0, -0.1, 1.1, float("nan")])
def test_a_share_beyond_its_range_is_refused(share):
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        kept_instances(3, None, share)


SEMANTIC = torch.tensor([[1, 2, 0, 0], [0, 0, 255, 0]], dtype=torch.uint8)
INSTANCES = torch.tensor([[0, 0, 1, 2], [3, 3, 0, 0]])


def test_the_target_by_hand():
    """Stuff 1 and 2 are channels 0 and 1; of three instances the first and the third are kept, the unknown is 4."""
    target = panoptic_target(SEMANTIC, INSTANCES, torch.tensor([0, 2]), 3, 2)
    assert target.tolist() == [[0, 1, 2, 4], [3, 3, IGNORED, IGNORED]]
    without = panoptic_target(SEMANTIC, INSTANCES, torch.tensor([0, 2]), 3, 2, unknown=False)
    assert without.tolist() == [[0, 1, 2, IGNORED], [3, 3, IGNORED, IGNORED]]
    everything = panoptic_target(SEMANTIC, INSTANCES, torch.arange(3), 3, 2)
    assert everything.tolist() == [[0, 1, 2, 3], [4, 4, IGNORED, IGNORED]]


def test_an_image_without_instances_has_stuff_alone():
    target = panoptic_target(SEMANTIC, torch.zeros_like(INSTANCES), torch.arange(0), 0, 2)
    assert target.tolist() == [[0, 1, IGNORED, IGNORED], [IGNORED] * 4]


def test_the_target_on_a_gpu_needs_no_wait():
    with PretendedGpu() as gpu:
        target = panoptic_target(on_gpu(SEMANTIC), on_gpu(INSTANCES), torch.tensor([0, 2]), 3, 2)
    assert gpu.waits.total() == 0
    assert target.inner.tolist() == [[0, 1, 2, 4], [3, 3, IGNORED, IGNORED]]


def test_maps_of_other_sizes_are_refused():
    with pytest.raises(ValueError, match=r"labels \(2, 4\) and instances \(1, 4\)"):
        panoptic_target(SEMANTIC, INSTANCES[:1], torch.arange(0), 0, 2)


def test_instances_are_numbered_as_the_things_are():
    numbers = torch.tensor([[7, 7, 3], [0, 9, 3]], dtype=torch.uint8)
    masks = ThingMasks(numbers, torch.tensor([3, 7]), torch.zeros(2, 4), (1, 1))
    assert instance_numbers(masks).tolist() == [[2, 2, 1], [0, 0, 1]]


def test_a_quarter_is_that_of_nearest_exact_interpolation():
    labels = torch.randint(0, 9, (3, 16, 24), generator=seeded())
    expected = torch.nn.functional.interpolate(labels[None].double(), scale_factor=0.25, mode="nearest-exact")[0]
    assert quartered(labels).tolist() == expected.long().tolist()


def test_the_loss_by_hand():
    logits = torch.log(torch.tensor([[[0.5, 0.1, 0.2]], [[0.25, 0.7, 0.2]], [[0.25, 0.2, 0.6]]]))
    loss = panoptic_loss(logits, torch.tensor([[0, 1, IGNORED]]))
    assert loss.item() == pytest.approx(-(torch.log(torch.tensor(0.5 * 0.7)) / 2).item())


def test_the_loss_counts_instances_beyond_channel_255():
    logits = torch.zeros(300, 1, 2)
    logits[255, 0, 0] = 50
    assert panoptic_loss(logits, torch.tensor([[255, IGNORED]])).item() == pytest.approx(0, abs=1e-6)
    assert panoptic_loss(logits, torch.tensor([[3, IGNORED]])).item() > 40


def test_a_loss_of_nothing_is_zero_and_has_a_gradient():
    logits = torch.randn(3, 2, 2, requires_grad=True)
    loss = panoptic_loss(logits, torch.full((2, 2), IGNORED))
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()


def test_half_precision_adds_up_in_single():
    logits = torch.randn(5, 64, 64, generator=seeded()).bfloat16()
    target = torch.randint(0, 5, (64, 64), generator=seeded())
    with torch.autocast("cpu", torch.bfloat16):
        loss = panoptic_loss(logits, target)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, panoptic_loss(logits.float(), target))
