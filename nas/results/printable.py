"""Texts of a journal on a terminal, which anybody may have written."""

from __future__ import annotations


def printable(value: object) -> str:
    r"""Return a value as text in which control characters stand as escapes such as ``\x1b``, without effect."""
    return "".join(sign if sign.isprintable() or sign == "\n" else _escaped(sign) for sign in str(value))


def _escaped(sign: str) -> str:
    return sign.encode("unicode_escape", "surrogatepass").decode()
