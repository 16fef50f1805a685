"""The networks among which a run's answer is chosen by training them.

What a path is worth with weights that it shares says little of a few points more or less once it is trained alone, so
the best few of a search are trained like all that are compared, and the best of them on nas_val is its answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from autopanoptic.nas import Architecture, Result
from autopanoptic.nas.trials.trial import Trial
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.results.fronts import HAND_MADE, SEARCHED, TOLERANCE, Fronts
from autopanoptic.panoptic.search.evaluator import Validation

APART = 0.1
"""The share of their choices in which finalists differ: a search that homes in has many of one kind."""


@dataclass(frozen=True)
class Shortlist:
    """Candidates of which some are trained.

    Attributes:
        candidates: The best by their paths first.
        by_hand: The network made by hand, where there is one that keeps the budget; the search may have given it up.
    """

    candidates: list[Architecture]
    by_hand: Architecture | None = None

    def screened(self, count: int, finalists: int) -> list[Architecture]:
        """Return the candidates that are trained a little; what is a finalist anyway is none of them."""
        sure = self.by_hand if finalists > 1 else None
        return [one for one in self.candidates if one != sure][:count]

    def finalists(self, ranked: list[Architecture], count: int) -> list[Architecture]:
        """Return what is trained: the first of a ranking that are apart, the one made by hand always among several.

        It is the last where the ranking does not have it. An answer has to beat it after training, too, not by its path
        alone. Where fewer than `count` are a tenth of
        their choices apart, the next of the ranking fill up.
        """
        found = _apart(ranked, count)
        if count > 1 and self.by_hand is not None and self.by_hand not in found:
            return [*_apart(ranked, count - 1), self.by_hand]
        return found


def _apart(ranked: list[Architecture], count: int) -> list[Architecture]:
    found: list[Architecture] = []
    for one in ranked:
        if len(found) < count and all(_difference(one, other) >= APART for other in found):
            found.append(one)
    return list(dict.fromkeys([*found, *ranked]))[:count]


def _difference(one: Architecture, other: Architecture) -> float:
    """Return the share of the choices of either of two architectures in which they differ."""
    labels = one.keys() | other.keys()
    return sum(one.get(label) != other.get(label) for label in labels) / max(1, len(labels))


def best_candidates(searched: Result, *, first: Architecture) -> Shortlist:
    """Return an architecture and the candidates by their first objective, without repetitions.

    Args:
        searched: Of the search.
        first: The search's answer before any training.
    """
    return Shortlist(list(dict.fromkeys([first, *_ranked(searched, lambda trial: True)])))


def within_budget(searched: Result, fronts: Fronts) -> Shortlist:
    """Return the candidates of a search with a cost that keep the budget: the best by nas_val, then the best dear ones.

    Dear is what costs more than half of the budget: trained alone, large networks gain more than small ones.

    Args:
        searched: Of the search.
        fronts: Of the run; where no candidate keeps its budget it is the cheapest alone.
    """
    most = fronts.budget * (1 + TOLERANCE)
    kept = _ranked(searched, lambda trial: trial.metrics[fronts.cost] <= most)
    dear = _ranked(searched, lambda trial: fronts.budget / 2 < trial.metrics[fronts.cost] <= most)
    by_hand = fronts.chosen(HAND_MADE)
    found = list(dict.fromkeys([fronts.chosen(SEARCHED).architecture, *dear, *kept]))
    return Shortlist(found, by_hand.architecture if by_hand.cost <= most else None)


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
