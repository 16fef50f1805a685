"""The folder of a run: its settings, what the stages have in memory, and the seconds they took."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from autopanoptic.nas import Supernet
from autopanoptic.nas.storage.files import whole
from autopanoptic.nas.storage.lock import LOCK, FileLock, working_on
from autopanoptic.panoptic.configs.config import differences, load_config, save_config
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.results.given import COMPARISON
from autopanoptic.panoptic.run.weights import network_weights
from autopanoptic.panoptic.search.supernet_start import SCRATCH, require_start
from autopanoptic.panoptic.settings.settings import STARTS, Settings
from autopanoptic.panoptic.stages.checks import check_settings
from autopanoptic.panoptic.stages.prepare import SUPERNET_FOLDER
from autopanoptic.panoptic.stages.supernet import SUPERNET

SETTINGS = "config.yaml"
"""File of a run's settings."""


class Run:
    """A run in one folder, on which its stages work, each in its turn.

    ``prepare(run)``, ``train_supernet(run)``, ``search(run)`` and ``retrain(run)`` write what they have done to the
    folder, and what is done there already is not done again. Those of one program share the run's data and supernet.

    Args:
        settings: What to run. Its folders and files are kept with their whole paths, so that the run goes on, and is
            measured, from any working folder.
        folder: Where; made if it is missing.
        console: What is happening is told here.

    Attributes:
        datasets: The data, once a stage has opened them.
        supernet: The trained supernet, once a stage has trained or read it.
        seconds: What the stages took so far, by their names.

    Raises:
        FileExistsError: If the folder holds a run with other settings, or a comparison.
        FileNotFoundError: If the data or the file of starting weights is missing.
        ValueError: If the settings cannot lead to a result on this machine.
    """

    def __init__(self, settings: Settings, folder: Path, console: Console | None = None) -> None:
        check_settings(settings)
        if not (folder / SUPERNET_FOLDER / SUPERNET).exists():
            require_start(settings.supernet_init)
        settings = anchored(settings)
        self.settings = settings
        self.folder = folder
        self.console = console or Console()
        if (folder / COMPARISON).exists():
            raise FileExistsError(f"{folder} holds a comparison, and no run; choose another name")
        saved = folder / SETTINGS
        if saved.exists():
            require_same(anchored(load_run(folder)), settings, folder)
        self._made, self._new, self._own = not folder.exists(), not saved.exists(), settings
        self._lock = FileLock(folder / LOCK)
        self._begin()
        self.datasets: Datasets | None = None
        self.supernet: Supernet | None = None
        self._clock = folder / "seconds.json"
        self.seconds = _read_seconds(self._clock)

    @classmethod
    def open(cls, folder: str | Path, console: Console | None = None) -> Run:
        """Return the run of a folder, with its own settings.

        Raises:
            FileNotFoundError: If there is no run in the folder.
        """
        return cls(load_run(Path(folder)), Path(folder), console)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Head what a stage tells, and take its time.

        Raises:
            BlockingIOError: If another program works on the run.
        """
        self.console.rule(name, align="left")
        start = time.monotonic()
        with self._alone():
            try:
                yield
            except KeyboardInterrupt:
                self._took(name, time.monotonic() - start)
                raise
        seconds = time.monotonic() - start
        self._took(name, seconds)
        self._new = False
        self.console.print(f"[dim]{name}: {seconds:.0f} s[/dim]")

    def _took(self, name: str, seconds: float) -> None:
        # A resumed stage adds to what it took before; a call that was killed is not counted.
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        with whole(self._clock) as partial:
            partial.write_text(json.dumps(self.seconds))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if self._lock.held:  # by a stage around this one
            yield
            return
        with working_on(self.folder, self._lock):
            yield

    @contextmanager
    def refusable(self) -> Iterator[None]:
        """Settings that are refused before a stage has ended leave nothing, which could stand in the way of others."""
        self._begin()  # what was refused before may be wanted for something else
        before = set(_entries(self.folder)) - {self.folder / SETTINGS}
        try:
            yield
        except (ValueError, FileNotFoundError, FileExistsError):
            if self._new:
                self._clear(before)
            raise

    def _begin(self) -> None:
        """Write the settings of a new run, where they are not there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._new and not (self.folder / SETTINGS).exists():
            save_config(self._own, self.folder / SETTINGS)

    def _clear(self, kept: set[Path]) -> None:
        """Remove what has come to the folder, and the folder itself where it is this run's."""
        for path in set(_entries(self.folder)) - kept:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        self._lock.path.unlink(missing_ok=True)
        if self._made and self.folder.exists() and not _entries(self.folder):
            self.folder.rmdir()

    def start_from(self, given: str) -> None:
        """Let what is trained from here on start from a file, a folder or another word, whatever the settings say.

        The run keeps its settings; a network's own folder says what it began with.

        Raises:
            FileNotFoundError: If there are no such weights.
        """
        changes: dict[str, Any] = {"init_part": "all", **network_weights(given)}
        if changes["init"] != "pretrained":  # settings refuse a pretraining from which nothing starts
            changes["pretraining"] = replace(self.settings.pretraining, found=None)
        self.settings = replace(self.settings, **changes)
        check_settings(self.settings)

    def say(self, line: str) -> None:
        """Tell a line as it is."""
        self.console.print(line, markup=False, highlight=False)


def load_run(folder: Path) -> Settings:
    """Read the settings of a run from its folder.

    Raises:
        FileNotFoundError: If there is no run.
        ConfigError: If its settings are damaged.
    """
    if not (folder / SETTINGS).exists():
        raise FileNotFoundError(f"there is no run in {folder}: it has no {SETTINGS}")
    return load_config(folder / SETTINGS)


def anchored(settings: Settings) -> Settings:
    """Return settings whose folders and files of weights are the same ones in every working folder."""
    data, crops, search = settings.data, settings.pretraining, settings.search
    start = search.warm_start
    # What is no file here may be the name of something that ships.
    warm = start if start is None or not Path(start).is_file() else _whole(start)
    return replace(
        settings,
        data=data if data.path is None else replace(data, path=_whole(data.path)),
        pretraining=crops if crops.images is None else replace(crops, images=_whole(crops.images)),
        search=search if warm == start else replace(search, warm_start=warm),
        init=settings.init if settings.init in STARTS else _whole(settings.init),
        supernet_init=settings.supernet_init if settings.supernet_init == SCRATCH else _whole(settings.supernet_init),
    )


def _whole(path: str) -> str:
    return str(Path(path).absolute())


def require_same(saved: Settings, settings: Settings, folder: Path) -> None:
    """Refuse settings that are not those of the run that a folder holds.

    Raises:
        FileExistsError: Naming what differs.
    """
    if saved != settings:
        changed = "; ".join(differences(saved, settings))
        raise FileExistsError(
            f"{folder} holds a run with other settings, which differ in {changed}. "
            "Resume that one, or choose another name"
        )


def _entries(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name != LOCK] if folder.exists() else []


def _read_seconds(path: Path) -> dict[str, float]:
    if not path.exists():
        return {}
    try:
        return {str(name): float(seconds) for name, seconds in json.loads(path.read_bytes()).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged: {error}; delete it, for nothing but times is lost") from error
