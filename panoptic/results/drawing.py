"""A found network as a picture: its blocks stage by stage, pyramid, heads and fusion units."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from autopanoptic.nas import Architecture
from autopanoptic.nas.storage.files import whole
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.parts.kinds import KINDS, PyramidNeck
from autopanoptic.panoptic.model.parts.registry import names_of
from autopanoptic.panoptic.results.outline import Layer, Outline

BOX, ROW, GAP = 1.0, 1.25, 0.12
"""Width of a block, height from row to row, and space between blocks."""
INCHES = 0.75
"""Of one of these units."""
COLORS = {
    "shuffle": "#9ecae1", "xception": "#c7b9e0", "dw": "#a1d99b", "df": "#fdbe85", "at": "#f4a6a6", "r": "#e7e7e7",
}  # fmt: skip
"""By how the name of an operator that ships begins."""
OWN = "#fff2ae"
"""Of an operator of one's own."""
PLAIN = "#f7f7f7"
"""Of a layer among which there is no choice."""
PIPELINE = "#dbe9d8"


def draw_network(network: PanopticNetwork, architecture: Architecture, path: str | Path, title: str = "") -> Path:
    """Draw the network of one architecture as a PNG file.

    The backbone stands at the left, a row for each stage and a box for each block, with its operator and the channels
    of its output; beside each stage its level of the pyramid with its fusion units; then the branches, layer by layer.

    Args:
        network: The architecture's stand-alone network.
        architecture: Which it is.
        path: Where to write the picture; its folder is made.
        title: A line above.
    """
    outline = Outline.of(network, architecture)
    deepest = max(2, *(len(blocks) for blocks in outline.stages.values()))
    heads = max(len(outline.segmentation), len(outline.mask), 2)
    left, right, low, high = -1.3, (deepest + heads + 3) * (BOX + GAP) + 3.3, -0.6, 5 * ROW + 1.45
    figure = Figure(figsize=(INCHES * (right - left), INCHES * (high - low)))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(left, right), ylim=(low, high), aspect="equal")
    axes.set_axis_off()
    at = _pyramid(axes, outline, _backbone(axes, outline, deepest))
    _heads(axes, outline, at + 1.1)
    axes.text(-1.2, high - 0.3, title.replace("$", r"\$"), fontsize=11)
    with whole(path) as partial:
        figure.savefig(partial, format="png", dpi=90)
    return Path(path)


def _backbone(axes: Axes, outline: Outline, deepest: int) -> float:
    """Draw the stem and the stages, the last on top; return where they end."""
    _box(axes, 0, 0, "stem", str(outline.stem), PLAIN)
    _arrow(axes, (-0.75, 0), (-0.52, 0))
    end, last = (deepest - 1) * (BOX + GAP), 0.0
    for row, (name, blocks) in enumerate(outline.stages.items(), 1):
        turn = (row - 0.5) * ROW
        below = turn - ROW / 2 + 0.4
        if last:
            axes.plot([last, last, 0], [below, turn, turn], color="0.3", linewidth=1)
        _arrow(axes, (0, turn if last else below), (0, row * ROW - 0.4))
        last = (len(blocks) - 1) * (BOX + GAP)
        axes.text(-0.62, row * ROW, name, ha="right", va="center", fontsize=10, weight="bold")
        _chain(axes, 0, row * ROW, blocks)
        _arrow(axes, (last + 0.5, row * ROW), (end + 0.98, row * ROW), color="0.6")
    axes.text(
        0.62, -0.02, "backbone: a box is a block, with the channels it gives", va="center", fontsize=8, color="0.35"
    )
    return end + 1.5


def _pyramid(axes: Axes, outline: Outline, left: float) -> float:
    """Draw the levels, each with its fusion units; return where they end."""
    units = [outline.to_foreground, outline.to_background]
    axes.text(left, 5 * ROW + 0.62, outline.neck, ha="center", fontsize=9, weight="bold")
    for column, name in enumerate(("to things\n(b2f)", "to stuff\n(f2b)") if any(units) else (), 1):
        axes.text(left + column * (BOX + GAP), 5 * ROW + 0.52, name, ha="center", fontsize=8)
    for row, (level, channels) in enumerate(outline.pyramid.items(), 1):
        _box(axes, left, row * ROW, level, str(channels), PIPELINE)
        if row < len(outline.pyramid) and outline.neck in PyramidNeck.shipped:
            # An FPN has one way down from P5, and pools P6 from it; the others go both ways, and who knows one's own.
            style = ("<|-" if row < len(outline.pyramid) - 1 else "-|>") if outline.neck == "fpn" else "<|-|>"
            _arrow(axes, (left, row * ROW + 0.4), (left, (row + 1) * ROW - 0.4), "0.6", style)
        for column, found in enumerate(units, 1):
            if level in found:
                _box(axes, left + column * (BOX + GAP), row * ROW, found[level], "", _color(found[level]), height=0.5)
    return left + (2 * (BOX + GAP) if any(units) else 0) + 0.5


def _heads(axes: Axes, outline: Outline, left: float) -> None:
    """Draw the branches, each from left to right."""
    box, mask = outline.roi_sizes
    if outline.things:
        regions = [Layer("RPN", outline.pyramid["P2"])]
        _head(axes, left, 5 * ROW, "regions: proposals from P2 to P6", regions, "")
        hidden = [Layer("linear", width) for width in outline.box]
        ends = f"{outline.things} thing\nclasses, boxes"
        _head(axes, left, 4 * ROW - 0.25, f"box head, RoIs of {box} x {box}", hidden, ends)
        ends = f"masks of\n{2 * mask} x {2 * mask}"
        _head(axes, left, 3 * ROW - 0.5, f"mask head, RoIs of {mask} x {mask}", outline.mask, ends)
    if outline.stuff:
        title = ", ".join(filter(None, ("segmentation branch", outline.reading)))
        ends = outline.scored.replace(" and ", " and\n").replace(" classes", "\nclasses")
        _head(axes, left, 2 * ROW - 0.75, title, outline.segmentation, ends, in_turn=outline.in_turn)
    others = "; ".join(f"{what}: {name}" for what, name in outline.components.items())
    axes.text(left - 0.5, ROW - 0.75, others, fontsize=9)


def _head(
    axes: Axes, left: float, y: float, title: str, layers: Iterable[Layer], ends: str, *, in_turn: bool = True
) -> None:
    axes.text(left - 0.5, y + 0.5, title, fontsize=9, weight="bold")
    _arrow(axes, (left - 0.95, y), (left - 0.52, y), color="0.6")
    end = _chain(axes, left, y, layers, in_turn=in_turn)
    if ends:
        _arrow(axes, (end + 0.5, y), (end + 0.72, y))
        axes.text(end + 0.78, y, ends, va="center", fontsize=8)


def _chain(axes: Axes, left: float, y: float, layers: Iterable[Layer], *, in_turn: bool = True) -> float:
    """Draw layers from left to right, with arrows where each reads the one before; return the middle of the last."""
    x = left
    for place, layer in enumerate(layers):
        x = left + place * (BOX + GAP)
        if place and in_turn:
            _arrow(axes, (x - BOX / 2 - GAP - 0.02, y), (x - BOX / 2 + 0.02, y))
        _box(axes, x, y, layer.operator, str(layer.width), _color(layer.operator))
    return x


def _box(axes: Axes, x: float, y: float, name: str, below: str, color: str, height: float = 0.8) -> None:
    """Draw a box around its middle."""
    corner = (x - BOX / 2 + 0.06, y - height / 2 + 0.06)
    shape = FancyBboxPatch(
        corner, BOX - 0.12, height - 0.12, boxstyle="round,pad=0.06", facecolor=color, edgecolor="0.35", linewidth=0.8
    )
    axes.add_patch(shape)
    # Names of one's own may be as long as they please, and stay within their boxes.
    size = 8 if len(name) < 9 else 7 * 11 / max(11, len(name))
    if not below:
        axes.text(x, y, name, ha="center", va="center", fontsize=size)
        return
    axes.text(x, y + 0.16, name, ha="center", va="center", fontsize=size)
    axes.text(x, y - 0.18, below, ha="center", va="center", fontsize=8, color="0.25")


def _arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], color: str = "0.3", style: str = "-|>"
) -> None:
    axes.annotate("", end, start, arrowprops={"arrowstyle": style, "color": color, "shrinkA": 0, "shrinkB": 0})


def _color(operator: str) -> str:
    if any(operator in kind.shipped for kind in KINDS):
        return next(color for start, color in COLORS.items() if operator.startswith(start))
    return OWN if any(operator in names_of(kind) for kind in KINDS) else PLAIN
