"""YAML as configs use it: the scalars of YAML 1.2, no key twice, and the line of every value.

PyYAML follows YAML 1.1, where ``1e-3`` is text, ``no`` is false and ``010`` is 8; the core schema of YAML 1.2, which
people expect, reads a number, text and 10. As in 1.1, digits may be grouped: ``90_000``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, TypeAlias

import yaml

KeyPath: TypeAlias = tuple[str, ...]
"""The keys that lead to a value, from the outermost in."""

_TAG = "tag:yaml.org,2002:"
_DIGITS = r"[0-9]+(?:_[0-9]+)*"
_SCALARS = {
    "null": (r"~|null|Null|NULL|", "~nN\0"),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (rf"[-+]?{_DIGITS}|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    "float": (
        rf"[-+]?(?:\.[0-9]+|{_DIGITS}(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
}


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (PyYAML's own class attribute)


class _Dumper(yaml.SafeDumper):
    """Quotes text that either version of YAML would read as something else."""


for _kind, (_pattern, _first) in _SCALARS.items():
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(
            _TAG + _kind, re.compile(rf"^(?:{_pattern})$"), ["" if c == "\0" else c for c in _first]
        )
# PyYAML folds plain and single-quoted text at line ends that are no line feeds.
_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(f"{_TAG}str", text, style=None if text.isprintable() else '"'),
)
_Dumper.add_representer(list, lambda dumper, value: dumper.represent_sequence(_TAG + "seq", value, flow_style=True))


@dataclass(frozen=True)
class Document:
    """The content of a YAML file.

    Attributes:
        values: Nested mappings, lists, text, numbers, booleans and None.
        lines: The line of every key, from 1.
    """

    values: Any
    lines: dict[KeyPath, int]


def read(text: str) -> Document:
    """Read YAML.

    Raises:
        ValueError: If it is no YAML, a key stands twice or is no text, or a tag is none of YAML's plain values;
            begins with "line N: " where the place is known.
    """
    loader = _Loader(text) if not _unprintable(text) else None
    if loader is None:
        raise ValueError("it holds characters that YAML forbids")
    try:
        node = loader.get_single_node()
        lines: dict[KeyPath, int] = {}
        return Document(None if node is None else _value(node, (), lines, ()), lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = "" if mark is None else f"line {mark.line + 1}: "
        raise ValueError(f"{place}{error.problem or error.context}") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    finally:
        loader.dispose()


def _unprintable(text: str) -> bool:
    return yaml.reader.Reader.NON_PRINTABLE.search(text) is not None


def _value(node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int], above: tuple[yaml.Node, ...]) -> Any:
    if node in above:
        raise ValueError(f"{_line(node)}an alias stands inside of what it names")
    above = (*above, node)
    if not isinstance(node, yaml.ScalarNode) and node.tag not in (f"{_TAG}map", f"{_TAG}seq"):
        raise ValueError(_unknown_tag(node))
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = _key(key_node)
            if key in found:
                first = lines[(*path, key)]
                raise ValueError(f"{_line(key_node)}the key {key!r} stands here again, after line {first}")
            lines[(*path, key)] = key_node.start_mark.line + 1
            found[key] = _value(value_node, (*path, key), lines, above)
        return found
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, path, lines, above) for item in node.value]
    return _scalar(node)


def _key(node: yaml.Node) -> str:
    key = _scalar(node) if isinstance(node, yaml.ScalarNode) else None
    if not isinstance(key, str):
        raise ValueError(f"{_line(node)}a key must be text, not {getattr(node, 'value', None)!r}")
    return key


def _scalar(node: yaml.Node) -> Any:
    kind, text = node.tag.removeprefix(_TAG), str(node.value)
    try:
        if kind == "null":
            return None
        if kind == "bool":
            return {"true": True, "false": False}[text.lower()]
        if kind == "int":
            return int(text, 0 if text[:2] in ("0o", "0x") else 10)
        if kind == "float":
            return float(re.sub(r"\.(inf|nan)$", r"\1", text.lower()))
        if kind == "str":
            return text
    except (KeyError, ValueError) as error:
        raise ValueError(f"{_line(node)}{text[:40]!r} is no {kind}") from error
    raise ValueError(_unknown_tag(node))


def _unknown_tag(node: yaml.Node) -> str:
    return f"{_line(node)}the tag {node.tag} is not read; use plain values"


def _line(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1}: "


def write(values: Any) -> str:
    """Return YAML that `read` gives back: a line for each key, lists in brackets."""
    text = yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)
    return str(text)


def shown(value: object, longest: int = 60) -> str:
    """Return a value in one line of YAML, for messages."""
    text = yaml.dump(value, Dumper=_Dumper, default_flow_style=True, allow_unicode=True, width=10_000, sort_keys=False)
    text = " ".join(text.removesuffix("\n").removesuffix("\n...").split())
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
