"""A comparison: its networks and seeds, as they stand in its folder, and what may be added to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autopanoptic.panoptic.compare.contestants import Contestant, equal
from autopanoptic.panoptic.configs.config import differences, values_of
from autopanoptic.panoptic.configs.layers import Layer
from autopanoptic.panoptic.configs.schema import settings_of
from autopanoptic.panoptic.results.given import COMPARISON
from autopanoptic.panoptic.results.json_files import read_object, write_object
from autopanoptic.panoptic.run.folder import SETTINGS
from autopanoptic.panoptic.settings.machine import MachineSettings
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.stages.prepare import NETWORKS

OF_RESULTS = ("precision", "checkpoint_every")
"""Keys of the machine on which results depend, see `record_of` of a training."""


@dataclass(frozen=True)
class Plan:
    """What is compared.

    Attributes:
        settings: What all trainings have in common: data, recipe, start, machine and the first seed.
        contestants: The networks, by their names.
        seeds: Of the trainings of each.
    """

    settings: Settings
    contestants: Mapping[str, Contestant]
    seeds: tuple[int, ...]

    def trainings(self) -> Iterator[tuple[Contestant, int]]:
        """Yield the trainings, all networks with a seed before the next seed: a table of all is there early."""
        for seed in self.seeds:
            for one in self.contestants.values():
                yield one, seed

    def on(self, machine: MachineSettings) -> Plan:
        """Return the plan on a machine."""
        found = {name: replace(one, settings=_on(one.settings, machine)) for name, one in self.contestants.items()}
        return Plan(_on(self.settings, machine), found, self.seeds)

    def within(self, folder: Path) -> Plan:
        """Return the comparison that a folder holds, with the networks and seeds of this one beside its own.

        Raises:
            FileExistsError: If the folder holds a run, or another comparison; names what differs.
        """
        if (folder / SETTINGS).exists():
            raise FileExistsError(f"{folder} holds a run; choose another name for the comparison")
        if not (folder / COMPARISON).exists():
            return self
        saved = load_plan(folder).on(self.settings.machine)
        _require_same(folder, "", saved.settings, self.settings)
        for name, one in self.contestants.items():
            if (known := saved.contestants.get(name)) is not None and not equal(known, one):
                _require_same(folder, f"the network {name!r}: ", known.settings, one.settings)
                raise _other(
                    folder, f"the network {name!r}: architecture ({known.architecture.id}, not {one.architecture.id})"
                )
        seeds = tuple(sorted({*saved.seeds, *self.seeds}))
        return Plan(self.settings, {**saved.contestants, **self.contestants}, seeds)

    def save(self, folder: Path) -> None:
        """Write ``comparison.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        networks = {name: one.to_json() for name, one in self.contestants.items()}
        values = {"settings": values_of(self.settings), "networks": networks, "seeds": list(self.seeds)}
        write_object(folder / COMPARISON, values)


def load_plan(folder: Path) -> Plan:
    """Read the comparison of a folder.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is damaged.
    """
    path = folder / COMPARISON
    if not path.exists():
        raise FileNotFoundError(f"there is no comparison in {folder}: it has no {COMPARISON}")
    found = read_object(path)
    try:
        return _plan(found)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error!r}; delete it, and give the whole command again") from error


def _plan(values: Mapping[str, Any]) -> Plan:
    networks = {name: Contestant.from_json(name, one) for name, one in values["networks"].items()}
    seeds: Sequence[int] = values["seeds"]
    return Plan(settings_of(Layer(dict(values["settings"]))), networks, tuple(map(int, seeds)))


def folder_of(folder: Path, name: str, seed: int) -> Path:
    """Return where a training of a comparison is."""
    return folder / NETWORKS / f"{name}-seed{seed}"


def _on(settings: Settings, machine: MachineSettings) -> Settings:
    own = {name: getattr(settings.machine, name) for name in OF_RESULTS}
    return replace(settings, machine=replace(machine, **own))


def _require_same(folder: Path, what: str, saved: Settings, settings: Settings) -> None:
    if found := differences(saved, settings):
        shown = "; ".join(found[:4]) + (f" and {len(found) - 4} more" if len(found) > 4 else "")
        raise _other(folder, f"{what}{shown}")


def _other(folder: Path, what: str) -> FileExistsError:
    return FileExistsError(
        f"{folder} holds another comparison, which differs in {what}. Give what it began with, or another --name"
    )
