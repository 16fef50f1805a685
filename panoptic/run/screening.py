"""Short trainings that choose a run's finalists.

The weights that paths share tell large differences between candidates and hardly small ones; a training of a third of
the passes tells most of them. So many candidates are trained a little and the best of them all the way, as successive
halving does (Jamieson, Talwalkar 2016).
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from autopanoptic.nas import Architecture, Result
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.results.finalists import qualities
from autopanoptic.panoptic.results.fronts import Fronts
from autopanoptic.panoptic.run.folder import Run
from autopanoptic.panoptic.run.prepare import prepared
from autopanoptic.panoptic.run.search import finalists_of, shortlist_of
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.stages.batches import validation_of
from autopanoptic.panoptic.stages.machine import device_of
from autopanoptic.panoptic.stages.prepare import SUPERNET_FOLDER
from autopanoptic.panoptic.stages.side_by_side import retrain_all

SCREENING = "screening"
"""The folder of the short trainings, in that of a run."""


class Screened(NamedTuple):
    """What is trained all the way.

    Attributes:
        finalists: The networks, best first.
        on_nas_val: What each candidate was worth on nas_val after its short training, in percent, by its id; empty
            where the settings have no such trainings.
    """

    finalists: list[Architecture]
    on_nas_val: dict[str, float]


def screened(run: Run, searched: Result, fronts: Fronts | None) -> Screened:
    """Return the finalists of a search, chosen by short trainings where the settings have them.

    Args:
        run: The run.
        searched: Its search.
        fronts: What sets the budget, where the search has a cost.
    """
    asked = run.settings.search
    if not asked.screened:
        return Screened(finalists_of(run, searched, fronts), {})
    shortlist = shortlist_of(run, searched, fronts)
    candidates = {one.id: one for one in shortlist.screened(asked.screened, asked.finalists)}
    settings = replace(run.settings, retrain=run.settings.retrain.shortened(asked.screening_passes))
    run.say(
        f"The {len(candidates)} best candidates by their paths are trained for {asked.screening_passes} passes each, "
        "to choose finalists"
    )
    networks = retrain_all(
        settings, candidates, prepared(run), run.folder / SCREENING, run.folder / SUPERNET_FOLDER, run.console,
        doing=SCREENING,
    )  # fmt: skip
    found = on_nas_val(settings, run, networks)
    run.say(f"{asked.objective} on nas_val after {asked.screening_passes} passes: {shown(found)}")
    ranked = sorted(candidates.values(), key=lambda one: -found[one.id])
    return Screened(shortlist.finalists(ranked, asked.finalists), found)


def on_nas_val(settings: Settings, run: Run, networks: dict[str, PanopticNetwork]) -> dict[str, float]:
    """Return what each of several trained networks is worth on nas_val, in percent."""
    divisor = next(iter(networks.values())).config.image_divisor
    validation = validation_of(settings, prepared(run).nas_val, divisor)
    return qualities(networks, validation, settings.search.objective, device_of(settings))


def shown(found: dict[str, float]) -> str:
    """Write several qualities in a line, in their order."""
    return ", ".join(f"{name} {value:.1f}" for name, value in found.items())
