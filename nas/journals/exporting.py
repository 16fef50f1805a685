"""A journal's trials as a table for other programs."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from autopanoptic.nas.results.result import Result
from autopanoptic.nas.storage.files import whole

Rows: TypeAlias = Sequence[Mapping[str, Any]]


def export(journal: str | Path, path: str | Path, form: str | None = None) -> int:
    """Write the trials of a journal, one a row, as :meth:`Result.rows` has them.

    Args:
        journal: of a finished or running search.
        path: the file.
        form: ``"csv"``, ``"json"`` (a list of objects) or ``"parquet"``; by default what the file's name ends in.

    Returns:
        The number of trials.

    Raises:
        FileNotFoundError: when there is no such journal.
        JournalError: when it is damaged or empty.
        ImportError: when pyarrow, which Parquet needs, is not installed; names the extra.
        ValueError: when the format is none of the three, or the file is the journal.
    """
    form = Path(path).suffix.lstrip(".") if form is None else form
    if form not in WRITERS:
        raise ValueError(f"{path} is written as {' or '.join(WRITERS)}, not as {form!r}. Give --format or such a name.")
    require_other(path, journal)
    write = WRITERS[form]
    if write is _write_parquet:
        _require_pyarrow()
    rows = Result.from_journal(journal).rows()
    with whole(path) as partial:
        write(rows, partial)
    return len(rows)


def require_other(path: str | Path, journal: str | Path) -> None:
    """Refuse a file that is the journal itself, of which nothing would be left.

    Raises:
        ValueError: when it is, be it by another name.
    """
    if Path(path).exists() and Path(journal).exists() and Path(path).samefile(journal):
        raise ValueError(f"{path} is the journal itself, which it would overwrite. Give another file.")


def _names(rows: Rows) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _write_csv(rows: Rows, partial: Path) -> None:
    with partial.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.DictWriter(file, _names(rows))
        writer.writeheader()
        writer.writerows({name: _flat(value) for name, value in row.items()} for row in rows)


def _flat(value: Any) -> Any:
    """Return a value that fits into a cell; lists and dictionaries, which attributes may be, as JSON."""
    return json.dumps(value) if isinstance(value, (dict, list)) else value


def _write_json(rows: Rows, partial: Path) -> None:
    partial.write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")


def _write_parquet(rows: Rows, partial: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    columns = {_utf8(name): _column([_flat(row.get(name)) for row in rows]) for name in _names(rows)}
    parquet.write_table(pyarrow.table(columns), partial)


def _column(values: list[Any]) -> list[Any]:
    """Return values of one type: numbers stay numbers, and what is mixed with texts becomes text."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {bool}:
        return values
    if kinds <= {int, float}:
        large = float in kinds or any(abs(value) >= 1 << 63 for value in values if value is not None)
        return [None if value is None else float(value) for value in values] if large else values
    return [None if value is None else _utf8(str(value)) for value in values]


def _utf8(text: str) -> str:
    """Return a text without halves of surrogate pairs, which JSON can hold and UTF-8 cannot."""
    return text.encode("utf-8", "backslashreplace").decode()


def _require_pyarrow() -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError as problem:
        raise ImportError(
            'Parquet files need pyarrow. Install it by: pip install "autopanoptic[parquet]", or export to csv or json.'
        ) from problem


WRITERS: dict[str, Callable[[Rows, Path], None]] = {"csv": _write_csv, "json": _write_json, "parquet": _write_parquet}
