"""The published systems by name, for which a config writes ``network.model``: the parts, losses and rules of each.

A name stands for these values and nothing else: a network is what its parts are, and whatever stands beside the name,
such as another ``segmentation_loss_weight``, is kept. Every other place asks for parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

MODEL = "model"
"""The key, in the section `NETWORK`."""
NETWORK, MERGE = "network", "merge"


@dataclass(frozen=True)
class Model:
    """A published system.

    Attributes:
        parts: The components by which it is known, keys of ``network``.
        network: What else of ``network`` goes with them: the weights of losses, and the box head where it is said.
        merge: What of ``merge`` does. The least area of stuff stays the config's, for it goes with the images' size.
        source: The paper.
    """

    parts: Mapping[str, str]
    network: Mapping[str, Any] = field(default_factory=dict)
    merge: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""


_UPSNET = {
    "segmentation_loss_weight": 0.2,
    "roi_segmentation_loss_weight": 0.04,
    "panoptic_loss_weight": 0.1,
    "box_head": "two-fc",
}
MODELS: dict[str, Model] = {
    "auto-panoptic": Model(
        {"semantic_head": "searched", "mask_head": "searched", "fusion": "attention", "panoptic_head": "merge"},
        source="Wu et al. 2020",
    ),
    "panoptic-fpn": Model(
        {"semantic_head": "panoptic-fpn", "mask_head": "plain", "fusion": "none", "panoptic_head": "merge"},
        network={"segmentation_loss_weight": 0.5, "box_head": "two-fc"},
        merge={"order": "score", "score_threshold": 0.5, "overlap_threshold": 0.5},
        source="Kirillov et al. 2019, Panoptic feature pyramid networks",
    ),
    "upsnet": Model(
        {"semantic_head": "upsnet", "mask_head": "plain", "fusion": "none", "panoptic_head": "upsnet"},
        network=_UPSNET,
        merge={"order": "score", "score_threshold": 0.6, "overlap_threshold": 0.3},
        source="Xiong et al. 2019",
    ),
    "sognet": Model(
        {"semantic_head": "upsnet", "mask_head": "plain", "fusion": "none", "panoptic_head": "sognet"},
        network={**_UPSNET, "relation_loss_weight": 1.0},
        merge={"order": "score", "score_threshold": 0.6, "overlap_threshold": 0.3},
        source="Yang et al. 2020",
    ),
    "bgrnet": Model(  # whose pixels have a loss before the graph and one behind it: together they weigh 0.5
        {"semantic_head": "upsnet", "mask_head": "plain", "fusion": "graph", "panoptic_head": "merge"},
        network={"segmentation_loss_weight": 0.25, "roi_segmentation_loss_weight": 0.0, "box_head": "two-fc"},
        merge={"order": "score", "score_threshold": 0.5, "overlap_threshold": 0.5},
        source="after Wu et al. 2020, BGRNet",
    ),
}
"""Each model by its name."""


def with_model(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a config with what a model consists of in place of its name.

    Args:
        values: Nested, of one file or one command line; what is no section is left as it is.

    Raises:
        ValueError: If there is no such model; begins with the key.
    """
    found, network = dict(values), values.get(NETWORK)
    if not isinstance(network, Mapping) or MODEL not in network:
        return found
    model = model_named(network[MODEL])
    own = {key: value for key, value in network.items() if key != MODEL}
    found[NETWORK] = {**model.parts, **model.network, **own}
    if model.merge and isinstance(merge := values.get(MERGE, {}), Mapping):
        found[MERGE] = {**model.merge, **merge}
    return found


def without_model(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a config without a model's name, and without what it stands for; see `with_model`."""
    found, network = dict(values), values.get(NETWORK)
    if isinstance(network, Mapping):
        found[NETWORK] = {key: value for key, value in network.items() if key != MODEL}
    return found


def model_named(name: object) -> Model:
    """Return the model of a name.

    Raises:
        ValueError: If there is none; begins with the key and names one that is spelled alike.
    """
    known = MODELS.get(name.lower()) if isinstance(name, str) else None
    if known is None:
        close = get_close_matches(str(name).lower(), MODELS, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise ValueError(f"{NETWORK}.{MODEL} must be one of {', '.join(MODELS)}, not {name!r}{hint}")
    return known


def name_of(parts: Mapping[str, object]) -> str | None:
    """Return the name of the model that has these components, by their fields; None where they are mixed."""
    return next((name for name, model in MODELS.items() if model.parts.items() <= parts.items()), None)
