import pickle

import torch

from autopanoptic.panoptic.model.heads.sampling import SeededSampler


def draw(seed: int) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    sampler = SeededSampler(20, 0.25)
    sampler.generator = torch.Generator().manual_seed(seed)
    labels = torch.tensor([1] * 30 + [0] * 100 + [-1] * 50)
    few = torch.tensor([3] * 2 + [0] * 100)
    return sampler([labels, few])


def test_counts_and_shares_are_kept() -> None:
    positive, negative = draw(0)
    assert [int(p.sum()) for p in positive] == [5, 2]
    assert [int(n.sum()) for n in negative] == [15, 18]
    assert not positive[0][30:].any()
    assert not negative[0][:30].any()
    assert not negative[0][130:].any()


def test_draws_depend_on_the_generator_alone() -> None:
    first, (again, _) = draw(0), draw(0)
    other = draw(1)
    assert all(torch.equal(a, b) for a, b in zip(first[0], again, strict=True))
    assert not torch.equal(first[1][0], other[1][0])


def test_the_process_wide_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    draw(0)
    assert torch.equal(before, torch.get_rng_state())


def test_nothing_to_draw_from() -> None:
    positive, negative = SeededSampler(4, 0.5)([torch.zeros(0), torch.full((3,), -1.0)])
    assert [p.numel() for p in positive] == [0, 3]
    assert not positive[1].any()
    assert not negative[1].any()


def test_a_copy_for_another_process_has_no_generator() -> None:
    sampler = SeededSampler(8, 0.5)
    sampler.generator = torch.Generator()
    copy = pickle.loads(pickle.dumps(sampler))
    assert (copy.batch_size_per_image, copy.positive_fraction, copy.generator) == (8, 0.5, None)
    assert sampler.generator is not None
