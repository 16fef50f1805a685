"""Which modules a pickled object needs."""

from __future__ import annotations

import io
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import cloudpickle  # type: ignore[import-untyped]


class _Recorder(cloudpickle.Pickler):
    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.modules: set[str] = set()

    def persistent_id(self, value: Any) -> None:
        """Take notice of a value; pickle calls this for each, and goes on as usual when it gets None."""
        if isinstance(value, ModuleType):
            self.modules.add(value.__name__)
        elif isinstance(value, (type, FunctionType, BuiltinFunctionType)) and isinstance(value.__module__, str):
            self.modules.add(value.__module__)


def pickled_with_needs(value: Any) -> tuple[bytes, frozenset[str]]:
    """Pickle an object by cloudpickle, and name the modules that whoever loads it is going to import.

    Modules whose contents are pickled by value, as those of the program itself, are not among them.
    """
    file = io.BytesIO()
    recorder = _Recorder(file)
    recorder.dump(value)
    by_value = {"__main__", *cloudpickle.list_registry_pickle_by_value()}
    return file.getvalue(), frozenset(recorder.modules - by_value)
