"""The found network: drawn stage by stage, listed, and how to load it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from shlex import quote

from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.report.blocks import Block, Cell, Code, Figure, Lacking, Paragraph, Section, Table
from autopanoptic.panoptic.report.images import drawn
from autopanoptic.panoptic.report.run import Run
from autopanoptic.panoptic.results.drawing import draw_network
from autopanoptic.panoptic.results.outline import Layer, Outline
from autopanoptic.panoptic.results.saved import CONFIG, WEIGHTS, new_network, read_config
from autopanoptic.panoptic.stages.networks import network_config

LOADING = """\
from autopanoptic.panoptic.data.coco.images import read_image
from autopanoptic.panoptic.trained.networks import load_trained
from autopanoptic.panoptic.trained.predict import recognise
trained = load_trained({folder})
panoptic = recognise(trained, read_image("photo.jpg"))
"""


def network_section(run: Run) -> Section:
    """Return the network's parts as a drawing and as a table."""
    return Section("network", "The found network", list(_blocks(run)))


def _blocks(run: Run) -> Iterator[Block]:
    try:
        network = new_network(_config(run), run.found)
    except (ValueError, KeyError, OSError) as error:
        yield Lacking(f"The network could not be built, so it is not drawn: {error}")
        return
    if run.chosen is None:
        yield Lacking("The run has not chosen its network yet. This is the best candidate of the search so far.")
    outline = Outline.of(network, run.found)
    alt = "Stem and stages of the backbone, pyramid, fusion units and heads of the network; the table says the same."
    yield Figure(drawn(partial(_draw, network, run), alt), "Boxes are layers, with the channels that they give")
    yield _parts(outline)


def _config(run: Run) -> PanopticConfig:
    """Return the config of the found network: as it was saved, or as the settings say, where it is not trained yet."""
    saved = run.network_folder(run.shown) / CONFIG
    if saved.is_file():
        return read_config(saved)
    return network_config(run.settings, run.categories, searched=True)


def _draw(network: PanopticNetwork, run: Run, path: Path) -> None:
    draw_network(network, run.found, path, f"Architecture {run.found.id}")


def _parts(outline: Outline) -> Table:
    """Return a row for each part, as text."""
    parts: dict[str, str] = {"stem": str(outline.stem)}
    parts |= {f"stage {name}": _layers(layers) for name, layers in outline.stages.items()}
    parts[f"pyramid ({outline.neck})"] = _pairs(outline.pyramid)
    if outline.to_foreground or outline.to_background:
        parts["fusion to things (b2f)"] = _pairs(outline.to_foreground)
        parts["fusion to stuff (f2b)"] = _pairs(outline.to_background)
    if outline.things:
        sides = [f"RoIs of {side} x {side}" for side in outline.roi_sizes]
        parts["box head"] = f"{sides[0]}: {', '.join(map(str, outline.box))}"
        parts["mask head"] = f"{sides[1]}: {_layers(outline.mask)}"
    if outline.stuff:
        reading = f" ({outline.reading})" if outline.reading else ""
        parts[f"segmentation head{reading}"] = f"{_layers(outline.segmentation)}; scores {outline.scored}"
    parts |= outline.components
    rows = [(name, (Cell(text),)) for name, text in parts.items()]
    return Table("Operators and channels, layer by layer", ("part", "layers"), rows, words=(1,))


def _layers(layers: tuple[Layer, ...]) -> str:
    return ", ".join(f"{layer.operator} {layer.width}" for layer in layers)


def _pairs(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items()) or "none"


def use_section(run: Run) -> Section:
    """Return how the network is loaded and measured by others."""
    folder = run.network_folder(run.shown)
    if not (folder / WEIGHTS).exists():
        return Section("use", "Use it", [Lacking("There is no trained network to load yet.")])
    return Section(
        "use",
        "Use it",
        [
            Paragraph("What the network finds on an image, as a map of segments with classes and scores:"),
            Code(LOADING.format(folder=json.dumps(str(folder), ensure_ascii=False))),
            Paragraph("Or from the command line, pictures of any images, and AP and mIoU beside PQ:"),
            Code(
                f"autopanoptic panoptic predict photo.jpg --run {quote(str(folder))} --out pictures\n"
                f"autopanoptic panoptic evaluate {quote(str(run.folder))}\n"
            ),
        ],
    )
