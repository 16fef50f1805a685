from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from autopanoptic.nas import (
    Architecture,
    Choice,
    GridSearch,
    ProcessExecutor,
    RandomSearch,
    Search,
    SearchError,
    SearchSpace,
)
from autopanoptic.nas.executors.places import place_of_worker
from tests.nas.executors.conftest import MakeExecutor

# The workers cannot import this module by its name.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

SPACE = SearchSpace([Choice("a", range(50))])


def loads_data(architecture: Architecture) -> float:
    from torch.utils.data import DataLoader

    batches = DataLoader([int(architecture["a"]), 1, 2], batch_size=3, num_workers=1)  # type: ignore[arg-type]
    return float(sum(batch.sum().item() for batch in batches))


def test_evaluator_may_have_processes_of_its_own(make_executor: MakeExecutor) -> None:
    result = Search(SPACE, RandomSearch(), loads_data, executor=make_executor(1)).run(1)
    assert result.best.metrics["value"] == int(result.best.architecture["a"]) + 3


def leaves(architecture: Architecture) -> float:
    sys.exit("the loss is not finite")


def test_evaluator_that_leaves_the_program_fails_its_trial(make_any: MakeExecutor) -> None:
    search = Search(SPACE, RandomSearch(), leaves, executor=make_any(1))
    with pytest.raises(SearchError, match=r"All 10 trials failed(.|\n)*in leaves(.|\n)*SystemExit: the loss is not"):
        search.run(20)


PROGRAM = """
import sys, time, weakref

# Hooks at exit run last first: this one is made before multiprocessing is imported, and so runs after its own.
weakref.finalize(sys, print, "the end")

from pathlib import Path
from autopanoptic.nas import Architecture, FunctionEvaluator, ProcessExecutor

def evaluate(architecture):
    Path(architecture["path"]).touch()
    time.sleep(3600)

if __name__ == "__main__":
    path = Path(sys.argv[1])
    executor = ProcessExecutor(2)
    executor.start(FunctionEvaluator(evaluate), lambda *_: False)
    executor.submit(0, Architecture({"path": str(path)}))
    while not path.exists():
        time.sleep(0.01)
    if sys.argv[2] == "fails":
        raise RuntimeError("of the program")
"""


@pytest.mark.parametrize(("ending", "code"), [("succeeds", 0), ("fails", 1)])
def test_program_that_forgets_to_stop_its_executor_ends(tmp_path: Path, ending: str, code: int) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    command = [sys.executable, str(program), str(tmp_path / "begun"), ending]
    # The workers have its standard output too, so they have ended as well when this returns.
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == code, ended.stderr
    assert ended.stdout == "the end\n"
    assert ("RuntimeError: of the program" in ended.stderr) == (ending == "fails")


class EndsWorkers:
    """Ends the processes that load it, as a broken GPU does: all, or the one at the second place."""

    def __init__(self, every: bool) -> None:
        self.every = every

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.every = state["every"]
        if self.every or place_of_worker() == 1:
            os._exit(3)

    def evaluate(self, architecture: Architecture, report: Any) -> dict[str, float]:
        time.sleep(1.0)
        return {"value": 1.0}


def test_workers_that_die_again_and_again_before_they_are_ready_end_the_search() -> None:
    space = SearchSpace([Choice("a", [1])])
    assert Search(space, GridSearch(), EndsWorkers(False), executor=ProcessExecutor(2)).run().history.n_completed == 1
    search = Search(space, GridSearch(), EndsWorkers(True), executor=ProcessExecutor(2), retries=9)
    with pytest.raises(RuntimeError, match=r"6 worker processes in a row died .* The last one: exit code 3"):
        search.run()
