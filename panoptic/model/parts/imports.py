"""Importing the modules that a config names, which register a user's own parts; loads no torch by itself."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path


def import_modules(names: Iterable[str]) -> None:
    """Import modules by their dotted names: from Python's path, and else from the working folder.

    The working folder is then put at the end of ``sys.path``, which spawned processes take over.

    Raises:
        ValueError: If there is no such module, or it fails; says how to mend it.
    """
    for name in names:
        if name not in sys.modules:
            _import(name)


def missing_modules(names: Iterable[str]) -> list[str]:
    """Return which modules have not been imported."""
    return [name for name in names if name not in sys.modules]


def name_problem(name: object) -> str | None:
    """Say why a module cannot have a name; None where it can."""
    if not isinstance(name, str):
        return f"must hold names of modules, not {name!r}"
    stem = name.removesuffix(".py")
    if stem != name or "/" in name:
        return f"must hold names of modules, as in Python's import: {Path(stem).name!r}, not the file {name!r}"
    if not all(part.isidentifier() for part in name.split(".")):
        return f"must hold names of modules, as in Python's import, not {name!r}"
    return None


def _import(name: str) -> None:
    top = name.partition(".")[0]
    folder = Path.cwd()
    if top not in sys.modules and find_spec(top) is None and _holds(folder, top):
        sys.path.append(str(folder))
    try:
        import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise ValueError(_failed(name, error)) from error
        raise ValueError(
            f"imports: there is no module {name!r} on Python's path or in the working folder {folder}. Work in the "
            f"folder that {top}.py is in, or put that folder on PYTHONPATH, or install it"
        ) from error
    except Exception as error:
        raise ValueError(_failed(name, error)) from error


def _holds(folder: Path, top: str) -> bool:
    return (folder / f"{top}.py").is_file() or (folder / top).is_dir()


def _failed(name: str, error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    # The reader of a file's text knows its line better than Python's importer, which is last then.
    file, line = (error.filename, error.lineno) if isinstance(error, SyntaxError) else (last.filename, last.lineno)
    return f"imports: the module {name!r} fails with {type(error).__name__}: {error} ({file}, line {line})"
