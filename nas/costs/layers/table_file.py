"""The file of a table of layers' times: one row for each layer and each combination of options."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from autopanoptic.nas.storage.files import whole


class Row(NamedTuple):
    """One layer with one combination of the options that decide its time.

    Attributes:
        layer: its name in the supernet.
        options: such as ``width=8, kernel=3``; empty where it is always the same.
        module: as torch shows it.
        inputs: the shapes of its inputs.
        milliseconds: of one forward pass; None where that is not known.
    """

    layer: str
    options: str
    module: str
    inputs: str
    milliseconds: float | None


def write(path: Path, rows: Sequence[Row]) -> Path:
    """Write rows as a CSV file, and return its path.

    Raises:
        FileExistsError: when the file has times of rows that are written without one.
        ValueError: when what the file has cannot be read, so that there is no telling.
    """
    timed = _timed(path) if path.is_file() else set()
    lost = [row for row in rows if row.milliseconds is None and (row.layer, row.options) in timed]
    if lost:
        raise FileExistsError(
            f"{path} has {len(lost)} times that would be lost, the first that of {_called(lost[0][:2])}. Write to "
            "another file, or delete it."
        )
    with whole(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(Row._fields)
        writer.writerows([*row[:-1], "" if row.milliseconds is None else repr(row.milliseconds)] for row in rows)
    return path


def read(path: Path, rows: Sequence[Row]) -> list[float]:
    """Return the milliseconds of rows that must be those of a file, which may be in another order.

    Raises:
        ValueError: names the file and the line that is wrong, or the first row that is missing.
    """
    text = _text(path)
    wanted = {(row.layer, row.options): row for row in rows}
    found: dict[tuple[str, str], tuple[int, float]] = {}
    with StringIO(text, newline="") as file:
        reader = csv.DictReader(file)
        lacking = [name for name in ("layer", "options", "milliseconds") if name not in (reader.fieldnames or ())]
        if lacking:
            raise ValueError(f"{path} has no column {lacking[0]!r} in its first line; write() makes such a file.")
        for values in reader:
            where, name = f"{path}, line {reader.line_num}", (values["layer"], values["options"] or "")
            if name not in wanted:
                raise ValueError(f"{where}: {_unknown(name, wanted)}")
            if name in found:
                raise ValueError(f"{where}: the row of {_called(name)} stands in line {found[name][0]} already.")
            _check_same(where, values, wanted[name])
            found[name] = reader.line_num, _number(where, name, values["milliseconds"])
    missing = [name for name in wanted if name not in found]
    if missing:
        raise ValueError(f"{path} lacks {len(missing)} of {len(wanted)} rows, the first that of {_called(missing[0])}.")
    return [found[row.layer, row.options][1] for row in rows]


def _timed(path: Path) -> set[tuple[str, str]]:
    """Return which rows of a file have a time."""
    rows = csv.DictReader(StringIO(_text(path), newline=""))
    return {
        (str(row.get("layer")), row.get("options") or "") for row in rows if (row.get("milliseconds") or "").strip()
    }


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as problem:
        raise ValueError(f"{path} is not of UTF-8: {problem}. Save it as such, or as CSV UTF-8.") from problem


def _number(where: str, name: tuple[str, str], text: str | None) -> float:
    if not (text or "").strip():
        raise ValueError(f"{where}: {_called(name)} has no milliseconds yet.")
    try:
        number = float(str(text))
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise ValueError(f"{where}: {_called(name)} has {text!r} milliseconds; that must be a number from 0.")
    return number


def _check_same(where: str, values: Mapping[str, str | None], row: Row) -> None:
    for column in ("module", "inputs"):
        given, here = values.get(column), getattr(row, column)
        if given and given != here:
            raise ValueError(
                f"{where}: {_called((row.layer, row.options))} has the {column} {given!r}, in this network {here!r}. "
                "Measure it again, or give the table the inputs of then."
            )


def _unknown(name: tuple[str, str], wanted: Mapping[tuple[str, str], Row]) -> str:
    layers = dict.fromkeys(layer for layer, _ in wanted)
    if name[0] not in layers:
        near = get_close_matches(str(name[0]), layers, 1)
        return f"there is no layer {name[0]!r}." + (f" Did you mean {near[0]!r}?" if near else "")
    has = next(options for layer, options in wanted if layer == name[0])
    return f"layer {name[0]!r} has no row with the options {name[1]!r}; one that it has is {has!r}."


def _called(name: tuple[str, str]) -> str:
    return f"layer {name[0]!r}" + (f" with {name[1]}" if name[1] else "")
