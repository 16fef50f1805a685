import numpy as np
import torch
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import box_iou

from autopanoptic.panoptic.data.coco.reader import numbered
from autopanoptic.panoptic.data.label_map import LabelMap
from autopanoptic.panoptic.data.scenes.files import scene
from autopanoptic.panoptic.data.scenes.kinds import CATEGORIES
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.heads.rpn import FixedStrideAnchors, build_rpn
from autopanoptic.panoptic.model.shapes import FeatureShape

STRIDES = (4, 8, 16, 32, 64)


def maps(channels: int = 48, side: int = 96) -> dict[str, torch.Tensor]:
    return {f"p{i + 2}": torch.randn(2, channels, -(-side // s), -(-side // s)) for i, s in enumerate(STRIDES)}


def test_anchors_stand_at_multiples_of_the_true_stride() -> None:
    generator = FixedStrideAnchors((12, 18, 28, 44, 72), (1.0,), STRIDES)
    images = ImageList(torch.zeros(2, 3, 96, 96), [(96, 96), (90, 80)])
    anchors = generator(images, list(maps().values()))
    assert len(anchors) == 2
    assert anchors[0].shape == (24**2 + 12**2 + 6**2 + 3**2 + 2**2, 4)
    centres = (anchors[0][-4:, :2] + anchors[0][-4:, 2:]) / 2
    assert centres.tolist() == [[0, 0], [64, 0], [0, 64], [64, 64]]
    assert (anchors[0][-1, 2:] - anchors[0][-1, :2]).tolist() == [72, 72]


# Anchors are rounded to whole pixels.
def test_ratios_are_height_over_width_at_equal_area() -> None:
    (anchors,) = FixedStrideAnchors((64,), (0.5, 1.0, 2.0), (4,))(
        ImageList(torch.zeros(1, 3, 4, 4), [(4, 4)]), [torch.zeros(1, 8, 1, 1)]
    )
    width, height = (anchors[:, 2:] - anchors[:, :2]).unbind(1)
    torch.testing.assert_close(height / width, torch.tensor([0.5, 1.0, 2.0]), atol=0.05, rtol=0)


def test_losses_are_finite_where_an_image_has_no_box(config: PanopticConfig) -> None:
    rpn = build_rpn(config, {f"p{i + 2}": FeatureShape(48, s) for i, s in enumerate(STRIDES)})
    targets = [{"boxes": torch.zeros(0, 4)}, {"boxes": torch.tensor([[10.0, 10.0, 40.0, 50.0]])}]
    images = ImageList(torch.zeros(2, 3, 96, 96), [(96, 96), (90, 80)])
    proposals, losses = rpn(images, maps(), targets)
    assert len(proposals[0]) <= config.rpn_post_nms_train
    assert proposals[1][:, 2].max() <= 80
    assert proposals[1][:, 3].max() <= 90
    assert all(loss.isfinite() for loss in losses.values())
    _, losses = rpn(images, maps(), [targets[0]] * 2)
    assert losses["loss_rpn_box_reg"] == 0


def test_outputs_are_single_precision_under_autocast(config: PanopticConfig) -> None:
    rpn = build_rpn(config, {f"p{i + 2}": FeatureShape(48, s) for i, s in enumerate(STRIDES)})
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits, deltas = rpn.head(list(maps().values()))
    assert {t.dtype for t in logits + deltas} == {torch.float32}


def test_anchors_of_the_scenes_preset_fit_the_scenes(config: PanopticConfig) -> None:
    generator = FixedStrideAnchors(config.anchor_sizes, config.anchor_ratios, STRIDES)
    (anchors,) = generator(ImageList(torch.zeros(1, 3, 96, 96), [(96, 96)]), list(maps().values()))
    best = []
    for index in range(60):
        truth = scene("train", index, seed=1001).truth
        numbers, _ = numbered(truth.numpy().astype(np.uint32), truth.segments)
        best.append(box_iou(anchors, LabelMap.of(numbers, truth.segments, CATEGORIES).boxes).amax(0))
    overlap = torch.cat(best)
    assert (overlap >= config.rpn_foreground_iou).float().mean() >= 0.5
    assert (overlap >= 0.5).float().mean() >= 0.9
