"""A backbone's weights on disk: those of a whole supernet, or of one architecture, which stands beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from autopanoptic.nas import Architecture, Option
from autopanoptic.panoptic.model.backbone.backbone import Backbone
from autopanoptic.panoptic.model.weights import difference, read_tensors, write_tensors

STATE, ARCHITECTURE, CHANNELS = "state_dict", "architecture", "channels"
PREFIX = "backbone."
PRETRAINING, BACKBONE = "pretraining", "backbone.pt"
"""Folder of a run's pretraining, and the file of the weights that one has given."""


def pretraining_folder(run: Path, architecture: Mapping[str, Option] | None = None) -> Path:
    """Return where a run keeps a pretraining: its supernet's, or that of an architecture's backbone.

    Architectures whose backbones are alike share one.
    """
    return run / PRETRAINING / ("supernet" if architecture is None else backbone_part(architecture).id)


def load_backbone(backbone: nn.Module, path: Path) -> None:
    """Give a backbone the weights of a file that `save_backbone` has written.

    Raises:
        ValueError: If the file is damaged, or of another backbone.
    """
    found = read_tensors(path)
    state: Any = found.get(STATE) if isinstance(found, dict) else found
    problem = difference(backbone.state_dict(), state)
    if problem:
        raise ValueError(f"{path} does not hold the weights of this backbone: {problem}")
    backbone.load_state_dict(state)


def save_backbone(backbone: Backbone, path: Path, architecture: Architecture | None = None) -> None:
    """Write a backbone's state dict such that the file is either whole or not there.

    Args:
        backbone: A supernet's, or that of one architecture.
        path: The file.
        architecture: Of the backbone, whose blocks and channels of C2 to C5 the file then has, too; None for a
            supernet's, which holds all options.
    """
    found: dict[str, Any] = {STATE: {name: value.cpu() for name, value in backbone.state_dict().items()}}
    if architecture is not None:
        # Labels may be of NNI's own kind of text, which a file for weights_only=True must not hold.
        found[ARCHITECTURE] = json.loads(json.dumps(architecture.to_json()))
        found[CHANNELS] = [int(shape.channels) for shape in backbone.output_shape.values()]
    write_tensors(found, path)


def backbone_part(architecture: Mapping[str, Option]) -> Architecture:
    """Return the choices that are the backbone's."""
    return Architecture({label: option for label, option in architecture.items() if label.startswith(PREFIX)})


def architecture_in(found: Any) -> Architecture | None:
    """Return the architecture whose backbone alone a file holds; None where it holds no single one."""
    given = found.get(ARCHITECTURE) if isinstance(found, dict) and STATE in found else None
    return Architecture(given) if isinstance(given, dict) else None


def other_backbone(own: Architecture, wanted: Mapping[str, Option]) -> str | None:
    """Say in which blocks a backbone is not the wanted architecture's; None where it is."""
    theirs = backbone_part(wanted)
    odd = [label for label in {**own, **theirs} if own.get(label) != theirs.get(label)]
    if not odd:
        return None
    first = odd[0]
    return (
        f"it holds the backbone of another architecture, which differs in {len(odd)} of {len({**own, **theirs})} "
        f"choices, such as {first} ({own.get(first)}, not {theirs.get(first)})"
    )
