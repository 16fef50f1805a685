"""The networks that are compared, each with a loss and a prediction of a batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.detection import maskrcnn_resnet50_fpn

from autopanoptic.nas import Supernet
from autopanoptic.nas.supernet.state import seeded
from autopanoptic.panoptic.configs.models import MODELS
from autopanoptic.panoptic.data.categories import Categories, Category
from autopanoptic.panoptic.data.loading.batch import LabelledBatch
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.merge.predicted import map_of
from autopanoptic.panoptic.model.merge.rules import MergeRules
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.operators.deform import FLOP_FORMULAS
from autopanoptic.panoptic.results.saved import new_network
from autopanoptic.panoptic.search.strategies import hand_made

COUNTS = (80, 53)
"""Thing and stuff classes of COCO."""


@dataclass(frozen=True)
class Contestant:
    """A network with random weights.

    Attributes:
        network: On its device.
        loss: Of a batch, in training mode.
        predict: Everything until the result lies on the device, in eval mode. No score is too low, so that as many
            things are pasted and merged as the network finds at most.
    """

    network: nn.Module
    loss: Callable[[LabelledBatch], Tensor]
    predict: Callable[[LabelledBatch], Any]

    def gflops(self, batch: LabelledBatch, *, training: bool) -> float:
        """Return the work of one image, forth alone, a multiply and an add as one, by torch's counter."""
        self.network.train(training)
        with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=FLOP_FORMULAS) as counter:
            (self.loss if training else self.predict)(batch)
        return counter.get_total_flops() / 2 / len(batch) / 1e9


def of_model(name: str, size: tuple[int, int], device: torch.device) -> Contestant:
    """Return a model of the library for COCO's classes, each choice made by hand."""
    model = MODELS[name]
    plain = replace(PanopticConfig.coco(*COUNTS), box_score_threshold=0.0)
    config = PanopticConfig.from_json({**plain.to_json(), **model.parts, **model.network})
    with torch.device("meta"):
        space = Supernet(PanopticNetwork(config)).space
    with seeded(0):
        network = new_network(config, hand_made(space)).to(device)
    categories = Categories([Category(i + 1, str(i), i < COUNTS[0], (i, 0, 0)) for i in range(sum(COUNTS))])
    rules = MergeRules(score_threshold=0.0)

    def loss(batch: LabelledBatch) -> Tensor:
        generator = torch.Generator(device).manual_seed(0)
        return network.losses(batch.images, batch.sizes, batch.targets, batch.semantic, generator=generator)["total"]

    def predict(batch: LabelledBatch) -> Any:
        found = network.predict(batch.images, batch.sizes, batch.original_sizes)
        return [map_of(one, categories, rules) for one in found]

    return Contestant(network, loss, predict)


def mask_rcnn(size: tuple[int, int], device: torch.device) -> Contestant:
    """Return torchvision's Mask R-CNN with a ResNet-50, for images that are resized and normalised already."""
    with seeded(0):
        network = maskrcnn_resnet50_fpn(
            weights=None, weights_backbone=None, num_classes=1 + COUNTS[0], min_size=min(size), max_size=max(size),
            image_mean=[0.0] * 3, image_std=[1.0] * 3, box_score_thresh=-1.0,
        ).to(device)  # fmt: skip

    def images_of(batch: LabelledBatch) -> list[Tensor]:
        return [image[:, :h, :w] for image, (h, w) in zip(batch.images, batch.sizes, strict=True)]

    def loss(batch: LabelledBatch) -> Tensor:
        targets = [{**target, "masks": target["masks"].whole().to(torch.uint8)} for target in batch.targets]
        found: dict[str, Tensor] = network(images_of(batch), targets)
        return torch.stack(list(found.values())).sum()

    return Contestant(network, loss, lambda batch: network(images_of(batch)))


def mask2former(size: tuple[int, int], device: torch.device) -> Contestant:
    """Return the Mask2Former of transformers with a ResNet-50, its configuration's own sizes otherwise."""
    from transformers import (
        Mask2FormerConfig,
        Mask2FormerForUniversalSegmentation,
        Mask2FormerImageProcessor,
        ResNetConfig,
    )

    stages = ["stage1", "stage2", "stage3", "stage4"]
    config = Mask2FormerConfig(backbone_config=ResNetConfig(out_features=stages), num_labels=sum(COUNTS))
    with seeded(0):
        network = Mask2FormerForUniversalSegmentation(config).to(device)
    processor = Mask2FormerImageProcessor()

    def loss(batch: LabelledBatch) -> Tensor:
        masks, labels = zip(*(_segments(batch, index) for index in range(len(batch))), strict=True)
        found: Tensor = network(pixel_values=batch.images, mask_labels=list(masks), class_labels=list(labels)).loss
        return found

    def predict(batch: LabelledBatch) -> Any:
        sizes = list(batch.original_sizes)
        return processor.post_process_panoptic_segmentation(network(pixel_values=batch.images), 0.0, target_sizes=sizes)

    return Contestant(network, loss, predict)


def _segments(batch: LabelledBatch, index: int) -> tuple[Tensor, Tensor]:
    """The things and the stuff of an image as masks (N, H, W) of the batch's size, and their classes (N,)."""
    target, semantic = batch.targets[index], batch.semantic[index]
    height, width = batch.sizes[index]
    around = (0, semantic.shape[1] - width, 0, semantic.shape[0] - height)
    things = nn.functional.pad(target["masks"].whole().float(), around)
    stuff = [label for label in range(1, COUNTS[1] + 1) if bool((semantic == label).any())]
    masks = torch.stack([(semantic == label).float() for label in stuff])
    classes = torch.tensor([COUNTS[0] + label - 1 for label in stuff], device=semantic.device)
    return torch.cat((things, masks)), torch.cat((target["labels"] - 1, classes))


CONTESTANTS: dict[str, Callable[[tuple[int, int], torch.device], Contestant]] = {
    "hand-made": partial(of_model, "auto-panoptic"),
    "Mask R-CNN": mask_rcnn,
    **({"Mask2Former": mask2former} if find_spec("transformers") else {}),
    **{name: partial(of_model, name) for name in MODELS if name != "auto-panoptic"},
}
"""By name, those that this environment has the libraries for."""
