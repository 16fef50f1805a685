import pytest
import torch
from torchvision.models.detection.roi_heads import paste_masks_in_image

from autopanoptic.panoptic.model.prediction import paste_masks


def test_chunks_give_what_pasting_at_once_gives() -> None:
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(19, 2, generator=generator) * 60 - 10  # some boxes leave the image
    boxes = torch.cat((corner, corner + 1 + torch.rand(19, 2, generator=generator) * 40), dim=1)
    probabilities = torch.rand(19, 28, 28, generator=generator)
    at_once = paste_masks_in_image(probabilities[:, None], boxes, (50, 70))[:, 0] > 0.4
    assert torch.equal(paste_masks(probabilities, boxes, (50, 70), 0.4), at_once)


def test_a_full_mask_fills_its_box() -> None:
    (mask,) = paste_masks(torch.ones(1, 28, 28), torch.tensor([[10.0, 5.0, 29.0, 24.0]]), (40, 50), 0.5)
    rows, columns = torch.where(mask)
    # Boxes are cut to whole pixels before pasting.
    assert [rows.min(), rows.max(), columns.min(), columns.max()] == pytest.approx([5, 24, 10, 29], abs=1)


def test_no_mask_gives_an_empty_stack() -> None:
    masks = paste_masks(torch.zeros(0, 28, 28), torch.zeros(0, 4), (40, 50), 0.5)
    assert masks.shape == (0, 40, 50)
    assert masks.dtype == torch.bool
