"""The weights with which a run's supernet begins: drawn from the seed, or in part those of a file.

A file holds a whole supernet, as `save_weights` writes it, or the backbone's, as `pretrain-supernet` does: each block's
options by their names, with or without ``backbone.`` before them. A whole supernet of other classes or heads gives its
backbone alone. Files are read by ``weights_only=True``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.weights import difference, read_tensors
from autopanoptic.panoptic.results.backbones import PREFIX, STATE, architecture_in

SCRATCH = "scratch"
_COUNTER = "num_batches_tracked"


class _Taken(NamedTuple):
    """What a supernet takes from a file, by the supernet's names, and what is left out of the file."""

    state: dict[str, Tensor]
    left_out: list[str]


def begin(network: PanopticNetwork, given: str) -> PanopticNetwork:
    """Give a supernet that is drawn from the seed the weights with which its training begins, and return it.

    Args:
        network: The supernet.
        given: ``"scratch"`` or a file.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If it is damaged or holds no weights of this supernet, naming what differs.
    """
    if given != SCRATCH:
        network.load_state_dict(_taken(network, given).state, strict=False)
    return network


def describe_start(network: PanopticNetwork, given: str) -> str:
    """Refuse weights that a supernet cannot begin with, and say in a sentence what it begins with; see `begin`.

    Args:
        network: The supernet, on any device, also meta.
        given: ``"scratch"`` or a file.
    """
    if given == SCRATCH:
        return "The supernet begins with weights that are drawn from the seed"
    taken = _taken(network, given)
    drawn = [name for name in network.state_dict() if name not in taken.state]
    parts = [f"The supernet begins with {len(taken.state)} tensors of {given} ({_parts(taken.state)})"]
    if taken.left_out:
        parts.append(f"left out of it are {len(taken.left_out)} ({_parts(taken.left_out)})")
    if drawn:
        parts.append(f"drawn from the seed are {len(drawn)} ({_parts(drawn)})")
    return "; ".join(parts)


def require_start(given: str) -> None:
    """Refuse a file of starting weights that is missing, before anything is done.

    Raises:
        FileNotFoundError: If it is.
    """
    if not start_is_there(given):
        raise FileNotFoundError(f"supernet_init: {given} is neither scratch nor a file of weights")


def start_is_there(given: str) -> bool:
    """Return whether there is what a supernet begins with, or has begun with."""
    return given == SCRATCH or Path(given).is_file()


def _taken(network: PanopticNetwork, given: str) -> _Taken:
    require_start(given)
    path, own = Path(given), network.state_dict()
    state = _state(path)
    if not any(name.startswith(PREFIX) for name in state):
        state = {PREFIX + name: value for name, value in state.items()}
    if difference(own, _counted(own, state)) is None:
        return _Taken(_counted(own, state), [])
    backbone = {name: value for name, value in own.items() if name.startswith(PREFIX)}
    found = _counted(backbone, {name: value for name, value in state.items() if name.startswith(PREFIX)})
    problem = difference(backbone, found)
    if problem:
        raise ValueError(
            f"supernet_init: {path} holds neither this supernet's weights nor those of every option of its backbone "
            f"(search.space {network.config.space}): {problem}"
        )
    return _Taken(found, [name for name in state if name not in found])


def _state(path: Path) -> dict[str, Any]:
    found = read_tensors(path)
    single = architecture_in(found)
    if single is not None:
        raise ValueError(
            f"supernet_init: {path} holds the backbone of one architecture alone ({single.id}), and a supernet has all "
            "options. Give what `autopanoptic panoptic pretrain-supernet` or train-supernet writes"
        )
    for key in (STATE, "model"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict):
        raise ValueError(f"supernet_init: {path} holds a {type(found).__name__}, not a state dict")
    return {str(name): value for name, value in found.items()}


def _counted(own: dict[str, Tensor], state: dict[str, Any]) -> dict[str, Any]:
    """Add the counters of batch norms, which other programs' files lack and nothing reads that has a momentum."""
    counters = {
        name: torch.zeros((), dtype=torch.int64) for name in own if name.endswith(_COUNTER) and name not in state
    }
    return {**counters, **state}


def _parts(names: Iterable[str]) -> str:
    """Say of which parts of a network tensors are."""
    counts = Counter(name.split(".")[0] for name in names)
    return ", ".join(f"{part} {count}" for part, count in counts.items())
