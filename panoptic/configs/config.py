"""Reading, changing, comparing and writing the config of a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from autopanoptic.nas.storage.files import whole
from autopanoptic.panoptic.configs.layers import QUICK, ConfigError, Layer, find, layer_of_changes, read_file
from autopanoptic.panoptic.configs.schema import RETRAINED, keys_of, settings_of
from autopanoptic.panoptic.configs.yaml_text import KeyPath, shown, write
from autopanoptic.panoptic.settings.settings import Settings


def load_config(
    source: str | Path = "scenes", changes: Mapping[str, Any] | None = None, *, quick: bool = False
) -> Settings:
    """Read the settings of a run from a YAML file.

    Args:
        source: The name of a config that ships (see `shipped`), or a path.
        changes: Values by dotted key, such as ``{"search.trials": 61}``, that take the place of the file's; a mapping
            is merged into its section.
        quick: Whether to take the file's quick form, which shows every stage in about a minute.

    Raises:
        FileNotFoundError: If there is no such config.
        ConfigError: If the config is wrong; names the file, the line, the key, the value and what it may be.

    Example:
        >>> load_config("scenes", {"supernet.passes": 120, "seed": 3}).supernet.passes
        120
    """
    given = [(key, _plain(value), "changes") for key, value in (changes or {}).items()]
    return resolve(source, given, quick=quick)


def resolve(source: str | Path, changes: Iterable[tuple[str, Any, str]], *, quick: bool = False) -> Settings:
    """Do as `load_config`, with changes that have a third part: where they were given, for messages."""
    layer = read_file(find(source))
    if quick:
        if not layer.values.get(QUICK):
            raise ConfigError(f"the config {source} has no quick form: it has no section {QUICK}")
        # The section itself stays below, where `settings_of` tells what is wrong with it.
        if isinstance(layer.values[QUICK], Mapping):
            layer = layer.take(QUICK)[1].over(layer)
    return settings_of(layer_of_changes(changes).over(layer))


def change_settings(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """Return settings with other values, by dotted key as in `load_config`.

    Raises:
        ConfigError: If a key is unknown or a value wrong.
    """
    given = layer_of_changes([(key, _plain(value), "changes") for key, value in changes.items()])
    return settings_of(given.over(Layer(values_of(settings))))


def values_of(settings: Settings) -> dict[str, Any]:
    """Return settings as nested mappings, of which `RETRAINED` holds what differs from the network alone."""
    values: dict[str, Any] = _plain(settings)
    if values[RETRAINED] is not None:
        same = values["network"]
        values[RETRAINED] = {key: value for key, value in values[RETRAINED].items() if value != same[key]}
    return values


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {key: _plain(getattr(value, key)) for key in keys_of(type(value))}
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def save_config(settings: Settings, path: Path) -> None:
    """Write every value as a YAML file that `load_config` reads, and that is either whole or not there."""
    with whole(path) as partial:
        partial.write_text(write(values_of(settings)), encoding="utf-8")


def differences(before: Settings, after: Settings) -> list[str]:
    """Return the keys in which settings differ, each with both values."""
    return list(_differences(values_of(before), values_of(after), ()))


def _differences(before: Any, after: Any, path: KeyPath) -> Iterator[str]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys([*before, *after]):
            yield from _differences(before.get(key, _SAME), after.get(key, _SAME), (*path, key))
    elif before != after:
        yield f"{'.'.join(path)} ({_shown(before)}, not {_shown(after)})"


_SAME = object()
"""Stands for what `RETRAINED` leaves out, the network's own value."""


def _shown(value: Any) -> str:
    return "the network's" if value is _SAME else "a section" if isinstance(value, Mapping) else shown(value)
