"""The parts of a network that become graphs: no shape in them depends on values.

What is between them, the suppression of overlapping proposals and detections, is not in any of them, for its shapes
depend on what is seen: `autopanoptic.panoptic.export.runtime` does it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import roi_align

from autopanoptic.panoptic.data.loading.normalization import Normalization
from autopanoptic.panoptic.model.heads.mask import of_class
from autopanoptic.panoptic.model.heads.pooling import PyramidRoIAlign
from autopanoptic.panoptic.model.heads.roi import PanopticRoIHeads
from autopanoptic.panoptic.model.network import PanopticNetwork

POOLED = ("p2", "p3", "p4", "p5")
"""Levels that regions of interest are pooled from."""


class DenseGraph(nn.Module):
    """Backbone, pyramid, proposal head, segmentation head, and the fusion between the branches.

    Args:
        network: In eval mode.
        normalization: Of its images.
        size: Height and width of all images, in pixels, which need not be multiples of the network's divisor: they are
            padded as in its training. None for images of any size that needs no padding.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: PanopticNetwork, normalization: Normalization, size: tuple[int, int] | None) -> None:
        super().__init__()
        self.network, self.size = network, size
        self.bgr = normalization.order == "bgr"
        for name, values in (("mean", normalization.mean), ("deviation", normalization.std)):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32).view(3, 1, 1))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Everything that is said of whole images.

        Args:
            images: RGB, 0 to 255, float32 (B, 3, height, width).

        Returns:
            With thing classes p2 to p5, (B, C, H / s, W / s) at stride s of the padded image; objectness_p2 to
            objectness_p6, logits (B, A, H / s, W / s); and deltas_p2 to deltas_p6, (B, 4 A, H / s, W / s). With stuff
            classes segmentation, logits (B, 1 + S, H / 4, W / 4), or of a semantic head that scores all classes
            (B, S + T, H / 4, W / 4).
        """
        pixels = images.flip(1) if self.bgr else images
        images, sizes = self._padded((pixels - self.mean) / self.deviation)
        maps = self.network.dense(images, sizes)
        found: dict[str, Tensor] = {}
        if self.network.rpn is not None:
            found |= {level: maps.pyramid[level] for level in POOLED}
            found |= {f"objectness_{level}": x for level, x in zip(maps.pyramid, maps.objectness, strict=True)}
            found |= {f"deltas_{level}": x for level, x in zip(maps.pyramid, maps.anchor_deltas, strict=True)}
        return found if maps.segmentation is None else found | {"segmentation": maps.segmentation}

    def _padded(self, images: Tensor) -> tuple[Tensor, list[tuple[int, int]]]:
        if self.size is None:
            return images, [(images.shape[-2], images.shape[-1])]
        (height, width), divisor = self.size, self.network.config.image_divisor
        return functional.pad(images, (0, -width % divisor, 0, -height % divisor)), [self.size]


class _Pooling(nn.Module):
    """`PyramidRoIAlign` of a number of boxes that no shape inside depends on: each is pooled from every level."""

    def __init__(self, pooling: PyramidRoIAlign) -> None:
        super().__init__()
        self.pooling = pooling

    def forward(self, pyramid: Sequence[Tensor], rois: Tensor) -> Tensor:
        levels = self.pooling.map_levels([rois[:, 1:]])
        pooled: Tensor | None = None
        for index, (x, scale) in enumerate(zip(pyramid, self.pooling.scales.values(), strict=True)):
            pooling = self.pooling
            found = roi_align(x, rois, pooling.side, scale, pooling.sampling_ratio, pooling.aligned)
            pooled = found if pooled is None else torch.where((levels == index)[:, None, None, None], found, pooled)
        assert pooled is not None
        return pooled


class BoxGraph(nn.Module):
    """RoIAlign and the box head."""

    def __init__(self, heads: PanopticRoIHeads) -> None:
        super().__init__()
        self.pooling = _Pooling(heads.box_roi_pool)
        self.head, self.predictor = heads.box_head, heads.box_predictor

    def forward(self, p2: Tensor, p3: Tensor, p4: Tensor, p5: Tensor, rois: Tensor) -> dict[str, Tensor]:
        """Classes and boxes of regions of interest.

        Args:
            p2: Of `DenseGraph`, for B images, as the three that follow.
            p3: At stride 8.
            p4: At stride 16.
            p5: At stride 32.
            rois: float32 (N, 5): the image's index, then x1, y1, x2, y2 in its pixels.

        Returns:
            class_logits (N, 1 + T), the background first, and box_deltas (N, 4 + 4 T), four of each class.
        """
        logits, deltas = self.predictor(self.head(self.pooling((p2, p3, p4, p5), rois)))
        return {"class_logits": logits, "box_deltas": deltas}


class MaskGraph(nn.Module):
    """RoIAlign and the searched mask head."""

    def __init__(self, heads: PanopticRoIHeads) -> None:
        super().__init__()
        self.pooling = _Pooling(heads.mask_roi_pool)
        self.head, self.predictor = heads.mask_head, heads.mask_predictor

    def forward(
        self, p2: Tensor, p3: Tensor, p4: Tensor, p5: Tensor, rois: Tensor, labels: Tensor
    ) -> dict[str, Tensor]:
        """The masks of things.

        Args:
            p2: See `BoxGraph.forward`, as for the four arguments that follow.
            p3: See there.
            p4: See there.
            p5: See there.
            rois: See there.
            labels: The class of each, int64 (N,), 1 to T.

        Returns:
            masks, the probability that a cell of the box belongs to the thing, (N, M, M).
        """
        logits = self.predictor(self.head(self.pooling((p2, p3, p4, p5), rois)))
        return {"masks": of_class(logits, labels).sigmoid()}
