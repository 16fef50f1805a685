"""The networks among which a run's answer is chosen by training them.

What a path is worth with weights that it shares says little of a few points more or less once it is trained alone, so
the best few of a search are trained like all that are compared, and the best of them on nas_val is its answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from autopanoptic.nas import Architecture, Result
from autopanoptic.nas.trials.trial import Trial
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.results.fronts import HAND_MADE, SEARCHED, TOLERANCE, Fronts
from autopanoptic.panoptic.search.evaluator import Validation


def best_candidates(searched: Result, count: int, *, first: Architecture) -> list[Architecture]:
    """Return an architecture and the candidates with the best first objective, without repetitions.

    Args:
        searched: Of the search.
        count: How many at most.
        first: The search's answer before any training.
    """
    return list(dict.fromkeys([first, *_ranked(searched, lambda trial: True)]))[:count]


def within_budget(searched: Result, fronts: Fronts, count: int) -> list[Architecture]:
    """Return candidates of a search with a cost that keep the budget: the best by nas_val, then the best dear ones.

    Dear is what costs more than half of the budget: trained alone, large networks gain more than small ones. Of several
    the last is the network made by hand, where the search has measured it: an answer has to beat that after training,
    too, not by its path alone.

    Args:
        searched: Of the search.
        fronts: Of the run; where no candidate keeps its budget it is the cheapest alone.
        count: How many at most.
    """
    most = fronts.budget * (1 + TOLERANCE)
    kept = _ranked(searched, lambda trial: trial.metrics[fronts.cost] <= most)
    dear = _ranked(searched, lambda trial: fronts.budget / 2 < trial.metrics[fronts.cost] <= most)
    found = list(dict.fromkeys([fronts.chosen(SEARCHED).architecture, *dear, *kept]))[:count]
    by_hand = fronts.chosen(HAND_MADE).architecture
    if count > 1 and by_hand in kept and by_hand not in found:
        found[-1] = by_hand
    return found


def _ranked(searched: Result, kept: Callable[[Trial], bool]) -> list[Architecture]:
    objective = searched.history.objectives[0].name
    trials = [trial for trial in searched.history.completed if kept(trial)]
    return [trial.architecture for trial in sorted(trials, key=lambda trial: -trial.metrics[objective])]


def names_of(finalists: list[Architecture]) -> dict[str, Architecture]:
    """Return finalists by the names of their folders: that of the searched network where there is one alone."""
    if len(finalists) == 1:
        return {SEARCHED: finalists[0]}
    return {f"{SEARCHED}-{place}": one for place, one in enumerate(finalists, start=1)}


def qualities(
    networks: Mapping[str, PanopticNetwork], validation: Validation, objective: str, device: torch.device
) -> dict[str, float]:
    """Return the objective of each network, in percent."""
    found = {}
    for name, network in networks.items():
        found[name] = validation.quality(network.to(device)).metrics()[objective]
        network.to("cpu")
    return found
