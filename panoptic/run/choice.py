"""Which run a command is about: a new one by the options that describe it, or one that has begun; loads no torch."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from autopanoptic.panoptic.results.given import RUNS
from autopanoptic.panoptic.run.options import DESCRIBING, KEYS, flag_of
from autopanoptic.panoptic.run.weights import network_weights, supernet_weights

if TYPE_CHECKING:
    from autopanoptic.panoptic.settings.settings import Settings


def settings_of(values: Mapping[str, Any], command: str | None = None) -> Settings:
    """Return the settings that the command line describes.

    Args:
        values: What was given for each option that describes a run.
        command: Whose flags messages name.
    """
    from autopanoptic.panoptic.configs.config import resolve

    config, given = layers_of(values, command)
    return resolve(config, given, quick=values["quick"])


def layers_of(values: Mapping[str, Any], command: str | None = None) -> tuple[str, list[tuple[str, Any, str]]]:
    """Return the config that the command line names, and the changes of it, as `resolve` takes them.

    Args:
        values: As of `settings_of`.
        command: Whose flags messages name.
    """
    from autopanoptic.panoptic.configs.layers import change

    changes = [(*change(text), f"--set {text}") for text in values["changes"] or ()]
    changed = {key for key, *_ in changes}
    given = [
        (key, None if value == "null" else value, flag_of(name, command))
        for name in KEYS
        if values.get(name) not in (None, [])  # nothing of an option that may be repeated
        for key, value in _keys(name, values[name]).items()
        if key not in changed or key == KEYS[name]  # what a file implies may be said otherwise
    ]
    given += changes
    return _default_config(given) if values["config"] is None else values["config"], given


def _keys(name: str, value: Any) -> dict[str, Any]:
    """Return the keys that an option sets."""
    if name == "supernet_init":
        return supernet_weights(value)
    return network_weights(value) if name == "retrain_init" else {KEYS[name]: value}


def _default_config(given: list[tuple[str, Any, str]]) -> str:
    """Return the config for the data where none is named."""
    from autopanoptic.panoptic.configs.layers import layer_of_changes

    data = layer_of_changes(given).values.get("data")
    path = data.get("path") if isinstance(data, Mapping) else None
    # What is no path is refused with the rest of the config.
    if not isinstance(path, str) or not path.strip():
        return "scenes"
    from autopanoptic.panoptic.data.coco.layout import find_splits

    return "memorise" if find_splits(path).overfit else "photographs"


def new_run(name: str | None, values: Mapping[str, Any], command: str | None = None) -> tuple[Path, Settings]:
    """Return the folder and the settings of a new run, after all checks that need no work."""
    from autopanoptic.panoptic.stages.checks import check_settings

    folder = folder_of(time.strftime("%Y%m%d-%H%M%S") if name is None else name)
    settings = settings_of(values, command)
    check_settings(settings)
    return folder, settings


def folder_of(name: str) -> Path:
    """Return the folder of a run by its name.

    Raises:
        ValueError: If there can be no folder of that name.
    """
    if not name.strip() or name == ".." or Path(name).name != name:
        raise ValueError(f"--name must be that of a folder under {RUNS}, not {name!r}")
    return RUNS / name


def known_run(name: str | None) -> tuple[Path, Settings]:
    """Return the folder and the settings of a run that has begun: that of a name, or the latest.

    Raises:
        FileNotFoundError: If there is none.
    """
    from autopanoptic.panoptic.run.folder import SETTINGS, load_run

    if name is not None:
        return folder_of(name), load_run(folder_of(name))
    known = sorted(RUNS.glob(f"*/{SETTINGS}"), key=lambda path: path.stat().st_mtime)
    if not known:
        raise FileNotFoundError(f"{RUNS} holds no run to go on with")
    return known[-1].parent, load_run(known[-1].parent)


def resumed_run(context: typer.Context, name: str | None) -> tuple[Path, Settings]:
    """Return the run to go on with.

    Raises:
        ValueError: If options are given that would describe another.
    """
    if changed := options_given(context):
        raise ValueError(f"--resume keeps the run's own settings; leave out {flag_of(changed[0])}")
    return known_run(name)


def other_run(given: str, *, resume: bool) -> Path:
    """Return the folder of the run whose supernet is searched again.

    Args:
        given: Its name under `RUNS`, or its folder.
        resume: Whether the run that searches has begun, which then has the supernet.

    Raises:
        FileNotFoundError: If there is no such run.
        ValueError: If the run that searches has begun.
    """
    from autopanoptic.panoptic.run.folder import SETTINGS

    if resume:
        raise ValueError("--resume keeps the run's own supernet; leave out --supernet-from")
    found = next((one for one in (RUNS / given, Path(given)) if (one / SETTINGS).is_file()), None)
    if found is None:
        known = ", ".join(sorted(path.parent.name for path in RUNS.glob(f"*/{SETTINGS}"))) or "no run"
        raise FileNotFoundError(f"--supernet-from: there is no run {given!r}; {RUNS} holds {known}")
    return found


def searching_again(other: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was given on the command line, over the config of the run whose supernet is searched again."""
    from autopanoptic.panoptic.run.folder import SETTINGS

    return {**values, "config": values["config"] or str(other / SETTINGS)}


def run_of_stage(
    context: typer.Context, name: str | None, values: Mapping[str, Any], *, first: bool, apart: tuple[str, ...] = ()
) -> tuple[Path, Settings]:
    """Return the run that a stage works on.

    Options that describe one must be its own where it has begun, and make it where it has not. Without them it is the
    one of the name, or the latest; the first stage makes one by the defaults.

    Args:
        context: Of the command.
        name: Of the run; None for the latest.
        values: What was given for each option that describes one.
        first: Whether it is the first stage.
        apart: Options that are of this command alone here, and describe no run.

    Raises:
        FileNotFoundError: If there is none, and nothing says what it would be.
    """
    from autopanoptic.panoptic.run.folder import SETTINGS

    begun = name is not None and (folder_of(name) / SETTINGS).exists()
    if set(options_given(context)) - set(apart) or (first and not begun):
        return new_run(name, {**values, **dict.fromkeys(apart)}, context.info_name)
    return known_run(name)


def options_given(context: typer.Context) -> list[str]:
    """Return which of the options that describe a run stand on the command line."""
    return sorted(name for name in context.params if name in DESCRIBING and is_given(context, name))


def is_given(context: typer.Context, parameter: str) -> bool:
    """Whether a parameter of a command stands on the command line."""
    source = context.get_parameter_source(parameter)
    return source is not None and source.name == "COMMANDLINE"
