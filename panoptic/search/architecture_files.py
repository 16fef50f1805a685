"""Architectures that ship with the package, and Auto-Panoptic's published result files.

A published file is a JSON list of ``{"backbone": [...], "head": [...], "inter": [...]}`` with option indices: a block
each; the mask layers, then the segmentation layers; the units ``f2b``, then ``b2f``. Its code reads index 2 of a unit,
r16, as 6; here it is r16, and 6 where ``fusion_reductions`` of the config says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

from autopanoptic.nas import Architecture
from autopanoptic.nas.storage.files import whole
from autopanoptic.panoptic.configs.widths import WIDTHS
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.config_checks import SEARCHED_BACKBONE
from autopanoptic.panoptic.model.designs.names import HEAD
from autopanoptic.panoptic.model.operators.options import BLOCK_OPTIONS, FUSION_OPTIONS, HEAD_OPTIONS
from autopanoptic.panoptic.model.parts.fitting import PUBLISHED

_OPTIONS = {"backbone": BLOCK_OPTIONS, "head": HEAD_OPTIONS, "inter": FUSION_OPTIONS}
_COUNTED = ("backbone", "mask", "segmentation")
_UNITS = [f"f2b.p{level}" for level in range(2, 6)] + [f"b2f.p{level}" for level in range(2, 7)]


def shipped() -> list[str]:
    """Names of the architectures that ship with the package."""
    folder = resources.files("autopanoptic.panoptic.search") / "architectures"
    return sorted(file.name.removesuffix(".json") for file in folder.iterdir() if file.name.endswith(".json"))


def load_shipped(name: str) -> Architecture:
    """An architecture that Auto-Panoptic found: ``"coco_3.8g"`` or ``"ade_3.8g"``.

    Their networks are ``PanopticConfig.coco(80, 53, searched=True)`` and ``PanopticConfig.coco(100, 50,
    searched=True)``.

    Raises:
        ValueError: No architecture of this name ships.
    """
    if name not in shipped():
        raise ValueError(f"no architecture {name!r} ships with the package; there are {', '.join(shipped())}")
    with resources.as_file(resources.files("autopanoptic.panoptic.search") / "architectures" / f"{name}.json") as path:
        return Architecture.load(path)


def read_architecture_file(path: str | Path, config: PanopticConfig | None = None) -> Architecture:
    """Read one architecture: a JSON object of options by their labels, or a published result file.

    Args:
        path: The file.
        config: As of `read_published`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file holds neither, or several architectures.
    """
    try:
        published = isinstance(json.loads(Path(path).read_text()), list)
    except ValueError:
        published = False  # `Architecture.load` says what is wrong
    if not published:
        return Architecture.load(path)
    found = read_published(path, config)
    if len(found) != 1:
        raise ValueError(f"{path} holds {len(found)} architectures; give a file of one")
    return found[0]


def read_published(path: str | Path, config: PanopticConfig | None = None) -> list[Architecture]:
    """Read the architectures of a published result file.

    Args:
        path: The JSON file.
        config: The network they are for; None for the published ones, with the blocks of any of their widths.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no such list, or does not fit the config.
    """
    records = read_records(path, "backbone, head and inter")
    try:
        return [from_published(record, config) for record in records]
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def options_for(config: PanopticConfig, architecture: Mapping[str, Any]) -> list[str]:
    """Return the options of a run with which an architecture fits its networks, as far as its labels tell.

    Args:
        config: Of the networks that it does not fit.
        architecture: Of any space.
    """
    if HEAD in architecture:
        return [] if config.space == PUBLISHED else [f"--space {PUBLISHED}"]
    counts = {part: sum(label.startswith(f"{part}.") for label in architecture) for part in _COUNTED}
    if not counts["backbone"] or f"backbone.{counts['backbone'] - 1}" not in architecture:
        elastic = any(label.startswith("backbone.c") for label in architecture)
        return ["--space elastic"] if elastic and config.space != "elastic" else []
    options = [] if config.space == "auto-panoptic" else ["--space auto-panoptic"]
    if config.backbone != SEARCHED_BACKBONE:
        options.append("--backbone search")
    if counts["backbone"] != sum(config.stage_depths):
        widths = {sum(width["stage_depths"]): name for name, width in WIDTHS.items()}
        options.append(
            f"--width {widths[counts['backbone']]}" if counts["backbone"] in widths else "other stage_depths"
        )
    for part in ("mask", "segmentation"):
        if counts[part] not in (0, getattr(config, field := f"{part}_layers")):
            options.append(f"--set network.{field}={counts[part]}")
    return options


def read_records(path: str | Path, keys: str) -> list[Any]:
    """Read a list from a JSON file of the published code.

    Args:
        path: The file.
        keys: Of the objects in it, for messages.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file holds something else, or nothing.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    try:
        records = json.loads(Path(path).read_text())
    except ValueError as error:
        raise ValueError(f"{path} is not a JSON file: {error}") from error
    if not isinstance(records, list) or not records:
        raise ValueError(f"{path} must hold a list of objects with {keys}")
    return records


def write_published(
    path: str | Path, architectures: Iterable[Mapping[str, Any]], config: PanopticConfig | None = None
) -> None:
    """Write architectures as a published result file; `read_published` gives them back.

    Raises:
        ValueError: An architecture does not fit the config.
    """
    records = [to_published(architecture, config) for architecture in architectures]
    with whole(path) as partial:
        partial.write_text(json.dumps(records) + "\n")


def from_published(record: Mapping[str, Sequence[int]], config: PanopticConfig | None = None) -> Architecture:
    """The architecture of one published object of option indices.

    Raises:
        ValueError: A part is missing, has another length than the config's network, or an index is out of range.
    """
    options: dict[str, Any] = {}
    for part, labels in _labels(config or _published_config(record)).items():
        indices = record.get(part) if isinstance(record, Mapping) else None
        if not isinstance(indices, list) or len(indices) != len(labels):
            raise ValueError(f"{part!r} must be a list of {len(labels)} option indices, not {indices!r}")
        for label, index in zip(labels, indices, strict=True):
            if type(index) is not int or not 0 <= index < len(_OPTIONS[part]):
                raise ValueError(f"{part!r} holds {index!r}; indices go from 0 to {len(_OPTIONS[part]) - 1}")
            options[label] = _OPTIONS[part][index]
    return Architecture(options)


def to_published(architecture: Mapping[str, Any], config: PanopticConfig | None = None) -> dict[str, list[int]]:
    """The published object of one architecture.

    Raises:
        ValueError: The architecture lacks a choice of the config's network, holds another (such as ``neck``, which
            the published format cannot express), or an option is unknown.
    """
    blocks = [label for label in architecture if label.startswith("backbone.")]
    parts = _labels(config or _published_config({"backbone": blocks}))
    wanted = {label for labels in parts.values() for label in labels}
    if wanted != set(architecture):
        odd = sorted(wanted.symmetric_difference(architecture))
        raise ValueError(f"the published format holds exactly the network's choices; they differ in {odd}")
    return {part: [_index(part, label, architecture[label]) for label in parts[part]] for part in parts}


def _published_config(record: Mapping[str, Any]) -> PanopticConfig:
    """Return the published network with so many blocks as a record has, or with those of the paper."""
    found = record.get("backbone") if isinstance(record, Mapping) else None
    depths = {sum(width["stage_depths"]): width["stage_depths"] for width in WIDTHS.values()}
    blocks = len(found) if isinstance(found, list) else None
    coco = PanopticConfig.coco()
    return replace(coco, stage_depths=depths[blocks]) if blocks in depths else coco


def _index(part: str, label: str, option: object) -> int:
    if option not in _OPTIONS[part]:
        raise ValueError(f"{label} has no option {option!r}; there are {', '.join(_OPTIONS[part])}")
    return _OPTIONS[part].index(str(option))


def _labels(config: PanopticConfig) -> dict[str, list[str]]:
    """Labels of the choices in each published part, in the published order."""
    if config.backbone != SEARCHED_BACKBONE:
        raise ValueError(
            f"the published format is that of networks whose backbone is searched, and the backbone is "
            f"{config.backbone}; take --backbone search"
        )
    if not config.num_things or not config.num_stuff:
        raise ValueError(
            f"the published format is that of networks for things and stuff, not for {config.num_things} thing and "
            f"{config.num_stuff} stuff classes"
        )
    mask = [f"mask.{index}" for index in range(config.mask_layers)]
    segmentation = [f"segmentation.{index}" for index in range(config.segmentation_layers)]
    backbone = [f"backbone.{index}" for index in range(sum(config.stage_depths))]
    return {"backbone": backbone, "head": mask + segmentation, "inter": _UNITS}
