"""The searchable panoptic network (Auto-Panoptic, NeurIPS 2020); with an architecture applied, the fixed one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.models.detection.image_list import ImageList

from autopanoptic.nas import ModelSpace
from autopanoptic.nas.supernet.batch_norm import statistics_kept
from autopanoptic.nas.supernet.training.losses import detached
from autopanoptic.panoptic.data.categories import VOID
from autopanoptic.panoptic.data.loading.batch import Target
from autopanoptic.panoptic.data.transfers import on_device
from autopanoptic.panoptic.model.backbone.build import build_backbone
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.distillation import Knowledge, between, soft_losses
from autopanoptic.panoptic.model.fusion.fusion import Fusion, modulate
from autopanoptic.panoptic.model.heads.regions import RegionLogits, Regions
from autopanoptic.panoptic.model.heads.roi import Detections, PanopticRoIHeads
from autopanoptic.panoptic.model.heads.rpn import build_rpn
from autopanoptic.panoptic.model.heads.sampling import Generators
from autopanoptic.panoptic.model.heads.segmentation import SegmentationHead, label_pixels, segmentation_loss
from autopanoptic.panoptic.model.neck.neck import Neck
from autopanoptic.panoptic.model.padding import blank, extend, padded
from autopanoptic.panoptic.model.prediction import Prediction, paste_masks
from autopanoptic.panoptic.model.shapes import Features, Sizes
from autopanoptic.panoptic.model.shares import Counts, Drawn, Shares, shared


class DenseOutputs(NamedTuple):
    """Raw outputs for a fixed number of RoIs per image; see `PanopticNetwork.forward`.

    Those of a branch that the network lacks are empty lists and None.
    """

    objectness: list[Tensor]
    anchor_deltas: list[Tensor]
    class_logits: Tensor | None
    box_deltas: Tensor | None
    mask_logits: Tensor | None
    segmentation: Tensor | None


class DenseMaps(NamedTuple):
    """Of whole images; see `PanopticNetwork.dense`.

    Attributes:
        pyramid: The modulated P2..P6, (B, C, H / s, W / s) at stride s.
        objectness: Logits (B, A, H / s, W / s) of the anchors of each of P2..P6; none without thing classes.
        anchor_deltas: Their boxes (B, 4 A, H / s, W / s).
        segmentation: Logits (B, 1 + S, H / 4, W / 4), None without stuff classes.
    """

    pyramid: Features
    objectness: list[Tensor]
    anchor_deltas: list[Tensor]
    segmentation: Tensor | None


class PanopticNetwork(ModelSpace):
    """Backbone, pyramid, foreground and background branch, and the fusion between them.

    Choices are labelled ``backbone.<block>``, ``mask.<layer>``, ``segmentation.<layer>``, ``f2b.p2`` to ``f2b.p5``,
    ``b2f.p2`` to ``b2f.p6``, and ``neck`` if the config asks for it. Batch norm is found in the backbone alone. A fixed
    backbone has no choices.

    Without thing classes there is no foreground branch, without stuff classes no background branch, and without either
    of them no fusion; nor are their choices and losses.

    Args:
        config: Fixes every shape; parameters are drawn from torch's default generator.
    """

    def __init__(self, config: PanopticConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = build_backbone(config)
        self.neck = Neck(config, self.backbone.output_shape)
        pyramid = self.neck.output_shape
        self.segmentation = SegmentationHead(config, pyramid) if config.num_stuff else None
        self.foreground_to_background: Fusion | None = None
        self.background_to_foreground: Fusion | None = None
        if self.segmentation is not None and config.num_things:
            background = self.segmentation.output_shape
            above_p2 = {level: shape for level, shape in pyramid.items() if level != "p2"}
            self.foreground_to_background = Fusion("f2b", above_p2, background, config)
            self.background_to_foreground = Fusion("b2f", background, pyramid, config)
        self.rpn = build_rpn(config, pyramid) if config.num_things else None
        self.roi_heads = PanopticRoIHeads(config, pyramid) if config.num_things else None

    def forward(self, images: Tensor) -> DenseOutputs:
        """Run every layer once, with as many RoIs as at test time but fixed ones.

        No shape depends on data, so this counts FLOPs on the meta device and measures latency (without the
        proposals' and detections' non-maximum suppression); `predict` is what recognises things.

        Args:
            images: (B, 3, H, W), H and W multiples of the config's ``image_divisor``.
        """
        batch, _, height, width = images.shape
        pyramid, segmentation = self._features(images, [(height, width)] * batch)
        if self.rpn is None or self.roi_heads is None:
            return DenseOutputs([], [], None, None, None, segmentation)
        objectness, anchor_deltas = self.rpn.head(list(pyramid.values()))
        config = self.config
        regions = self.roi_heads.dense(pyramid, config.rpn_post_nms_test, config.detections_per_image)
        return DenseOutputs(objectness, anchor_deltas, *regions, segmentation)

    def dense(self, images: Tensor, sizes: Sizes) -> DenseMaps:
        """What `predict` computes of whole images, before there is a proposal; no shape depends on values.

        Args:
            images: Normalised and padded at the right and bottom, float (B, 3, H, W).
            sizes: Height and width of each image without padding; or of all of them, if they are equal.
        """
        with self._padded(images, sizes):
            pyramid, segmentation = self._features(images, sizes)
            objectness, deltas = ([], []) if self.rpn is None else self.rpn.head(list(pyramid.values()))
            pyramid = {level: extend(x) for level, x in pyramid.items()}
        return DenseMaps(pyramid, objectness, deltas, segmentation)

    def losses(
        self,
        images: Tensor,
        sizes: Sizes,
        targets: Sequence[Target],
        semantic: Tensor,
        *,
        generator: Generators = None,
        regions: Regions | None = None,
        shares: Shares | None = None,
    ) -> dict[str, Tensor]:
        """Losses of a batch, each a scalar, unweighted but for the total.

        Args:
            images: Normalised and padded at the right and bottom, float (B, 3, H, W).
            sizes: Height and width of each image without padding.
            targets: The things of each image; there may be none.
            semantic: Labels 0..S, 255 for void and padding, integers (B, H, W).
            generator: Draws the anchors and RoIs that enter the losses.
            regions: The RoIs, where `draw` has drawn them from equal generators.
            shares: Of a whole batch's losses, where this is a part of it; by default each is a mean over this batch.

        Returns:
            objectness, rpn_box, classification, box, mask (where there are thing classes), segmentation (where there
            are stuff classes), and total.

        Raises:
            RuntimeError: The network is in eval mode.
            ValueError: The batch's parts do not fit together.
        """
        losses, _ = self._losses_and_logits(images, sizes, targets, semantic, generator, regions, shares)
        return {**losses, "total": self._sum(losses)}

    @torch.no_grad()
    def draw(
        self,
        images: Tensor,
        sizes: Sizes,
        targets: Sequence[Target],
        semantic: Tensor,
        *,
        generator: Generators = None,
    ) -> Drawn:
        """Draw the RoIs of a batch, and count what its losses are means over; arguments and errors as of `losses`.

        It takes a forward pass up to the proposals, which leaves the running statistics of batch norms as they are.
        """
        regions = None
        if self.rpn is not None and self.roi_heads is not None:
            self._require_training(images, sizes, targets, semantic)
            with statistics_kept(self), self._padded(images, sizes):
                proposals, _ = self._propose(images, sizes, self._features(images, sizes)[0], targets, generator)
            regions = self._sample(proposals, targets, generator)
        return Drawn(regions, self._counts(regions, semantic))

    def teach(
        self,
        images: Tensor,
        sizes: Sizes,
        targets: Sequence[Target],
        semantic: Tensor,
        *,
        generator: Generators = None,
        regions: Regions | None = None,
        shares: Shares | None = None,
    ) -> tuple[dict[str, Tensor], Knowledge]:
        """The same as `losses`, and what another path can `learn` from the active one's logits, without gradient."""
        losses, own = self._losses_and_logits(images, sizes, targets, semantic, generator, regions, shares)
        return {**losses, "total": self._sum(losses)}, detached(own)

    def learn(
        self,
        images: Tensor,
        sizes: Sizes,
        targets: Sequence[Target],
        semantic: Tensor,
        knowledge: Knowledge,
        *,
        weight: float = 1.0,
        generator: Generators = None,
        shares: Shares | None = None,
    ) -> dict[str, Tensor]:
        """Losses of a batch by what another path has said of it, see `soft_losses`.

        The RoIs are the teacher's. Proposals and boxes are learnt from the truth alone.

        Args:
            images: See `losses`, as for the arguments that follow.
            sizes: See `losses`.
            targets: See `losses`.
            semantic: See `losses`.
            knowledge: What `teach` has given for the same batch.
            weight: Of the soft labels, 0 to 1; the true labels of classes, masks and pixels have the rest.
            generator: Draws the anchors that enter the losses: the same as the teacher's from an equal generator.
            shares: See `losses`.

        Returns:
            Those of `losses`, by the truth; soft_classification, soft_mask and soft_segmentation; and the total, in
            which the soft ones have replaced their part of those by true labels.

        Raises:
            RuntimeError: The network is in eval mode.
            ValueError: The batch's parts do not fit together, or the weight is out of range.
        """
        true, own = self._losses_and_logits(images, sizes, targets, semantic, generator, knowledge.regions, shares)
        soft = soft_losses(own, knowledge, semantic)
        if shares is not None:
            soft = shared(soft, shares(self._counts(knowledge.regions, semantic)))
        total = self._sum(between(true, soft, weight))
        return {**true, **{f"soft_{name}": loss for name, loss in soft.items()}, "total": total}

    def _losses_and_logits(
        self,
        images: Tensor,
        sizes: Sizes,
        targets: Sequence[Target],
        semantic: Tensor,
        generator: Generators,
        regions: Regions | None,
        shares: Shares | None,
    ) -> tuple[dict[str, Tensor], Knowledge]:
        """Losses by the truth, unweighted, at these RoIs or sampled ones, and the logits that they are of."""
        self._require_training(images, sizes, targets, semantic)
        with self._padded(images, sizes):
            pyramid, logits = self._features(images, sizes)
            proposals, losses = self._propose(images, sizes, pyramid, targets, generator)
            pyramid = {level: extend(x) for level, x in pyramid.items()}
        things: RegionLogits | None = None
        if self.roi_heads is not None:
            regions = regions or self._sample(proposals, targets, generator)
            found, things = self.roi_heads.losses(pyramid, regions, sizes, targets)
            losses |= found
        if logits is not None:
            losses["segmentation"] = segmentation_loss(logits, semantic)
        if shares is not None:
            losses = shared(losses, shares(self._counts(regions, semantic)))
        return losses, Knowledge(regions, things, logits)

    def _require_training(self, images: Tensor, sizes: Sizes, targets: Sequence[Target], semantic: Tensor) -> None:
        if not self.training:
            raise RuntimeError("losses need the network in training mode: call network.train() first")
        self._check(images, sizes)
        if len(targets) != len(images) or semantic.shape != (len(images), *images.shape[-2:]):
            raise ValueError(
                f"images {tuple(images.shape)} need as many targets, not {len(targets)}, and a semantic map of "
                f"their batch, height and width, not {tuple(semantic.shape)}"
            )

    def _sample(self, proposals: list[Tensor], targets: Sequence[Target], generator: Generators) -> Regions:
        assert self.roi_heads is not None
        self.roi_heads.fg_bg_sampler.generator = generator
        return self.roi_heads.sample(proposals, targets)

    def _counts(self, regions: Regions | None, semantic: Tensor) -> Counts:
        """What the losses of the batch whose anchors were drawn last are means over."""
        counts = {"pixels": (semantic != VOID).sum(dtype=torch.float32)}
        if self.rpn is not None and regions is not None:
            labels, number = torch.cat(regions.labels), counts["pixels"].new_full  # unlike new_tensor, without a copy
            counts["anchors"] = number((), self.rpn.fg_bg_sampler.chosen)
            counts["rois"] = number((), len(labels))
            counts["positives"] = (labels > 0).sum(dtype=torch.float32)
        return counts

    def _sum(self, losses: Mapping[str, Tensor]) -> Tensor:
        weighted = [loss for name, loss in losses.items() if name != "segmentation"]
        if "segmentation" in losses:
            weighted.insert(0, self.config.segmentation_loss_weight * losses["segmentation"])
        return sum(weighted[1:], start=weighted[0])

    def _propose(
        self,
        images: Tensor,
        sizes: Sizes,
        pyramid: Features,
        targets: Sequence[Target] | None = None,
        generator: Generators = None,
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Proposals of each image, and with targets their losses."""
        if self.rpn is None:
            return [], {}
        self.rpn.fg_bg_sampler.generator = generator
        proposals, found = self.rpn(ImageList(images, list(sizes)), pyramid, targets)
        if targets is None:
            return proposals, {}
        return proposals, {"objectness": found["loss_objectness"], "rpn_box": found["loss_rpn_box_reg"]}

    @torch.no_grad()
    def predict(
        self, images: Tensor, sizes: Sizes, original_sizes: Sizes, *, least_score: float = 0.0
    ) -> list[Prediction]:
        """Find the things and label the pixels of each image.

        Args:
            images: Normalised and padded at the right and bottom, float (B, 3, H, W).
            sizes: Height and width of each image without padding.
            original_sizes: Height and width of each wanted map.
            least_score: Things of a lower score are left out, which saves their masks, 0 to 1.

        Raises:
            RuntimeError: The network is in training mode.
            ValueError: The batch's parts do not fit together.
        """
        if self.training:
            raise RuntimeError("predict needs the network in eval mode: call network.eval() first")
        self._check(images, sizes)
        if len(original_sizes) != len(images):
            raise ValueError(f"{len(images)} images need as many original sizes, not {len(original_sizes)}")
        with self._padded(images, sizes):
            pyramid, logits = self._features(images, sizes)
            proposals, _ = self._propose(images, sizes, pyramid)
            pyramid = {level: extend(x) for level, x in pyramid.items()}
        detections = self._detect(images, sizes, pyramid, proposals, least_score)
        each = zip(detections, sizes, original_sizes, strict=True)
        things = [self._things_at(found, size, original) for found, size, original in each]
        semantics = [
            torch.zeros(original, dtype=torch.int64, device=images.device)
            if logits is None
            else label_pixels(logits[index].float(), size, original)
            for index, (size, original) in enumerate(zip(sizes, original_sizes, strict=True))
        ]
        return [Prediction(*found, semantic) for found, semantic in zip(things, semantics, strict=True)]

    def _features(self, images: Tensor, sizes: Sizes) -> tuple[Features, Tensor | None]:
        """The modulated pyramid and the segmentation logits at stride 4, in the published order of operations."""
        images = images.contiguous(memory_format=_memory_format(images.device))
        pyramid = self.neck(self.backbone(blank(images)))
        if self.segmentation is None:
            return pyramid, None
        background = self.segmentation(pyramid)
        if self.foreground_to_background is not None and self.background_to_foreground is not None:
            to_background = self.foreground_to_background(pyramid, sizes)
            to_foreground = self.background_to_foreground(background, sizes)
            background, pyramid = modulate(background, to_background), modulate(pyramid, to_foreground)
        return pyramid, self.segmentation.classify(background)

    def _padded(self, images: Tensor, sizes: Sizes) -> AbstractContextManager[None]:
        return padded(images, sizes) if self.config.padding_ignored else nullcontext()

    def _detect(
        self, images: Tensor, sizes: Sizes, pyramid: Features, proposals: list[Tensor], least_score: float
    ) -> list[Detections]:
        if self.roi_heads is None:
            return [Detections.none(images.device) for _ in sizes]
        found: list[Detections] = self.roi_heads(pyramid, proposals, sizes, least_score)
        return found

    def _things_at(
        self, found: Detections, size: tuple[int, int], original_size: tuple[int, int]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Boxes, scores, labels and masks of one image at its original size."""
        (height, width), (original_height, original_width) = size, original_size
        scale = (original_width / width, original_height / height) * 2
        boxes = found.boxes * on_device(scale, found.boxes.device, found.boxes.dtype)
        config = self.config
        masks = paste_masks(found.masks, boxes, original_size, config.mask_threshold, aligned=config.mask_aligned)
        return boxes, found.scores, found.labels, masks

    def _check(self, images: Tensor, sizes: Sizes) -> None:
        divisor = self.config.image_divisor
        height, width = images.shape[-2:]
        if height % divisor or width % divisor:
            raise ValueError(f"images must be padded to multiples of {divisor}, not {height} x {width}")
        if len(sizes) != len(images) or any(not (0 < h <= height and 0 < w <= width) for h, w in sizes):
            raise ValueError(f"sizes {list(sizes)} do not fit {len(images)} images of {height} x {width}")


def _memory_format(device: torch.device) -> torch.memory_format:
    """How convolutions are fastest on a device.

    With the channels of a pixel side by side a CPU takes some 7% off a training step, and a GPU's tensor cores read
    half precision. In single precision a GPU's depthwise convolutions are written for the channels one after the other.
    """
    channels_last = device.type == "cpu" or (device.type == "cuda" and torch.is_autocast_enabled("cuda"))
    return torch.channels_last if channels_last else torch.contiguous_format
