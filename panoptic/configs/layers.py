"""A config in layers: the values of a file over those of its base, and changes over both, each with its place."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from autopanoptic.panoptic.configs.models import MODEL, NETWORK, with_model, without_model
from autopanoptic.panoptic.configs.widths import NETWORKS, WIDTH, spelled_out
from autopanoptic.panoptic.configs.yaml_text import KeyPath, read

BASE, QUICK = "base", "quick"
"""Keys of a file that are no settings: the config it starts from, and what its quick form changes."""

_FOLDER = Path(__file__).parent


class ConfigError(ValueError):
    """A config is wrong; names the place, the key, the value and what it may be."""


@dataclass(frozen=True)
class Layer:
    """Some values of a config.

    Attributes:
        values: Nested mappings; what is left out stays as it is in the layer below.
        places: Where each key was given, such as ``"mine.yaml, line 3"``.
        source: Where the layer is from, for what stands in no place of its own.
        unnamed: The values without what a model's name stands for; None where there is no such name.
    """

    values: dict[str, Any] = field(default_factory=dict)
    places: dict[KeyPath, str] = field(default_factory=dict)
    source: str | None = None
    unnamed: dict[str, Any] | None = None

    def over(self, below: Layer) -> Layer:
        """Return both layers as one; mappings are merged, anything else takes the place of what is below.

        Where both name a model, nothing is left of what the name below stands for.
        """
        merged = _merged(below.values if self.unnamed is None else below.own, self.values)
        unnamed = None if self.unnamed is None and below.unnamed is None else _merged(below.own, self.own)
        # What is above comes last, for `latest`.
        kept = {path: place for path, place in below.places.items() if path not in self.places}
        return Layer(merged, {**kept, **self.places}, self.source or below.source, unnamed)

    @property
    def own(self) -> dict[str, Any]:
        """The values without what a model's name stands for."""
        return self.values if self.unnamed is None else self.unnamed

    def place(self, path: KeyPath) -> str | None:
        """Return where a key was given, or the section that it stands in, or something within it or beside it."""
        above = [path[:n] for n in range(len(path), 0, -1)]
        inside = (other for one in above for other in self.places if other[: len(one)] == one)
        return next((self.places[one] for one in (*above, *inside) if one in self.places), self.source)

    def latest(self, paths: Collection[KeyPath]) -> str | None:
        """Return where the uppermost layer gave one of some keys; None where none was given."""
        return next((place for path, place in reversed(self.places.items()) if path in paths), None)

    def take(self, key: str) -> tuple[Layer, Layer]:
        """Return the layer without an outermost key, and the layer below that key."""
        rest = Layer(
            _without(self.values, key),
            {path: place for path, place in self.places.items() if path[0] != key},
            self.source,
            None if self.unnamed is None else _without(self.unnamed, key),
        )
        inner, unnamed = self.values.get(key) or {}, self.own.get(key) or {}
        places = {path[1:]: place for path, place in self.places.items() if path[0] == key and path[1:]}
        return rest, Layer(inner, places, unnamed=None if unnamed == inner else unnamed)


def _without(values: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != key}


def _merged(below: Any, above: Any) -> Any:
    if not isinstance(below, Mapping) or not isinstance(above, Mapping):
        return above
    return {**below, **{key: _merged(below.get(key), value) for key, value in above.items()}}


def shipped() -> list[str]:
    """Return the names of the configs that ship with the package."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def find(source: str | Path, beside: Path | None = None) -> Path:
    """Return the file of a config.

    Args:
        source: The name of a shipped config, or a path.
        beside: The folder to which a relative path belongs; the working folder by default.

    Raises:
        FileNotFoundError: If there is no such config; names one that is spelled alike.
    """
    if str(source) in shipped():
        return _FOLDER / f"{source}.yaml"
    path = Path(source) if beside is None else beside / source
    if path.is_file():
        return path
    if path.is_dir():
        raise FileNotFoundError(f"config {str(source)!r} is a folder; give a YAML file")
    close = get_close_matches(str(source), shipped(), n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise FileNotFoundError(f"config {str(source)!r} is neither a file nor one of {', '.join(shipped())}{hint}")


@cache
def _shipped_layer(name: str) -> Layer:
    return read_file(find(name))


def shipped_section(name: str, section: str) -> dict[str, Any]:
    """Return what a config that ships gives for a section; what it leaves out has the section's default."""
    return dict(_shipped_layer(name).values[section])


def read_file(path: Path, above: tuple[Path, ...] = ()) -> Layer:
    """Read a config file over its base; the keys `BASE` are gone, `QUICK` stays.

    Args:
        path: The file.
        above: The files that have it as their base.

    Raises:
        FileNotFoundError: If the file or its base is missing.
        ConfigError: If a file is no YAML, no mapping, or its own base.
    """
    own = _layer_of(path)
    base = own.values.pop(BASE, None)
    own.own.pop(BASE, None)
    if base is None:
        return own
    where = own.places.get((BASE,), str(path))
    if not isinstance(base, str):
        raise ConfigError(f"{where}: base must be the name of a shipped config or a path, not {base!r}")
    try:
        below = find(base, beside=path.parent)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{where}: base: {error}") from error
    chain = (*above, path)
    if below.resolve() in [one.resolve() for one in chain]:
        raise ConfigError(f"{where}: a config cannot be its own base: {' -> '.join(map(str, (*chain, below)))}")
    return own.over(read_file(below, chain))


def _layer_of(path: Path) -> Layer:
    try:
        document = read(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no text in UTF-8: {error.reason} at byte {error.start}") from error
    except ValueError as error:
        raise ConfigError(_at(path, str(error))) from error
    values = {} if document.values is None else document.values
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold keys and values, not {values!r:.60}")
    places = {keys: f"{_short(path)}, line {line}" for keys, line in document.lines.items()}
    return _without_names(Layer(values, places, _short(path)))


def _without_names(layer: Layer) -> Layer:
    """Return a layer with what widths and models stand for in place of their names; their places stay."""
    try:
        values, unnamed = (_spelled_out(layer.values, models) for models in (with_model, without_model))
    except ValueError as error:
        keys = [(WIDTH,), *((one, WIDTH) for one in NETWORKS), (NETWORK, MODEL)]
        place = layer.latest([*keys, *((QUICK, *key) for key in keys)]) or layer.source
        raise ConfigError(f"{f'{place}: ' if place else ''}{error}") from error
    return Layer(values, layer.places, layer.source, None if unnamed == values else unnamed)


def _spelled_out(values: Mapping[str, Any], models: Callable[[Mapping[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    found = spelled_out(models(values))
    if isinstance(found.get(QUICK), Mapping):
        found[QUICK] = spelled_out(models(found[QUICK]))
    return found


def _at(path: Path, problem: str) -> str:
    return f"{_short(path)}{', ' if problem.startswith('line ') else ': '}{problem}"


def _short(path: Path) -> str:
    return path.name if path.parent == _FOLDER else str(path)


def change(text: str) -> tuple[str, Any]:
    """Return the key and the value of ``key=value``, whose value is YAML.

    Raises:
        ConfigError: If there is no key or no ``=``, or the value is no YAML.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {text}: write key=value, such as search.trials=61")
    try:
        return key.strip(), read(value).values
    except ValueError as error:
        raise ConfigError(f"--set {text}: the value is no YAML: {str(error).removeprefix('line 1: ')}") from error


def layer_of_changes(changes: Iterable[tuple[str, Any, str]]) -> Layer:
    """Return dotted keys, values and places as a layer.

    Raises:
        ConfigError: If a key is given twice, or a key and the section that it stands in, or something of `QUICK`, which
            stands for a file's own keys.
    """
    found = Layer()
    taken: dict[KeyPath, str] = {}
    for key, value, place in changes:
        path = tuple(key.split("."))
        if path[0] == QUICK:
            raise ConfigError(
                f"{place}: {key} is for files, which say there what their quick form changes; set the key itself, such "
                "as retrain.passes"
            )
        for other, there in taken.items():
            shorter = min(len(path), len(other))
            if path[:shorter] == other[:shorter]:
                raise ConfigError(f"{there} and {place} both set {'.'.join(path[:shorter])}; leave out one")
        taken[path] = place
        nested: Any = value
        for name in reversed(path):
            nested = {name: nested}
        found = Layer(nested, dict.fromkeys(_paths(value, path), place)).over(found)
    return _without_names(found)


def _paths(value: Any, path: KeyPath) -> Iterator[KeyPath]:
    yield path
    for key, inner in value.items() if isinstance(value, Mapping) else ():
        yield from _paths(inner, (*path, key))
