"""What a run's folder holds so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from autopanoptic.nas import Architecture, Result
from autopanoptic.nas.storage.reading import Reading
from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.results.fronts import FRONT, Fronts
from autopanoptic.panoptic.results.json_files import read_object
from autopanoptic.panoptic.results.saved import ARCHITECTURE, WEIGHTS
from autopanoptic.panoptic.run.folder import load_run
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.stages.comparison import METRICS_FILE
from autopanoptic.panoptic.stages.prepare import DATA, NETWORKS
from autopanoptic.panoptic.stages.search import the_network
from autopanoptic.panoptic.trained.keeping import kept
from autopanoptic.panoptic.trained.networks import SEARCHED, categories_of

JOURNAL, SECONDS = "search.jsonl", "seconds.json"
OF_NETWORK = ("architecture", "quality", "gflops", "mparams")
"""What a comparison says of each network, whatever was seen of its classes."""


@dataclass(frozen=True)
class Run:
    """A run, finished or not.

    Attributes:
        folder: Where it is.
        settings: What it was asked for.
        searched: Its search so far.
        release: Of this library, by which the search was begun.
        categories: Of its data.
        images: How many images of each split it has, by the split's name.
        fronts: Of a finished search with a cost; None else.
        metrics: The comparison of its networks, before that what `autopanoptic panoptic evaluate` has kept of them;
            None where nothing is measured.
        compared: Whether it is the comparison.
        seconds: Of each stage that has ended.
    """

    folder: Path
    settings: Settings
    searched: Result
    release: str
    categories: Categories
    images: Mapping[str, int]
    fronts: Fronts | None
    metrics: Mapping[str, Any] | None
    compared: bool
    seconds: Mapping[str, float]

    @classmethod
    def read(cls, folder: Path) -> Run:
        """Read a run's files.

        Raises:
            FileNotFoundError: If there is no run, nothing is searched in it, or no candidate is measured yet.
            ValueError: If a file is damaged; names it.
            JournalError: If the search's journal is damaged, or another release's.
        """
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: there is no such folder of a run")
        settings, journal = load_run(folder), folder / JOURNAL
        if not journal.exists() and the_network(settings) is not None:
            raise FileNotFoundError(
                f"nothing is searched in the run {folder}, for every part of its network is fixed, so nothing is "
                f"reported. `autopanoptic panoptic evaluate {quote(folder.resolve().name)}` measures what retrain has "
                f"trained, and `autopanoptic panoptic compare --models {folder.resolve().name},...` trains it beside "
                "others, which has a report"
            )
        searched = Result.from_journal(journal) if journal.exists() else None
        if searched is None or searched.history.best is None:
            raise FileNotFoundError(
                f"the run {folder} has nothing to report yet: no candidate of its search is measured. Go on with it by "
                f"`{_go_on(folder)}`{_measured_by(folder)}"
            )
        metrics = _metrics(folder / METRICS_FILE)
        return cls(
            folder,
            settings,
            searched,
            str((Reading(journal).header() or {}).get("version", "unknown")),
            categories_of(folder),
            _images(folder / DATA),
            Fronts.load(folder) if (folder / FRONT).exists() else None,
            _evaluated(folder) if metrics is None else metrics,
            metrics is not None,
            _seconds(folder / SECONDS),
        )

    @property
    def name(self) -> str:
        """Of its folder."""
        return self.folder.resolve().name

    @property
    def objective(self) -> str:
        """The metric that the search maximises."""
        return self.searched.history.objectives[0].name

    @property
    def found(self) -> Architecture:
        """The network that was found; before the search has answered the best candidate so far."""
        return self.searched.best.architecture if self.chosen is None else self.chosen

    @property
    def chosen(self) -> Architecture | None:
        """The answer: of the comparison, else of the trainings, else of the search; None before it has ended."""
        if self.metrics is not None and SEARCHED in self.metrics["networks"]:
            return Architecture(self.metrics["networks"][SEARCHED]["architecture"])
        path = self.folder / ARCHITECTURE
        return Architecture.load(path) if path.exists() else None

    @property
    def shown(self) -> str:
        """Name of the network that was found: ``searched``, or another by which that architecture alone was trained."""
        known = self.metrics is not None and SEARCHED in self.metrics["networks"]
        if not known and not (self.network_folder(SEARCHED) / WEIGHTS).exists():
            for path in sorted((self.folder / NETWORKS).glob(f"*/{WEIGHTS}")):
                beside = path.parent / ARCHITECTURE
                if beside.exists() and Architecture.load(beside) == self.found:
                    return path.parent.name
        return SEARCHED

    @property
    def networks(self) -> dict[str, Any]:
        """What is known of each measured network, of the one that was found first."""
        networks: dict[str, Any] = {} if self.metrics is None else self.metrics["networks"]
        first = [self.shown] if self.shown in networks else []
        return {name: networks[name] for name in (*first, *networks)}

    def network_folder(self, name: str) -> Path:
        """Return where a network of the comparison lies."""
        return self.folder / NETWORKS / name


def _measured_by(folder: Path) -> str:
    """Say how what was trained without a search is measured, where there is some."""
    if not any((folder / NETWORKS).glob(f"*/{WEIGHTS}")):
        return ""
    return f"; `autopanoptic panoptic evaluate {quote(folder.resolve().name)}` measures what retrain has trained"


def _go_on(folder: Path) -> str:
    return f"autopanoptic panoptic run --resume --name {quote(folder.resolve().name)}"


def _again(folder: Path) -> str:
    return f"Delete it and go on with the run by `{_go_on(folder)}` to have it again"


def _evaluated(folder: Path) -> dict[str, Any] | None:
    networks = kept(folder)
    return {"networks": networks} if networks else None


def _metrics(path: Path) -> dict[str, Any] | None:
    found = _optional(path)
    networks = None if found is None else found.get("networks")
    if found is not None and not (isinstance(networks, dict) and networks):
        raise ValueError(f"{path} is damaged: it names no networks. {_again(path.parent)}")
    for name, one in (networks or {}).items():
        if lacking := [key for key in OF_NETWORK if not isinstance(one, dict) or key not in one]:
            raise ValueError(
                f"{path} is damaged: of the network {name!r} it lacks {', '.join(lacking)}. {_again(path.parent)}"
            )
    return found


def _images(path: Path) -> dict[str, int]:
    try:
        return {name: int(split["images"]) for name, split in read_object(path).items()}
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} does not say how many images the run has: {error!r}") from error


def _seconds(path: Path) -> dict[str, float]:
    try:
        return {name: float(value) for name, value in (_optional(path) or {}).items()}
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error}; delete it, for nothing but times is lost") from error


def _optional(path: Path) -> dict[str, Any] | None:
    return read_object(path) if path.exists() else None
