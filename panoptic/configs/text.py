"""Configs as text to read: every key with its value, and what it means, from the docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from functools import cache
from textwrap import wrap
from typing import Any, Literal, get_args, get_origin

from autopanoptic.panoptic.configs.config import values_of
from autopanoptic.panoptic.configs.layers import ConfigError, find
from autopanoptic.panoptic.configs.schema import keys_of, may_be, neighbour, section_of
from autopanoptic.panoptic.configs.yaml_text import KeyPath, write
from autopanoptic.panoptic.settings.settings import Settings

WIDTH = 79
"""Columns of a comment, so that nothing wraps in a terminal of 80."""


def title_of(name: str) -> str:
    """Return the comment at the top of a config that ships."""
    return find(name).read_text(encoding="utf-8").splitlines()[0].removeprefix("#").strip()


def text_of(settings: Settings, section: str | None = None, *, explain: bool = False) -> str:
    """Return settings as YAML.

    Args:
        settings: Of a run.
        section: A dotted key, to which the text is limited; None for everything.
        explain: Whether to say above each key what it means.

    Raises:
        ConfigError: If there is no such section.
    """
    values: Any = values_of(settings)
    path: KeyPath = tuple(section.split(".")) if section else ()
    for depth, key in enumerate(path):
        if not isinstance(values, Mapping) or key not in values:
            raise ConfigError(f"{section}: unknown key{neighbour(path[: depth + 1])}")
        values = values[key]
    for key in reversed(path):
        values = {key: values}
    return "".join(_lines(values, Settings, 0)) if explain else write(values)


def _lines(values: Mapping[str, Any], section: type, depth: int) -> Iterator[str]:
    indent = "  " * depth
    for key, value in values.items():
        hint = keys_of(section)[key]
        inner = section_of(hint)
        text = meanings(section).get(key, "")
        if inner is None and not _named(hint, text):
            text = f"{text} [{may_be(hint)}]"
        if depth == 0:
            yield "\n" if key != next(iter(values)) else ""
        yield from (f"{indent}# {line}\n" for line in wrap(text, WIDTH - len(indent) - 2))
        if inner is not None and isinstance(value, Mapping) and value:
            yield f"{indent}{key}:\n"
            yield from _lines(value, inner, depth + 1)
        else:
            yield f"{indent}{write({key: value})}"


def _named(hint: Any, text: str) -> bool:
    """Whether a text names all options of a type that has such."""
    options = [option for part in (hint, *get_args(hint)) if get_origin(part) is Literal for option in get_args(part)]
    return bool(options) and all(re.search(rf"\b{re.escape(option)}\b", text) for option in options)


@cache
def meanings(section: type) -> dict[str, str]:
    """Return what the docstring of a section says of each key."""
    _, _, attributes = (inspect.getdoc(section) or "").partition("Attributes:\n")
    found: dict[str, str] = {}
    name = ""
    for line in attributes.splitlines():
        if line and not line.startswith("    "):
            break
        begin = re.match(r"    (\w+): (.*)", line)
        if begin:
            name = begin[1]
            found[name] = begin[2]
        elif name and line.strip():
            found[name] += f" {line.strip()}"
    return {key: re.sub(r"\bNone\b", "null", re.sub('[`"]', "", text)) for key, text in found.items()}
