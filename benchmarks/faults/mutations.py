"""Files of strangers: what is left of a good file after random damage, or after somebody has meddled with it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

VALUES: list[Any] = [
    None, True, -1, 0, 10**400, 1e308, -0.0, "", "x" * 300, "\x1b[2J", "\ud800", "__import__('os').abort()",
    [], [1], [[]], {}, {"a": 1}, {"event": "ended"},
]  # fmt: skip
RAW = [
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"9" * 5000,
    b"[" * 5000,
    b'{"a":' * 3000,
    b"\xff\xfe",
    b"\x00" * 40,
    b"\r",
    b"\n",
]


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Return a file that has gone through one to three changes."""
    for _ in range(rng.randint(1, 3)):
        content = rng.choice(_CHANGES)(content, rng)
    return content


def _flip(content: bytes, rng: random.Random) -> bytes:
    found = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        if found:
            found[rng.randrange(len(found))] = rng.randrange(256)
    return bytes(found)


def _cut_out(content: bytes, rng: random.Random) -> bytes:
    start, end = sorted(rng.randint(0, len(content)) for _ in range(2))
    return content[:start] + content[end:]


def _put_in(content: bytes, rng: random.Random) -> bytes:
    place = rng.randint(0, len(content))
    return content[:place] + rng.choice(RAW) + content[place:]


def _move_lines(content: bytes, rng: random.Random) -> bytes:
    lines = content.splitlines(keepends=True) or [b""]
    first, second = rng.randrange(len(lines)), rng.randrange(len(lines))
    change = rng.randrange(3)
    if change == 0:
        lines.insert(first, lines[second])
    elif change == 1:
        del lines[first]
    else:
        lines[first], lines[second] = lines[second], lines[first]
    return b"".join(lines)


def _meddle(content: bytes, rng: random.Random) -> bytes:
    """Give one value somewhere another type."""
    lines = content.splitlines(keepends=True) or [b"{}"]
    place = rng.randrange(len(lines)) if rng.random() < 0.7 else 0
    try:
        value = json.loads(lines[place])
    except (ValueError, RecursionError):
        return content
    lines[place] = json.dumps(_replaced(value, rng)).encode() + b"\n"
    return b"".join(lines)


def _replaced(value: Any, rng: random.Random) -> Any:
    if isinstance(value, (dict, list)) and value and rng.random() < 0.8:
        key = rng.choice(list(value)) if isinstance(value, dict) else rng.randrange(len(value))
        if rng.random() < 0.15:
            del value[key]
        else:
            value[key] = _replaced(value[key], rng)
        return value
    return rng.choice(VALUES)


_CHANGES: list[Callable[[bytes, random.Random], bytes]] = [_flip, _cut_out, _put_in, _move_lines, _meddle, _meddle]
