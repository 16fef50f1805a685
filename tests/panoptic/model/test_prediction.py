from dataclasses import replace

import pytest
import torch
from torchvision.models.detection.roi_heads import paste_masks_in_image

from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.heads.roi import Detections
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.prediction import paste_masks


def test_chunks_give_what_pasting_at_once_gives() -> None:
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(19, 2, generator=generator) * 60 - 10  # some boxes leave the image
    boxes = torch.cat((corner, corner + 1 + torch.rand(19, 2, generator=generator) * 40), dim=1)
    probabilities = torch.rand(19, 28, 28, generator=generator)
    at_once = paste_masks_in_image(probabilities[:, None], boxes, (50, 70))[:, 0] > 0.4
    assert torch.equal(paste_masks(probabilities, boxes, (50, 70), 0.4, aligned=False), at_once)


@pytest.mark.parametrize("aligned", [True, False])
def test_masks_are_the_same_under_autocast(aligned: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.rand(6, 28, 28, generator=generator)
    boxes = torch.tensor([[10.3, 20.1, 450.0, 520.7]]).repeat(6, 1)
    wanted = paste_masks(probabilities, boxes, (600, 500), 0.5, aligned=aligned)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(paste_masks(probabilities, boxes, (600, 500), 0.5, aligned=aligned), wanted)


def test_aligned_masks_are_sampled_bilinearly_at_the_pixels_centres() -> None:
    probabilities = torch.rand(3, 10, 10, generator=torch.Generator().manual_seed(0))
    boxes = torch.tensor([[3.2, 4.7, 20.1, 33.3], [-5.0, 30.5, 12.0, 55.0], [60.0, 0.0, 75.0, 3.0]])
    for index, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
        y = (torch.arange(50) + 0.5 - y1) / (y2 - y1) * 2 - 1
        x = (torch.arange(70) + 0.5 - x1) / (x2 - x1) * 2 - 1
        grid = torch.stack(torch.broadcast_tensors(x[None], y[:, None]), dim=-1)
        sampled = torch.nn.functional.grid_sample(
            probabilities[None, index : index + 1], grid[None], align_corners=False
        )
        found = paste_masks(probabilities, boxes, (50, 70), 0.3, aligned=True)[index]
        assert found.any()
        assert (found == (sampled[0, 0] > 0.3)).float().mean() > 0.999  # but for rounding at the threshold


@pytest.mark.parametrize("box", [(10, 5, 29, 24), (0, 0, 3, 40), (7, 9, 8, 10)])
def test_a_full_mask_fills_its_box(box: tuple[int, int, int, int]) -> None:
    (mask,) = paste_masks(torch.ones(1, 28, 28), torch.tensor([box]).float(), (40, 50), 0.5, aligned=True)
    x1, y1, x2, y2 = box
    expected = torch.zeros(40, 50, dtype=torch.bool)
    expected[y1:y2, x1:x2] = True
    assert torch.equal(mask, expected)


@pytest.mark.parametrize("aligned", [True, False])
def test_a_network_pastes_masks_as_its_config_says(
    config: PanopticConfig, network: PanopticNetwork, monkeypatch: pytest.MonkeyPatch, aligned: bool
) -> None:
    box = torch.tensor([[10.3, 5.6, 29.2, 24.8]])
    probabilities = torch.rand(1, 20, 20, generator=torch.Generator().manual_seed(0))
    found = Detections(box, torch.ones(1), torch.ones(1, dtype=torch.int64), probabilities)
    monkeypatch.setattr(network, "_detect", lambda *_: [found])
    network.config = replace(config, mask_aligned=aligned)
    (prediction,) = network.eval().predict(torch.zeros(1, 3, 64, 64), [(64, 64)], [(64, 64)])
    expected, other = (paste_masks(probabilities, box, (64, 64), 0.5, aligned=way) for way in (aligned, not aligned))
    assert not torch.equal(expected, other)
    assert torch.equal(prediction.masks, expected)


def test_a_box_without_extent_holds_nothing() -> None:
    boxes = torch.tensor([[10.0, 5.0, 10.0, 20.0], [3.5, 2.5, 3.5, 2.5]])
    assert not paste_masks(torch.ones(2, 4, 4), boxes, (40, 50), 0.5, aligned=True)[0].any()


@pytest.mark.parametrize("aligned", [False, True])
def test_no_mask_gives_an_empty_stack(aligned: bool) -> None:
    masks = paste_masks(torch.zeros(0, 28, 28), torch.zeros(0, 4), (40, 50), 0.5, aligned=aligned)
    assert masks.shape == (0, 40, 50)
    assert masks.dtype == torch.bool
