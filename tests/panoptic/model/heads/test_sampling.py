import pickle

import torch

from autopanoptic.panoptic.model.heads.sampling import SeededSampler


def draw(seed: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    sampler = SeededSampler(20, 0.25)
    sampler.generator = torch.Generator().manual_seed(seed)
    labels = torch.tensor([1] * 30 + [0] * 100 + [-1] * 50)
    few = torch.tensor([3] * 2 + [0] * 100)
    return sampler([labels, few])


def test_counts_and_shares_are_kept() -> None:
    (positive, negative), (few_positive, few_negative) = draw(0)
    assert [len(positive), len(few_positive)] == [5, 2]
    assert [len(negative), len(few_negative)] == [15, 18]
    assert positive.max() < 30
    assert 30 <= negative.min() <= negative.max() < 130


def test_the_chosen_are_ascending_and_different() -> None:
    for places in (places for pair in draw(0) for places in pair):
        assert (places.diff() > 0).all()


def test_draws_depend_on_the_generator_alone() -> None:
    first, again, other = (draw(seed)[0] for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[1], other[1])


def test_the_process_wide_state_is_left_alone() -> None:
    before = torch.get_rng_state()
    draw(0)
    assert torch.equal(before, torch.get_rng_state())


def test_nothing_to_draw_from() -> None:
    found = SeededSampler(4, 0.5)([torch.zeros(0), torch.full((3,), -1.0)])
    assert [len(places) for pair in found for places in pair] == [0] * 4


def test_a_copy_for_another_process_has_no_generator() -> None:
    sampler = SeededSampler(8, 0.5)
    sampler.generator = torch.Generator()
    copy = pickle.loads(pickle.dumps(sampler))
    assert (copy.samples, copy.positive_fraction, copy.generator) == (8, 0.5, None)
    assert sampler.generator is not None
