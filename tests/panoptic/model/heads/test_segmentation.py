import pytest
import torch
from torch.nn import functional

from autopanoptic.panoptic.model.heads.segmentation import label_pixels, segmentation_loss, to_pixels


def test_the_loss_is_the_mean_over_labelled_pixels() -> None:
    logits = torch.randn(2, 3, 4, 4)
    semantic = torch.full((2, 16, 16), 255, dtype=torch.uint8)
    semantic[0, 3, 5], semantic[1, 0, 0] = 2, 0
    log_probability = to_pixels(logits).log_softmax(dim=1)
    expected = -(log_probability[0, 2, 3, 5] + log_probability[1, 0, 0, 0]) / 2
    torch.testing.assert_close(segmentation_loss(logits, semantic), expected)


@pytest.mark.parametrize("classes", [3, 20])
def test_the_loss_of_few_and_of_many_classes_is_torchs(classes: int) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, classes, 4, 5, generator=generator).requires_grad_()
    semantic = torch.randint(classes, (2, 16, 20), generator=generator)
    semantic[0, :5] = 255
    expected = functional.cross_entropy(to_pixels(logits), semantic, ignore_index=255)
    gradients = [torch.autograd.grad(loss, logits)[0] for loss in (segmentation_loss(logits, semantic), expected)]
    torch.testing.assert_close(segmentation_loss(logits, semantic), expected)
    torch.testing.assert_close(*gradients)


def test_the_loss_without_a_labelled_pixel_is_zero_and_differentiable() -> None:
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = segmentation_loss(logits, torch.full((1, 16, 16), 255, dtype=torch.uint8))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None


def test_labels_come_from_the_true_part_at_the_original_size() -> None:
    logits = torch.zeros(3, 8, 8)
    logits[1, :, :2], logits[2, :, 2:4] = 5, 5
    logits[0, :, 4:] = 50  # padding
    labels = label_pixels(logits, (32, 14), (64, 28))
    assert labels.shape == (64, 28)
    assert labels.dtype == torch.int64
    assert (labels[:, :14] == 1).all()
    assert (labels[:, 18:24] == 2).all()


@pytest.mark.parametrize(
    ("size", "original_size"),
    [((96, 90), (96, 90)), ((64, 96), (30, 47)), ((61, 83), (200, 301)), ((96, 96), (97, 48))],
)
def test_labels_are_those_of_logits_resized_twice(size: tuple[int, int], original_size: tuple[int, int]) -> None:
    logits = torch.randn(5, 24, 24, generator=torch.Generator().manual_seed(0))
    true = to_pixels(logits[None])[:, :, : size[0], : size[1]]
    resized = functional.interpolate(true, size=original_size, mode="bilinear", align_corners=False)[0]
    labels = label_pixels(logits, size, original_size)
    best = resized.max(dim=0).values
    # Up to rounding, which decides between classes that are equally likely.
    torch.testing.assert_close(resized.gather(0, labels[None])[0], best, rtol=0, atol=1e-5)
