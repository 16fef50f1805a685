"""What a journal begins with: which search it is of."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from autopanoptic.nas.storage.errors import JournalError
from autopanoptic.nas.storage.reading import short

FORMAT = 2
"""Of the events; it changes with them. A release reads its own."""
INFORMING = ("event", "format", "version", "initial", "id")
"""What may differ between a search and its journal: the journal's own initial architectures and id count."""

LONGEST_REPR = 10_000
"""Characters of a ``repr`` that are parsed, since Python's parser may crash at longer ones of a stranger."""


def library_version() -> str:
    """Return the version of this library, or ``"unknown"`` where it runs without being installed."""
    try:
        return version("autopanoptic")
    except PackageNotFoundError:
        return "unknown"


def search_id(journal_path: object, header: Mapping[str, Any]) -> str:
    """Return the id of a journal's search; of one by an older release, which has none, one that its header gives."""
    text = json.dumps([str(journal_path), dict(header)], sort_keys=True)
    return str(header.get("id") or hashlib.sha256(text.encode()).hexdigest()[:32])


def check_format(journal_path: object, header: Mapping[str, Any]) -> None:
    """Check that a journal's format is this release's.

    Raises:
        JournalError: when it is not; names the release that wrote it.
    """
    found = header.get("format")
    if found != FORMAT:
        raise JournalError(
            f"{journal_path} has format {found!r} and was written by release {header.get('version', 'unknown')}; this "
            f"one, {library_version()}, reads format {FORMAT}. Use the release that wrote it, or another journal."
        )


def check_initial(journal_path: object, header: Mapping[str, Any]) -> None:
    """Check that the architectures with which a search began are objects of options, where the header has them.

    Raises:
        JournalError: when they are not.
    """
    initial = header.get("initial", [])
    if not isinstance(initial, list) or not all(map(_are_options, initial)):
        raise JournalError(f"{journal_path} has initial architectures that are none: {short(initial)}.")


def _are_options(values: object) -> bool:
    return isinstance(values, dict) and all(isinstance(option, (str, int, float)) for option in values.values())


def check_header(
    journal_path: object, known: Mapping[str, Any], header: Mapping[str, Any], parametrised: Mapping[str, object]
) -> None:
    """Check that a journal belongs to a search.

    Args:
        journal_path: names the journal.
        known: its header.
        header: that of the search.
        parametrised: the objects of which the header holds the ``repr``, by name. A parameter that the journal does not
            know may have its default.

    Raises:
        JournalError: names the first property in which they differ, with both values.
    """
    check_format(journal_path, known)
    check_initial(journal_path, known)
    for name in header:
        theirs, ours = known.get(name), header[name]
        if name in INFORMING or _equal(name, theirs, ours):
            continue
        if name in parametrised and isinstance(theirs, str) and _same_but_for_defaults(theirs, parametrised[name]):
            continue
        theirs, ours = _first_difference(theirs, ours)
        raise JournalError(
            f"{journal_path} belongs to another search: its {name} is {short(theirs)}, this one's is {short(ours)}. "
            "Use another journal, or make the search as it was."
        )


def _equal(name: str, theirs: Any, ours: Any) -> bool:
    # The first objective decides which trial is the best, so their order counts.
    ordered = name == "objectives" and isinstance(theirs, dict)
    return bool(theirs == ours) and (not ordered or list(theirs) == list(ours))


def _same_but_for_defaults(theirs: str, ours: object) -> bool:
    """Return whether an object has the parameters that a ``repr`` shows, and its defaults for all others."""
    shown, known = _parameters(repr(ours)), _parameters(theirs)
    if shown is None or known is None or not known.items() <= shown.items():
        return False
    try:
        # A default may follow from other parameters, so it is known only of an object that was made without.
        plain = type(ours)(**{name: getattr(ours, name) for name in known if name})
    except Exception:  # a user's class may raise anything where parameters are missing
        return False
    return repr(plain) == repr(ours)


def _parameters(text: str) -> dict[str, str] | None:
    """Return the parameters that a ``repr`` shows as text, and the class under ""; None for another form."""
    if len(text) > LONGEST_REPR:
        return None
    try:
        call = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last two where brackets are too deep
        return None
    if not isinstance(call, ast.Call) or call.args:
        return None
    return {"": ast.unparse(call.func), **{str(word.arg): ast.unparse(word.value) for word in call.keywords}}


def _first_difference(theirs: Any, ours: Any) -> tuple[Any, Any]:
    """Return the first items that differ, of two lists (such as spaces) of the same length, else the values."""
    if isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        return next((pair for pair in zip(theirs, ours, strict=True) if pair[0] != pair[1]), (theirs, ours))
    return theirs, ours
