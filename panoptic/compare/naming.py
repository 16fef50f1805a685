"""What the names of ``--models`` stand for: models, hand-made networks, architectures, runs and their networks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from shlex import quote
from typing import Any, Literal, TypeAlias

from autopanoptic.nas import Architecture
from autopanoptic.panoptic.configs.config import change_settings, resolve
from autopanoptic.panoptic.configs.layers import ConfigError
from autopanoptic.panoptic.configs.models import MODELS
from autopanoptic.panoptic.model.config_checks import SPACES
from autopanoptic.panoptic.results.fronts import HAND_MADE
from autopanoptic.panoptic.results.given import RUNS
from autopanoptic.panoptic.results.saved import ARCHITECTURE, CONFIG, read_config
from autopanoptic.panoptic.run.folder import SETTINGS, load_run
from autopanoptic.panoptic.run.retrain import fixed_network, read_architecture, require_architecture
from autopanoptic.panoptic.search.architecture_files import shipped
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.trained.networks import run_of

Change: TypeAlias = tuple[str, Any, str]
"""A key, its value, and where it was given."""
Kind: TypeAlias = Literal["model", "hand-made", "searched"]
"""A published model made by hand, Auto-Panoptic's made by hand, or what a search has found, as far as is known."""
FLAG = "--models"
FIXED = "auto-panoptic"
"""The space in which the models are: that of the published, fixed widths."""
MERGE = "merge."
"""Keys of which a change holds for the networks of runs, too."""
AT = "@"
"""Stands between `HAND_MADE` and what it is to cost."""


@dataclass(frozen=True)
class Named:
    """What a name stands for, before the data are there.

    Attributes:
        name: In the table.
        settings: With which it is trained, but for its widths where there is a cost.
        architecture: Which network it is; None for the one made by hand.
        kind: What it is.
        cost: GFLOPs, or the network whose cost it is to have; None for the widths of the settings.
    """

    name: str
    settings: Settings
    architecture: Architecture | None = None
    kind: Kind = "model"
    cost: float | Named | None = None


@dataclass(frozen=True)
class Source:
    """What all networks of a comparison have in common: a config and changes of it.

    Attributes:
        config: A file, or the name of one that ships.
        changes: Of its values, as `resolve` takes them.
        quick: Whether in its quick form.
    """

    config: str
    changes: Sequence[Change]
    quick: bool = False

    def settings(self, *own: Change) -> Settings:
        """Return the settings with some changes more, in the space of fixed widths unless they say another one.

        A search's own keys are those of a space, and nothing is searched here.
        """
        keys = {key for key, *_ in own}
        neutral: dict[str, Any] = {
            "search.space": FIXED, "search.strategy": "random", "search.cost": None, "search.racing": None,
            "search.warm_start": None,
        }  # fmt: skip
        rest = [(key, value, FLAG) for key, value in neutral.items() if key not in keys]
        kept = [one for one in self.changes if one[0] not in keys]
        return resolve(self.config, [*kept, *rest, *own], quick=self.quick)


def named(given: str, source: Source, known: Mapping[str, Named] | None = None) -> Named:
    """Return what a name of ``--models`` stands for.

    Args:
        given: ``panoptic-fpn`` and so on; ``hand-made``, also with a cost, as ``hand-made@upsnet`` or
            ``hand-made@0.2``; an architecture's file, or the name of one that ships; a run, or the folder of one of
            its networks. Before any of them may stand the name that it is to have: ``mine=runs/NAME``.
        source: What all have in common.
        known: Others by their names, which a cost may be that of.

    Raises:
        FileNotFoundError: If it is none of these.
        ValueError: If it does not fit the config.
    """
    own, equals, rest = given.partition("=")
    if not equals or not own.strip() or Path(given).exists():
        own, rest = "", given
    found = _found(rest.strip(), source, known or {})
    name = own.strip() or found.name
    if name in (".", "..") or Path(name).name != name:
        raise ValueError(f"{FLAG}: the name {name!r} must be that of a folder; give another, as NAME={rest}")
    return replace(found, name=name)


def all_named(given: Iterable[str], source: Source) -> list[Named]:
    """Return what some names stand for.

    Raises:
        FileNotFoundError: If one stands for nothing.
        ValueError: If there is none, two are called the same, or one does not fit the config.
    """
    names = [one for one in given if one.strip()]
    if not names:
        raise ValueError(f"{FLAG} names no network; give some, such as {FLAG} panoptic-fpn,upsnet")
    others = [named(one, source) for one in names if AT not in one]
    known = {one.name: one for one in others}
    found = [others.pop(0) if AT not in one else named(one, source, known) for one in names]
    called = [one.name for one in found]
    if twice := next((name for name in called if called.count(name) > 1), None):
        raise ValueError(f"{FLAG}: two networks are called {twice!r}; give one of them another name, as mine={twice}")
    return found


def _found(given: str, source: Source, known: Mapping[str, Named]) -> Named:
    made, at, cost = given.partition(AT)
    if at and made == HAND_MADE:
        return _hand_made(given, cost, source, known)
    if given == HAND_MADE or given.lower() in MODELS:
        return _model(given.lower(), source)
    path = Path(given)
    if given in shipped() or path.is_file():
        return _architecture(given, source)
    for folder in (path, RUNS / given):
        if (folder / SETTINGS).is_file():
            return _run(folder, source)
        if (folder / CONFIG).is_file() and (folder / ARCHITECTURE).is_file():
            return _network(folder, source)
    raise FileNotFoundError(_unknown(given, known))


def _unknown(given: str, known: Iterable[str]) -> str:
    runs = sorted(path.parent.name for path in RUNS.glob(f"*/{SETTINGS}"))
    names = [*MODELS, HAND_MADE, *known, *shipped(), *runs]
    close = get_close_matches(given.lower(), names, n=1)
    return (
        f"{FLAG}: {given!r} is no model ({', '.join([*MODELS, HAND_MADE])}), no architecture's file or one that ships "
        f"({', '.join(shipped())}), and no run or network of one"
        + (f"; did you mean {close[0]}?" if close else f"; {RUNS} holds {', '.join(runs) or 'no run'}")
    )


def _model(name: str, source: Source) -> Named:
    model = FIXED if name == HAND_MADE else name
    settings = source.settings(("network.model", model, f"{FLAG} {name}"))
    return Named(name, settings, kind="hand-made" if name == HAND_MADE else "model")


def _hand_made(given: str, cost: str, source: Source, known: Mapping[str, Named]) -> Named:
    found = replace(_model(HAND_MADE, source), name=given)
    try:
        gflops = float(cost)
    except ValueError:
        return replace(found, name=given.replace("/", "-"), cost=known.get(cost) or named(cost, source, known))
    if not 0 < gflops < float("inf"):
        raise ValueError(f"{FLAG} {given}: a network costs more than 0 GFLOPs, and not {cost}")
    return replace(found, cost=gflops)


def _architecture(given: str, source: Source) -> Named:
    """An architecture alone: of the network of the config, in the space in which it is one."""
    problem: ValueError | None = None
    for space in SPACES:
        try:
            settings = source.settings(("search.space", space, f"{FLAG} {given}"))
            name, architecture = read_architecture(given, settings.network)
            require_architecture(settings, architecture)
        except ConfigError:
            continue  # the config has no network in this space
        except ValueError as error:
            problem = problem or error
        else:
            name = Path(given).absolute().parent.name if name == "architecture" else name
            return Named(name, settings, architecture, "searched")
    raise ValueError(f"{FLAG} {given}: {problem}") from problem


def _run(folder: Path, source: Source) -> Named:
    """What a run has found, or the network of a run in which nothing is searched."""
    run = load_run(folder)
    name = folder.resolve().name
    if (folder / ARCHITECTURE).is_file():
        return _of_run(name, run, Architecture.load(folder / ARCHITECTURE), source, "searched")
    if (fixed := fixed_network(run)) is not None:
        return _of_run(name, run, fixed[1], source, "model")
    raise FileNotFoundError(
        f"{FLAG}: the run {folder} has found no network yet: it has no {ARCHITECTURE}. Go on with it by `autopanoptic "
        f"panoptic run --resume --name {quote(name)}`, or give an architecture's file"
    )


def _network(folder: Path, source: Source) -> Named:
    """A network that was trained or saved, whose weights do not matter here."""
    architecture = Architecture.load(folder / ARCHITECTURE)
    above = run_of(folder)
    if above is not None:
        name = f"{above.name}-{folder.resolve().name}"
        return _of_run(name, load_run(above), architecture, source, "searched")
    config = read_config(folder / CONFIG)
    settings = source.settings(*_places(config.backbone, config.space, folder))
    return _with(folder.resolve().name, replace(settings, network=config), architecture, "searched")


def _of_run(name: str, run: Settings, architecture: Architecture, source: Source, kind: Kind) -> Named:
    """The network of a run's own config, merged as there but for what the command line sets; else the comparison's."""
    settings = source.settings(*_places(run.backbone(retrained=True), run.search.space, Path(name)))
    _require_same_images(name, run, settings)
    own = replace(settings, network=run.network, retrained_network=run.retrained_network, merge=run.merge)
    changes = {key: value for key, value, _ in source.changes if key.startswith(MERGE)}
    return _with(name, change_settings(own, changes), architecture, kind)


def _require_same_images(name: str, run: Settings, settings: Settings) -> None:
    """Refuse the network of a run on other images: its anchors and RoIs go with those."""
    theirs, ours = (
        (None if data.path is None else str(Path(data.path).resolve()), data.short_side, data.long_side)
        for data in (run.data, settings.data)
    )
    if theirs != ours:
        raise ValueError(
            f"{FLAG} {name}: the run's images are others ({_images(run)}, not {_images(settings)}), and its network's "
            "anchors, RoIs and thresholds go with them. Give its architecture instead, which is trained with this "
            f"config: {name}=.../{ARCHITECTURE}"
        )


def _images(settings: Settings) -> str:
    data = settings.data
    sides = [f"{side} pixels" for side in (data.short_side, data.long_side) if side is not None]
    return " ".join([data.path or "generated scenes", *sides[:1]])


def _places(backbone: str, space: str, folder: Path) -> list[Change]:
    """A recipe goes with the backbone: a fixed one learns more slowly."""
    place = f"{FLAG} {folder}"
    return [("network.backbone", backbone, place), ("search.space", space, place)]


def _with(name: str, settings: Settings, architecture: Architecture, kind: Kind) -> Named:
    # As it will be read back: numbers of classes, which come from the data, are left out.
    return Named(name, change_settings(settings, {}), architecture, kind)
