"""The searchable panoptic network (Auto-Panoptic, NeurIPS 2020); with an architecture applied, the fixed one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList

from autopanoptic.nas import ModelSpace
from autopanoptic.nas.supernet.batch_norm import statistics_kept
from autopanoptic.nas.supernet.training.losses import detached
from autopanoptic.panoptic.data.categories import VOID
from autopanoptic.panoptic.data.loading.batch import Target
from autopanoptic.panoptic.model.backbone.build import build_backbone
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.designs.active import Active, total
from autopanoptic.panoptic.model.designs.build import components_of
from autopanoptic.panoptic.model.distillation import Knowledge, between, soft_losses
from autopanoptic.panoptic.model.fusion.fusion import modulate
from autopanoptic.panoptic.model.graph.reasoning import GraphReasoning, Reasoning
from autopanoptic.panoptic.model.heads.regions import RegionLogits, Regions
from autopanoptic.panoptic.model.heads.roi import Detections, PanopticRoIHeads
from autopanoptic.panoptic.model.heads.rpn import build_rpn
from autopanoptic.panoptic.model.heads.sampling import Generators, apart
from autopanoptic.panoptic.model.heads.segmentation import label_pixels
from autopanoptic.panoptic.model.inputs import memory_format, require_images, require_truth
from autopanoptic.panoptic.model.neck.neck import Neck
from autopanoptic.panoptic.model.outputs import DenseMaps, DenseOutputs
from autopanoptic.panoptic.model.padding import blank, extend, padded, require_statistics
from autopanoptic.panoptic.model.panoptic_head.head import PanopticLogits
from autopanoptic.panoptic.model.prediction import Prediction, things_at
from autopanoptic.panoptic.model.semantic.head import SegmentationBranch
from autopanoptic.panoptic.model.shapes import Features, Sizes
from autopanoptic.panoptic.model.shares import Counts, Drawn, Shares, shared
from autopanoptic.panoptic.model.truth import Truth


class PanopticNetwork(ModelSpace):
    """Backbone, pyramid, foreground and background branch, and the fusion between them.

    Choices are labelled ``backbone.<block>``, ``mask.<layer>``, ``segmentation.<layer>``, ``f2b.p2`` to ``f2b.p5``,
    ``b2f.p2`` to ``b2f.p6``, and ``neck`` if the config asks for it. Batch norm is found in the backbone alone. A fixed
    backbone has no choices. In the space published components are choices, too; see
    `autopanoptic.panoptic.model.designs.names`.

    Without thing classes there is no foreground branch, without stuff classes no background branch, and without either
    of them no fusion; nor are their choices and losses.

    Args:
        config: Fixes every shape; parameters are drawn from torch's default generator.
    """

    segmentation = Active[SegmentationBranch]()
    foreground_to_background = Active[nn.Module]()
    background_to_foreground = Active[nn.Module]()
    graph = Active[GraphReasoning]()
    panoptic = Active[PanopticLogits]()

    def __init__(self, config: PanopticConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = build_backbone(config)
        self.neck = Neck(config, self.backbone.output_shape)
        pyramid = self.neck.output_shape
        parts = components_of(config, pyramid)
        self.segmentation = parts.segmentation
        self.foreground_to_background = parts.foreground_to_background
        self.background_to_foreground = parts.background_to_foreground
        self.graph = parts.graph
        self.rpn = build_rpn(config, pyramid) if config.num_things else None
        self.roi_heads = PanopticRoIHeads(config, pyramid, parts.predicted) if config.num_things else None
        if self.roi_heads is not None:
            self.roi_heads.box_predictor = parts.predictor(self.roi_heads.box_predictor)
        self.panoptic = parts.panoptic

    def forward(self, images: Tensor) -> DenseOutputs:
        """Run every layer once, with as many RoIs as at test time but fixed ones.

        No shape depends on data, so this counts FLOPs on the meta device and measures latency (without the
        proposals' and detections' non-maximum suppression); `predict` is what recognises things.

        Args:
            images: (B, 3, H, W), H and W multiples of the config's ``image_divisor``.
        """
        batch, _, height, width = images.shape
        pyramid, segmentation, reasoning = self._features(images, [(height, width)] * batch)
        if self.rpn is None or self.roi_heads is None:
            return DenseOutputs([], [], None, None, None, segmentation)
        objectness, anchor_deltas = self.rpn.head(list(pyramid.values()))
        config = self.config
        regions = self.roi_heads.dense(pyramid, config.rpn_post_nms_test, config.detections_per_image, reasoning)
        return DenseOutputs(objectness, anchor_deltas, *regions, reasoning.logits if reasoning else segmentation)

    def dense(self, images: Tensor, sizes: Sizes) -> DenseMaps:
        """What `predict` computes of whole images, before there is a proposal; no shape depends on values.

        Args:
            images: Normalised and padded at the right and bottom, float (B, 3, H, W).
            sizes: Height and width of each image without padding; or of all of them, if they are equal.
        """
        with self._padded(images, sizes):
            pyramid, segmentation, _ = self._features(images, sizes)
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
            are stuff classes), what else the semantic and the panoptic head bring, and total.

        Raises:
            RuntimeError: The network is in eval mode.
            ValueError: The batch's parts do not fit together.
        """
        truth = Truth(sizes, targets, semantic)
        losses, _ = self._losses_and_logits(images, truth, generator, regions, shares)
        return {**losses, "total": total(self, losses)}

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
        regions, truth = None, Truth(sizes, targets, semantic)
        if self.rpn is not None and self.roi_heads is not None:
            self._require_training(images, truth)
            with statistics_kept(self), self._padded(images, sizes):
                proposals, _ = self._propose(images, sizes, self._features(images, sizes)[0], targets, generator)
            regions = self._sample(proposals, targets, generator)
        return Drawn(regions, self._counts(regions, truth))

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
        truth = Truth(sizes, targets, semantic)
        losses, own = self._losses_and_logits(images, truth, generator, regions, shares)
        return {**losses, "total": total(self, losses)}, detached(own)

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
        truth = Truth(sizes, targets, semantic)
        true, own = self._losses_and_logits(images, truth, generator, knowledge.regions, shares)
        soft = soft_losses(own, knowledge, semantic)
        if shares is not None:
            factors = shares(self._counts(knowledge.regions, truth))
            # What a teacher says of crowds counts, too, whatever pixels the head's own loss leaves out.
            soft = shared(soft, {**factors, "pixels": factors["labelled"]})
        mixed = between(true, soft, weight)
        return {**true, **{f"soft_{name}": loss for name, loss in soft.items()}, "total": total(self, mixed)}

    def _losses_and_logits(
        self, images: Tensor, truth: Truth, generator: Generators, regions: Regions | None, shares: Shares | None
    ) -> tuple[dict[str, Tensor], Knowledge]:
        """Losses by the truth, unweighted, at these RoIs or sampled ones, and the logits that they are of."""
        self._require_training(images, truth)
        sizes, targets = truth.sizes, truth.targets
        with self._padded(images, sizes):
            pyramid, logits, reasoning = self._features(images, sizes, generator)
            proposals, losses = self._propose(images, sizes, pyramid, targets, generator)
            pyramid = {level: extend(x) for level, x in pyramid.items()}
        things: RegionLogits | None = None
        if self.roi_heads is not None:
            regions = regions or self._sample(proposals, targets, generator)
            found, things = self.roi_heads.losses(pyramid, regions, sizes, targets, reasoning)
            losses |= found
        if self.segmentation is not None and reasoning is not None:
            first = self.segmentation.losses(reasoning.scores, truth)
            losses |= {f"first_{name}": loss for name, loss in first.items()}
            logits = reasoning.logits
        if self.segmentation is not None and logits is not None:
            losses |= self.segmentation.losses(logits, truth)
            losses |= self._panoptic_losses(pyramid, logits, truth, generator)
        if shares is not None:
            losses = shared(losses, shares(self._counts(regions, truth)))
        return losses, Knowledge(regions, things, logits)

    def _panoptic_losses(
        self, pyramid: Features, logits: Tensor, truth: Truth, generator: Generators
    ) -> dict[str, Tensor]:
        """Losses of the panoptic logits, at true boxes."""
        if self.panoptic is None or self.roi_heads is None:
            return {}
        kept = self.panoptic.kept(truth, generator)
        boxes, labels = (
            [target[key][chosen] for target, chosen in zip(truth.targets, kept, strict=True)]
            for key in ("boxes", "labels")
        )
        masks = self.roi_heads.masks_in(pyramid, boxes, labels, truth.sizes)
        return self.panoptic.losses(logits, masks, kept, truth)

    def _require_training(self, images: Tensor, truth: Truth) -> None:
        if not self.training:
            raise RuntimeError("losses need the network in training mode: call network.train() first")
        require_images(images, truth.sizes, self.config.image_divisor)
        require_truth(images, truth)
        require_statistics(self.backbone, truth.sizes)

    def _sample(self, proposals: list[Tensor], targets: Sequence[Target], generator: Generators) -> Regions:
        assert self.roi_heads is not None
        self.roi_heads.fg_bg_sampler.generator = generator
        return self.roi_heads.sample(proposals, targets)

    def _counts(self, regions: Regions | None, truth: Truth) -> Counts:
        """What the losses of the batch whose anchors were drawn last are means over."""
        labelled = (truth.semantic != VOID).sum(dtype=torch.float32)
        counts = {"labelled": labelled, "pixels": labelled}
        if self.rpn is not None and regions is not None:
            labels, number = torch.cat(regions.labels), counts["pixels"].new_full  # unlike new_tensor, without a copy
            counts["anchors"] = number((), self.rpn.fg_bg_sampler.chosen)
            counts["rois"] = number((), len(labels))
            counts["positives"] = (labels > 0).sum(dtype=torch.float32)
        if self.segmentation is not None:
            counts |= self.segmentation.counts(truth)
        if self.panoptic is not None:
            counts |= self.panoptic.counts(truth)
        return counts

    def _propose(
        self, images: Tensor, sizes: Sizes, pyramid: Features, targets: Sequence[Target] | None = None,
        generator: Generators = None,
    ) -> tuple[list[Tensor], dict[str, Tensor]]:  # fmt: skip
        """Proposals of each image, and with targets their losses."""
        if self.rpn is None:
            return [], {}
        self.rpn.fg_bg_sampler.generator = generator
        proposals, found = self.rpn(ImageList(images, list(sizes)), pyramid, targets)
        if targets is None:
            return proposals, {}
        return proposals, {"objectness": found["loss_objectness"], "rpn_box": found["loss_rpn_box_reg"]}

    def predict(
        self, images: Tensor, sizes: Sizes, original_sizes: Sizes, *, least_score: float = 0.0
    ) -> list[Prediction]:
        """Find the things and label the pixels of each image; arguments and errors as of `predict_each`."""
        return list(self.predict_each(images, sizes, original_sizes, least_score=least_score))

    @torch.no_grad()
    def predict_each(
        self, images: Tensor, sizes: Sizes, original_sizes: Sizes, *, least_score: float = 0.0
    ) -> Iterator[Prediction]:
        """Find the things of a batch at once, and yield each image's when its masks and labels have been made.

        At the original size masks take far more memory than all else, so that those of one image are there at a time.

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
        require_images(images, sizes, self.config.image_divisor)
        if len(original_sizes) != len(images):
            raise ValueError(f"{len(images)} images need as many original sizes, not {len(original_sizes)}")
        with self._padded(images, sizes):
            pyramid, logits, reasoning = self._features(images, sizes)
            proposals, _ = self._propose(images, sizes, pyramid)
            pyramid = {level: extend(x) for level, x in pyramid.items()}
        detections = self._detect(images, sizes, pyramid, proposals, least_score, reasoning)
        logits = reasoning.logits if reasoning else logits
        for index, one in enumerate(zip(detections, sizes, original_sizes, strict=True)):
            yield self._prediction(None if logits is None else logits[index], *one, images.device)

    def _prediction(
        self, logits: Tensor | None, found: Detections, size: tuple[int, int], original_size: tuple[int, int],
        device: torch.device,
    ) -> Prediction:  # fmt: skip
        """What is said of one image."""
        things = things_at(found, size, original_size, self.config)
        semantic = self._semantic_at(logits, size, original_size, device)
        if self.panoptic is None or logits is None:
            return Prediction(*things, semantic)
        return Prediction(*things, semantic, self.panoptic.scores(logits.float(), found, size, original_size))

    def _semantic_at(
        self, logits: Tensor | None, size: tuple[int, int], original_size: tuple[int, int], device: torch.device
    ) -> Tensor:
        """Labels 0..S of one image at its original size, which are 0 without stuff."""
        if self.segmentation is None or logits is None:
            return torch.zeros(original_size, dtype=torch.int64, device=device)
        return self.segmentation.semantic(label_pixels(logits.float(), size, original_size))

    def _features(
        self, images: Tensor, sizes: Sizes, generator: Generators = None
    ) -> tuple[Features, Tensor | None, Reasoning | None]:
        """The modulated pyramid, the segmentation logits at stride 4, and what is reasoned when regions are known."""
        images = images.contiguous(memory_format=memory_format(images.device))
        pyramid = self.neck(self.backbone(blank(images)))
        if self.segmentation is None:
            return pyramid, None, None
        background = self.segmentation(pyramid)
        if self.foreground_to_background is not None and self.background_to_foreground is not None:
            to_background = self.foreground_to_background(pyramid, sizes)
            to_foreground = self.background_to_foreground(background, sizes)
            background, pyramid = modulate(background, to_background), modulate(pyramid, to_foreground)
        if self.graph is None:
            return pyramid, self.segmentation.classify(background), None
        pixels, own = self.segmentation.joined(background), apart(generator)
        logits = self.segmentation.score_pixels(pixels)
        return pyramid, logits, Reasoning(self.graph, pixels, logits, logits, lambda: self._padded(images, sizes), own)

    def _padded(self, images: Tensor, sizes: Sizes) -> AbstractContextManager[None]:
        return padded(images, sizes) if self.config.padding_ignored else nullcontext()

    def _detect(
        self,
        images: Tensor,
        sizes: Sizes,
        pyramid: Features,
        proposals: list[Tensor],
        least_score: float,
        reasoning: Reasoning | None,
    ) -> list[Detections]:
        if self.roi_heads is None:
            return [Detections.none(images.device) for _ in sizes]
        found: list[Detections] = self.roi_heads(pyramid, proposals, sizes, least_score, reasoning)
        return found
