"""From nested values to `Settings`: unknown keys, wrong types and values out of range, named by their key."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from autopanoptic.panoptic.configs.layers import QUICK, ConfigError, Layer
from autopanoptic.panoptic.configs.models import MODEL, NETWORK
from autopanoptic.panoptic.configs.spaces import with_fine_tuning, with_pretraining, with_recipe, with_strategy
from autopanoptic.panoptic.configs.widths import WIDTH
from autopanoptic.panoptic.configs.yaml_text import KeyPath, shown
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.config_checks import SEARCHED_BACKBONE
from autopanoptic.panoptic.settings.settings import Settings

DERIVED = {
    "num_things": "the data",
    "num_stuff": "the data",
    "space": "search.space",
    "backbone_blocks": "the file that is the backbone",
}
"""Fields of `PanopticConfig` that no config gives, and where they come from."""
RETRAINED = "retrained_network"
OF_SEARCHED = ": the published widths are those of the searched backbone"
NO_WIDTH = (
    ": the published widths are those of search.space auto-panoptic; elsewhere channels and depths are choices, "
    "network.c2_widths and so on. Leave one of the two out"
)

NO_MODEL = (
    ": a model names the components of a network, and in search.space published they are what is searched, among "
    "network.semantic_heads and so on. Leave one of the two out"
)

_PLAIN = {int: ("a whole number", "whole numbers"), float: ("a number", "numbers"), str: ("text", "texts")}


@cache
def keys_of(section: type) -> dict[str, Any]:
    """Return the keys of a section and the types of their values."""
    hints = get_type_hints(section)
    derived = DERIVED if section is PanopticConfig else {}
    return {one.name: hints[one.name] for one in fields(section) if one.name not in derived}


def section_of(hint: Any) -> type | None:
    """Return the dataclass that a type is, or is beside None."""
    return next((part for part in (hint, *get_args(hint)) if isinstance(part, type) and is_dataclass(part)), None)


def settings_of(layer: Layer) -> Settings:
    """Check the values of a config and make settings of them.

    Raises:
        ConfigError: If a key is unknown or missing, or a value of the wrong type or out of range; names all of them
            that can be told.
    """
    if not isinstance(layer.values.get(QUICK) or {}, Mapping):
        _refuse(
            [
                _problem(
                    layer,
                    (QUICK,),
                    f" must hold the keys that the quick form changes, not {shown(layer.values[QUICK])}",
                )
            ]
        )
    layer, quick = layer.take(QUICK)
    _refuse([*_unknown(layer, Settings), *_unknown(quick, Settings, shown_before=(QUICK,))])
    _refuse(list(_unreadable(layer, layer.values, ())))
    values = with_fine_tuning(with_pretraining(with_strategy(layer.values)))
    network, supernet = values.get("network", {}), values.get("supernet")
    filled: dict[str, Any] = {}
    if isinstance(changed := values.get(RETRAINED), Mapping) and isinstance(network, Mapping):
        filled[RETRAINED] = {**network, **changed}
    for name in ("warmup", "largest"):
        if isinstance(first := values.get(name), Mapping) and isinstance(supernet, Mapping):
            filled[name] = with_recipe(first, supernet)
    # First without them, so that what is wrong in another section is not said twice.
    found = _validated(layer, {**values, **dict.fromkeys(filled)})
    found = _validated(layer, {**values, **filled}) if filled else found
    if found.network_for(1, 1).elastic and (WIDTH,) in layer.places:
        _refuse([_problem(layer, (WIDTH,), NO_WIDTH)])
    if found.search.space == "published" and (NETWORK, MODEL) in layer.places:
        _refuse([_problem(layer, (NETWORK, MODEL), NO_MODEL)])
    for backbone in (found.backbone(), found.backbone(retrained=True)):
        if backbone != SEARCHED_BACKBONE and (WIDTH,) in layer.places:
            _refuse([_problem(layer, (WIDTH,), f"{OF_SEARCHED}, not of {backbone}. Leave one of the two out")])
    return found


def _refuse(problems: list[str]) -> None:
    if problems:
        raise ConfigError("\n".join(problems))


def _problem(layer: Layer, path: KeyPath, what: str, shown_before: KeyPath = ()) -> str:
    place = layer.place(path)
    return f"{f'{place}: ' if place else ''}{'.'.join((*shown_before, *path))}{what}"


def _unknown(layer: Layer, section: type, path: KeyPath = (), shown_before: KeyPath = ()) -> Iterator[str]:
    values: Any = layer.values
    for key in path:
        values = values[key]
    known = keys_of(section)
    for key, value in values.items():
        here = (*path, key)
        inner = section_of(known.get(key))
        if section is PanopticConfig and key in DERIVED:
            yield _problem(layer, here, f" comes from {DERIVED[key]}; leave it out", shown_before)
        elif key not in known:
            yield _problem(layer, here, f": unknown key{neighbour(here)}", shown_before)
        elif inner is not None and isinstance(value, Mapping):
            yield from _unknown(layer, inner, here, shown_before)


def neighbour(path: KeyPath) -> str:
    """Return a hint at the key that is spelled alike: first in the same section, else in all."""
    key, above = path[-1], path[:-1]
    beside = [known for known in all_keys() if known[:-1] == above]
    names = {known[-1]: known for known in (*reversed(all_keys()), *beside)}
    close = get_close_matches(key, names, n=1)
    if not close:
        return f"; known are {', '.join(known[-1] for known in beside)}" if beside else ""
    found = names[close[0]]
    return f"; did you mean {found[-1] if found[:-1] == above else '.'.join(found)}?"


@cache
def all_keys(section: type = Settings, path: KeyPath = ()) -> tuple[KeyPath, ...]:
    """Return every key of a config, those of sections after the section's own."""
    found: list[KeyPath] = []
    for key, hint in keys_of(section).items():
        inner = section_of(hint)
        found.append((*path, key))
        found.extend(all_keys(inner, (*path, key)) if inner is not None else ())
    return tuple(found)


def _unreadable(layer: Layer, value: object, path: KeyPath) -> Iterator[str]:
    """What no field takes: numbers without a value, and text that is none."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _unreadable(layer, inner, (*path, key))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _unreadable(layer, item, path)
    elif isinstance(value, float) and not math.isfinite(value):
        yield _problem(layer, path, f" must be a finite number, not {shown(value)}")
    elif isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        yield _problem(layer, path, f" must be text, not {value!r}")


def _validated(layer: Layer, values: Mapping[str, Any]) -> Settings:
    try:
        # JSON, because strict validation of Python's values takes no lists for tuples and no mappings for dataclasses.
        return _checker().validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        found = error.errors(include_url=False)
    except TypeError as error:
        raise ConfigError(f"a config holds mappings, lists, text, numbers, true, false and null: {error}") from error
    problems = (
        _explained(layer, one["type"], one["loc"], one["input"], one["msg"], one.get("ctx", {})) for one in found
    )
    raise ConfigError("\n".join(dict.fromkeys(problems)))


@cache
def _checker() -> TypeAdapter[Settings]:
    return TypeAdapter(Settings)


def _explained(layer: Layer, kind: str, place: tuple[int | str, ...], value: Any, text: str, context: Any) -> str:
    path = _known(tuple(str(key) for key in place if isinstance(key, str)))
    section, hint = _at(path)
    if kind == "value_error":
        return _out_of_range(layer, path, section, str(context["error"]))
    if kind == "missing" and len(place) == len(path):
        return _problem(layer, path, " is missing")
    if hint is None:
        return _problem(layer, path, f": {text}")
    return _problem(layer, path, f" must be {may_be(hint)}, not {shown(_value_at(layer, path, value))}")


def _known(path: KeyPath) -> KeyPath:
    """Return a path without what follows a value of several types: which of them it was tried as."""
    hint: Any = Settings
    for length, key in enumerate(path):
        section = section_of(hint)
        if section is None:
            return path[:length]
        hint = keys_of(section).get(key)
    return path


def _at(path: KeyPath) -> tuple[type, Any]:
    """Return the section that a path leads to, or into, and the type of the value there."""
    section: type = Settings
    hint: Any = Settings
    for key in path:
        section = section_of(hint) or section
        hint = keys_of(section).get(key)
    return section_of(hint) or section, hint


def _value_at(layer: Layer, path: KeyPath, default: Any) -> Any:
    found: Any = layer.values
    for key in path:
        if not isinstance(found, Mapping) or key not in found:
            return default
        found = found[key]
    return found


def _out_of_range(layer: Layer, path: KeyPath, section: type, message: str) -> str:
    """Put a section's own message, which begins with a field's name, behind that field's place."""
    message = message.removeprefix(f"{section.__name__}: ")
    named = [word for word in re.findall(r"\w+", message) if word in keys_of(section)]
    above = [path, ("network",)] if path == (RETRAINED,) else [path]
    # A section that finds fault with another one names the key as a whole.
    dotted = tuple((re.match(r"\w+(?:\.\w+)*", message) or [""])[0].split("."))
    if not path and len(dotted) > 1 and dotted in all_keys():
        return _problem(layer, dotted, message.removeprefix(".".join(dotted)))
    # Of keys that contradict each other the one that was given last is to be mended.
    place = layer.latest([(*section_path, word) for section_path in above for word in named]) or layer.place(path)
    key = ".".join(path) + ("." if path and named and message.startswith(named[0]) else ": " if path else "")
    return f"{f'{place}: ' if place else ''}{key}{message}"


def may_be(hint: Any) -> str:
    """Say in words what a value of a type may be."""
    arguments = get_args(hint)
    if NoneType in arguments:
        (inner,) = (part for part in arguments if part is not NoneType)
        return f"{may_be(inner)}, or null"
    if get_origin(hint) is Literal:
        return f"one of {', '.join(map(shown, arguments))}"
    if get_origin(hint) is tuple:
        number = "" if Ellipsis in arguments else f"{len(arguments)} "
        return f"a list of {number}{_PLAIN[arguments[0]][1]}"
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(map(may_be, arguments))
    if hint is bool:
        return "true or false"
    section = section_of(hint)
    return f"a section with keys such as {next(iter(keys_of(section)))}" if section else _PLAIN[hint][0]
