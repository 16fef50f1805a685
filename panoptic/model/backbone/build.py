"""The config's backbone: searched, or a fixed one, whose weights are usually pretrained and partly frozen."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from autopanoptic.panoptic.model.backbone.backbone import Backbone
from autopanoptic.panoptic.model.backbone.efficientnet_lite import EfficientNetLite0
from autopanoptic.panoptic.model.backbone.resnet import ResNet50
from autopanoptic.panoptic.model.backbone.shufflenet import FoundBackbone, SearchedBackbone
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.config_checks import FOUND_BACKBONES, SEARCHED_BACKBONE
from autopanoptic.panoptic.model.padding import FrozenBatchNorm2d

_KINDS: dict[str, Callable[[PanopticConfig], Backbone]] = {
    SEARCHED_BACKBONE: SearchedBackbone,
    "resnet50": ResNet50,
    "efficientnet-lite0": EfficientNetLite0,
    **dict.fromkeys(FOUND_BACKBONES, FoundBackbone),
}


def build_backbone(config: PanopticConfig) -> Backbone:
    """Build the config's backbone, frozen as far as the config says where it is a fixed one.

    Raises:
        ValueError: The backbone is a file of weights, of which `with_known_backbone` says what it holds.
    """
    if config.backbone not in _KINDS:
        raise ValueError(
            f"backbone={config.backbone!r} is a file of weights, if anything; with_known_backbone(config) reads which "
            f"of {', '.join(_KINDS)} it holds"
        )
    backbone = _KINDS[config.backbone](config)
    _freeze(backbone, config.frozen_parts, norms=config.has_frozen_norms)
    return backbone


def _freeze(backbone: Backbone, parts: int, *, norms: bool) -> None:
    """Freeze the first parts of a backbone, the stem and the stages; and all batch norms."""
    for number, part in enumerate((backbone.stem, *backbone.stages.values()), 1):
        if number <= parts:
            part.requires_grad_(False)
        if norms or number <= parts:
            _freeze_norms(part)


def _freeze_norms(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, FrozenBatchNorm2d(child.num_features, child.eps))
        else:
            _freeze_norms(child)
