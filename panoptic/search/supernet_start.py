"""The weights with which a run's supernet begins: drawn from the seed, or in part those of a file.

A file holds a whole supernet, as `save_weights` writes it, or the backbone's, as `pretrain-supernet` does: each block's
options by their names, with or without ``backbone.`` before them. Of a supernet of other classes all is taken but the
layers of the classes; one of other heads gives its backbone alone, and so does one under the names of Auto-Panoptic's
published code. It is read as any file of starting weights is, see `autopanoptic.panoptic.results.starting`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.data.loading.normalization import IMAGENET, Normalization
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.results.backbones import PREFIX
from autopanoptic.panoptic.results.given import require_file
from autopanoptic.panoptic.results.starting import StartingWeights, Wanted, starting_weights

SCRATCH = "scratch"
_KEY = "supernet_init"


def begin(
    network: PanopticNetwork,
    given: str,
    categories: Categories | None = None,
    normalization: Normalization = IMAGENET,
) -> PanopticNetwork:
    """Give a supernet that is drawn from the seed the weights with which its training begins, and return it.

    Args:
        network: The supernet.
        given: ``"scratch"`` or a file.
        categories: Of the data; None where they are not known.
        normalization: Of its images.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If it is damaged or holds no weights of this supernet, naming what differs.
    """
    if given != SCRATCH:
        taken = _taken(network, given, categories, normalization)
        (network.backbone if taken.backbone else network).load_state_dict(taken.state)
    return network


def describe_start(network: PanopticNetwork, given: str, categories: Categories | None = None) -> str:
    """Refuse weights that a supernet cannot begin with, and say in a sentence what it begins with; see `begin`.

    Args:
        network: The supernet, on any device, also meta.
        given: ``"scratch"`` or a file.
        categories: Of the data; None where they are not known.
    """
    if given == SCRATCH:
        return "The supernet begins with weights that are drawn from the seed"
    taken = _taken(network, given, categories, IMAGENET)
    layers = tuple(f"{layer}." for layer in taken.left_out)
    names = [f"{PREFIX}{name}" if taken.backbone else name for name in taken.state]
    names = [name for name in names if not name.startswith(layers)]
    drawn = network.state_dict().keys() - set(names)
    parts = [f"The supernet begins with {len(names)} tensors of {given} ({_parts(names)})"]
    if taken.left_out:
        parts.append(f"it is of other classes: left out of it are {', '.join(taken.left_out)}")
    if taken.unused:
        parts.append(f"left out of it are {len(taken.unused)} ({_parts(taken.unused)})")
    if drawn:
        parts.append(f"drawn from the seed are {len(drawn)} ({_parts(sorted(drawn))})")
    return "; ".join(parts)


def require_start(given: str) -> None:
    """Refuse a file of starting weights that is missing, before anything is done.

    Raises:
        FileNotFoundError: If it is.
    """
    if given != SCRATCH:
        require_file(_KEY, given, (SCRATCH,))


def start_is_there(given: str) -> bool:
    """Return whether there is what a supernet begins with, or has begun with."""
    return given == SCRATCH or Path(given).is_file()


def _taken(
    network: PanopticNetwork, given: str, categories: Categories | None, normalization: Normalization
) -> StartingWeights:
    require_start(given)
    wanted = Wanted(network, categories=categories, backbone=None, normalization=normalization, key=_KEY)
    return starting_weights(Path(given), wanted)


def _parts(names: Iterable[str]) -> str:
    """Say of which parts of a network tensors are."""
    counts = Counter(name.split(".")[0] for name in names)
    return ", ".join(f"{part} {count}" for part, count in counts.items())
