"""An evaluator as bytes, and which modules these need."""

from __future__ import annotations

import io
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import cloudpickle  # type: ignore[import-untyped]

from autopanoptic.nas.evaluation.evaluator import Evaluator


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


def pickled_with_needs(evaluator: Evaluator) -> tuple[bytes, frozenset[str]]:
    """Pickle an evaluator by cloudpickle, and name the modules that whoever loads it is going to import.

    Modules whose contents are pickled by value, as those of the program itself, are not among them.

    Raises:
        TypeError: when it cannot be sent to another process.
    """
    file = io.BytesIO()
    recorder = _Recorder(file)
    try:
        recorder.dump(evaluator)
    except Exception as problem:
        raise TypeError(
            f"The evaluator cannot be sent to another process: {problem}. Make what it needs inside evaluate(), "
            "or run in this process with InlineExecutor."
        ) from problem
    by_value = {"__main__", *cloudpickle.list_registry_pickle_by_value()}
    return file.getvalue(), frozenset(recorder.modules - by_value)
