"""An exported network at work: onnxruntime computes, and this suppresses what overlaps between the graphs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork
from torchvision.ops._utils import convert_boxes_to_roi_format
from torchvision.transforms.v2 import functional

from autopanoptic.nas import Architecture
from autopanoptic.panoptic.data.coco.images import Pixels
from autopanoptic.panoptic.data.segments import PanopticMap
from autopanoptic.panoptic.export.export import REPORT
from autopanoptic.panoptic.export.graphs import POOLED
from autopanoptic.panoptic.export.onnx_graphs import OnnxGraph, require
from autopanoptic.panoptic.export.plans import BOXES, DENSE, MASKS, Inputs, Size, least_side
from autopanoptic.panoptic.model.config import PYRAMID_STRIDES, PanopticConfig
from autopanoptic.panoptic.model.designs.names import design_of
from autopanoptic.panoptic.model.heads.roi import Detections
from autopanoptic.panoptic.model.heads.rpn import build_rpn
from autopanoptic.panoptic.model.heads.segmentation import label_pixels, stuff_labels
from autopanoptic.panoptic.model.merge.predicted import map_of
from autopanoptic.panoptic.model.neck.levels import LEVELS
from autopanoptic.panoptic.model.parts.kinds import CLASS_SCORES, SemanticHead
from autopanoptic.panoptic.model.parts.registry import part_of
from autopanoptic.panoptic.model.prediction import Prediction, paste_masks
from autopanoptic.panoptic.model.shapes import FeatureShape
from autopanoptic.panoptic.results.json_files import read_object
from autopanoptic.panoptic.results.saved import ARCHITECTURE, CONFIG, read_config
from autopanoptic.panoptic.results.usage import Usage


class OnnxNetwork:
    """A network that was exported to ONNX, run by onnxruntime.

    Args:
        folder: Of the export.
        threads: That compute; None for as many as torch has.
        providers: Where the graphs are run, in onnxruntime's names.

    Attributes:
        config: The network's, with the thresholds.
        usage: The classes, and the rules of merging.
        size: Height and width that all images must have; None for any multiples of the config's ``image_divisor``.

    Raises:
        FileNotFoundError: If the folder holds no export to ONNX.
        ImportError: If onnxruntime is missing.
        ValueError: If files are damaged.
    """

    def __init__(
        self, folder: str | Path, threads: int | None = None, providers: Sequence[str] = ("CPUExecutionProvider",)
    ) -> None:
        require(("onnxruntime",))
        folder = Path(folder)
        if not (folder / REPORT).is_file() or not (folder / f"{DENSE}.onnx").is_file():
            raise FileNotFoundError(f"{folder} holds no export to ONNX: {REPORT} or {DENSE}.onnx is missing")
        self.size: Size | None = _size_of(folder / REPORT)
        self.config = read_config(folder / CONFIG)
        self.usage = Usage.load(folder)
        head = design_of(self.config, Architecture.load(folder / ARCHITECTURE))["semantic_head"]
        self._of_all_classes = CLASS_SCORES in part_of(SemanticHead, head).gives
        names = (DENSE, BOXES, MASKS) if self.config.num_things else (DENSE,)
        self._graphs = {name: OnnxGraph(folder / f"{name}.onnx", threads, providers) for name in names}
        if self.config.num_things:
            self._proposals, self._detections = _proposals_of(self.config), _detections_of(self.config)

    def recognise(self, image: Pixels) -> PanopticMap:
        """Return what is found on one image (H, W, 3) of RGB, as a map of its size."""
        height, width = image.shape[:2]
        pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float()
        resized = functional.resize(pixels, list(self._seen(height, width)), antialias=True)
        rules = self.usage.rules
        (found,) = self.predict(resized, [(height, width)], least_score=rules.score_threshold)
        panoptic = map_of(found, self.usage.categories, rules)
        return replace(panoptic, ids=panoptic.numpy())

    def predict(self, images: Tensor, original_sizes: Sequence[Size], *, least_score: float = 0.0) -> list[Prediction]:
        """Find the things and label the pixels of each image, as `PanopticNetwork.predict` does.

        Args:
            images: RGB, 0 to 255, (B, 3, H, W), of the size of the export.
            original_sizes: Height and width of each wanted map.
            least_score: Things of a lower score are left out, 0 to 1.

        Raises:
            ValueError: If the images' size is not the export's, or there are not as many original sizes.
        """
        size = (images.shape[-2], images.shape[-1])
        self._check(size)
        if len(original_sizes) != len(images):
            raise ValueError(f"{len(images)} images need as many original sizes, not {len(original_sizes)}")
        maps = self._graphs[DENSE]({"images": images.float()})
        found = self._detect(maps, size, len(images), least_score)
        semantics = [self._semantic(maps, index, size, original) for index, original in enumerate(original_sizes)]
        return [
            Prediction(*self._placed(things, size, original), semantic)
            for things, original, semantic in zip(found, original_sizes, semantics, strict=True)
        ]

    def _check(self, size: Size) -> None:
        divisor = self.config.image_divisor
        least = least_side(divisor)
        if self.size is not None and size != self.size:
            raise ValueError(f"the network was exported for images of {self.size[0]}x{self.size[1]} pixels, not {size}")
        if self.size is None and any(side % divisor or side < least for side in size):
            raise ValueError(f"images must have sides of at least {least} pixels, multiples of {divisor}, not {size}")

    def _seen(self, height: int, width: int) -> Size:
        """The size to which an image is resized."""
        if self.size is not None:
            return self.size
        divisor = self.config.image_divisor
        rounded = [round(side / divisor) * divisor for side in self.usage.transform.size(height, width)]
        return max(rounded[0], least_side(divisor)), max(rounded[1], least_side(divisor))

    def _detect(self, maps: Inputs, size: Size, images: int, least_score: float) -> list[Detections]:
        nothing = [Detections.none(torch.device("cpu"))] * images
        if not self.config.num_things:
            return nothing
        sizes = [size] * images
        # The split head takes the two apart again.
        both = {level: torch.cat((maps[f"objectness_{level}"], maps[f"deltas_{level}"]), dim=1) for level in LEVELS}
        blank = torch.empty((images, 3, 0, 0))
        proposals, _ = self._proposals(ImageList(blank, sizes), both)
        if not any(map(len, proposals)):
            return nothing
        pyramid = {level: maps[level] for level in POOLED}
        found = self._graphs[BOXES]({**pyramid, "rois": convert_boxes_to_roi_format(proposals)})
        each = self._detections.postprocess_detections(found["class_logits"], found["box_deltas"], proposals, sizes)
        kept = [
            [part[scores.double() >= least_score] for part in (boxes, scores, labels)]
            for boxes, scores, labels in zip(*each, strict=True)
        ]
        masks = self._masks(pyramid, [boxes for boxes, _, _ in kept], [labels for _, _, labels in kept])
        return [Detections(box, score, label, mask) for (box, score, label), mask in zip(kept, masks, strict=True)]

    def _masks(self, pyramid: Inputs, boxes: list[Tensor], labels: list[Tensor]) -> Sequence[Tensor]:
        rois, of_all = convert_boxes_to_roi_format(boxes), torch.cat(labels)
        if not len(rois):
            return [torch.zeros((0, 1, 1)) for _ in boxes]
        masks = self._graphs[MASKS]({**pyramid, "rois": rois, "labels": of_all})["masks"]
        return torch.split_with_sizes(masks, [len(one) for one in boxes])

    def _semantic(self, maps: Inputs, index: int, size: Size, original: Size) -> Tensor:
        if not self.config.num_stuff:
            return torch.zeros(original, dtype=torch.int64)
        labels = label_pixels(maps["segmentation"][index], size, original)
        return stuff_labels(labels, self.config.num_stuff) if self._of_all_classes else labels

    def _placed(self, found: Detections, size: Size, original: Size) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        scale = found.boxes.new_tensor((original[1] / size[1], original[0] / size[0]) * 2)
        boxes, config = found.boxes * scale, self.config
        masks = paste_masks(found.masks, boxes, original, config.mask_threshold, aligned=config.mask_aligned)
        return boxes, found.scores, found.labels, masks


class _SplitHead(nn.Module):
    """In the place of a proposal head: its outputs, which were computed before, are taken apart."""

    def __init__(self, anchors: int) -> None:
        super().__init__()
        self.anchors = anchors

    def forward(self, both: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        return [x[:, : self.anchors] for x in both], [x[:, self.anchors :] for x in both]


def _proposals_of(config: PanopticConfig) -> RegionProposalNetwork:
    shapes = {level: FeatureShape(0, stride) for level, stride in zip(LEVELS, PYRAMID_STRIDES, strict=True)}
    rpn = build_rpn(config, shapes, _SplitHead(len(config.anchor_ratios)))
    rpn.eval()
    return rpn


def _detections_of(config: PanopticConfig) -> RoIHeads:
    """What chooses detections, without the heads that find them."""
    return RoIHeads(
        None, None, None,
        fg_iou_thresh=config.box_foreground_iou,
        bg_iou_thresh=config.box_background_iou,
        batch_size_per_image=config.box_samples,
        positive_fraction=config.box_positive_fraction,
        bbox_reg_weights=config.box_regression_weights,
        score_thresh=config.box_score_threshold,
        nms_thresh=config.box_nms_iou,
        detections_per_img=config.detections_per_image,
    )  # fmt: skip


def _size_of(report: Path) -> Size | None:
    """Return the size of the images of an export; None where it is free."""
    images = read_object(report).get("images")
    try:
        return (int(images["height"]), int(images["width"])) if images["fixed"] else None  # type: ignore[index]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{report} is damaged: it does not say of which images the export is") from error
