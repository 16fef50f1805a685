from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from autopanoptic.nas import (
    NSGA2,
    Architecture,
    Choice,
    Evolution,
    InlineExecutor,
    ProcessExecutor,
    RandomSearch,
    RegularizedEvolution,
    Result,
    Search,
    SearchError,
    SearchSpace,
    Stopper,
    Strategy,
    TrialState,
)
from tests.nas.executors.conftest import MakeExecutor
from tests.processes import alive, content, wait_for_end

# The workers cannot import this module by its name.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

SPACE = SearchSpace([Choice("a", range(50)), Choice("b", ["x", "y", "z"])])


def evaluate(architecture: Architecture) -> dict[str, float]:
    number = int(architecture["a"])
    time.sleep(0.003 * (number % 4))
    return {"value": float(number), "pid": float(os.getpid())}


def values(search: Search) -> list[Any]:
    return [(trial.architecture, trial.metrics.get("value"), trial.state) for trial in search.history]


def test_inline_runs_in_this_process() -> None:
    result = Search(SPACE, RandomSearch(), evaluate, executor=InlineExecutor()).run(3)
    assert {trial.metrics["pid"] for trial in result.history} == {os.getpid()}


def test_two_workers_share_the_trials() -> None:
    search = Search(SPACE, RandomSearch(), evaluate, executor=ProcessExecutor(2))
    search.run(30)
    pids = {trial.metrics["pid"] for trial in search.history}
    assert len(pids) == 2
    assert os.getpid() not in pids
    inline = Search(SPACE, RandomSearch(), evaluate)
    inline.run(30)
    assert values(search) == values(inline)


@pytest.mark.parametrize("strategy", [Evolution(8, 4), NSGA2(8), RandomSearch()], ids=["evolution", "nsga2", "random"])
def test_ordered_workers_equal_the_serial_search_for_generations(
    make_executor: MakeExecutor, strategy: Strategy
) -> None:
    inline = Search(SPACE, strategy, evaluate)
    parallel = Search(SPACE, strategy, evaluate, executor=make_executor(2), ordered=True)
    inline.run(24)
    parallel.run(24)
    assert values(parallel) == values(inline)
    assert [trial.id for trial in parallel.history.finished] == list(range(24))


def slow_if_even(architecture: Architecture) -> float:
    time.sleep(0.02 * (int(architecture["a"]) % 2 == 0))
    return float(architecture["a"])


def slow_if_odd(architecture: Architecture) -> float:
    time.sleep(0.02 * (int(architecture["a"]) % 2 == 1))
    return float(architecture["a"])


def test_ordered_search_does_not_depend_on_which_worker_is_faster(make_executor: MakeExecutor) -> None:
    found = []
    for function in (slow_if_even, slow_if_odd):
        strategy = RegularizedEvolution(6, 3)
        search = Search(SPACE, strategy, function, executor=make_executor(3), ordered=True)
        search.run(40)
        found.append(values(search))
    assert found[0] == found[1]


@pytest.mark.parametrize(("workers", "threads"), [(0, 1), (1, 0)])
def test_counts_are_checked(workers: int, threads: int) -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        ProcessExecutor(workers, threads)


def test_an_executor_serves_run_after_run_and_leaves_no_process() -> None:
    import multiprocessing

    search = Search(SPACE, RandomSearch(), evaluate, executor=ProcessExecutor(1))
    search.run(2)
    assert multiprocessing.active_children() == []
    search.run(4)
    assert len(search.history.completed) == 4


def dies(architecture: Architecture) -> float:
    if architecture["a"] == 3:
        os._exit(3)
    if architecture["a"] == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return 1.0


def test_dead_worker_is_replaced_and_its_trial_retried(tmp_path: Path) -> None:
    space = SearchSpace([Choice("a", range(9))])
    search = Search(space, RandomSearch(), dies, executor=ProcessExecutor(2), retries=1, journal=tmp_path / "j")
    result = search.run()
    failed = {trial.architecture["a"]: trial for trial in result.history if trial.state is TrialState.FAILED}
    assert failed.keys() == {3, 7}
    assert "died: exit code 3" in (failed[3].error or "")
    assert "died: signal 9, often the system's answer to a lack of memory" in (failed[7].error or "")
    assert result.history.n_completed == 7
    events = [json.loads(line) for line in (tmp_path / "j").read_text().splitlines()]
    for trial in failed.values():
        kinds = [event["event"] for event in events if event.get("trial") == trial.id]
        assert kinds == ["asked", "died", "restarted", "died", "failed"]


def test_deaths_of_an_earlier_run_count(tmp_path: Path) -> None:
    space = SearchSpace([Choice("a", [3])])
    search = Search(space, RandomSearch(), dies, executor=ProcessExecutor(1), retries=1, journal=tmp_path / "j")
    with pytest.raises(SearchError, match="exit code 3"):
        search.run()
    lines = (tmp_path / "j").read_text().splitlines(keepends=True)
    kinds = [json.loads(line)["event"] for line in lines]
    (tmp_path / "j").write_text("".join(lines[: kinds.index("died") + 1]))
    again = Search(space, RandomSearch(), dies, executor=ProcessExecutor(1), retries=1, journal=tmp_path / "j")
    with pytest.raises(SearchError, match="exit code 3"):
        again.run()
    kinds = [json.loads(line)["event"] for line in (tmp_path / "j").read_text().splitlines()]
    assert kinds.count("died") == 2


def fails_in_a_worker(architecture: Architecture) -> float:
    raise ArithmeticError(f"of {architecture['a']}")


def test_errors_travel_with_their_traceback(make_executor: MakeExecutor) -> None:
    search = Search(SPACE, RandomSearch(), fails_in_a_worker, executor=make_executor(1))
    with pytest.raises(SearchError, match=r"in fails_in_a_worker(.|\n)*ArithmeticError: of"):
        search.run(20)


class NotSendable:
    def __reduce__(self) -> Any:
        raise TypeError("a socket stays where it is")


class NotLoadable:
    def __reduce__(self) -> Any:
        return explode, ()


def explode() -> None:
    raise ImportError("no module of that name here")


def test_evaluator_that_cannot_be_sent(make_executor: MakeExecutor) -> None:
    unsendable = NotSendable()
    search = Search(SPACE, RandomSearch(), lambda a: bool(unsendable), executor=make_executor(1))
    with pytest.raises(TypeError, match="cannot be sent to another process: a socket stays where it is"):
        search.run(2)


def test_evaluator_that_cannot_be_loaded(make_executor: MakeExecutor) -> None:
    unloadable = NotLoadable()
    search = Search(SPACE, RandomSearch(), lambda a: bool(unloadable), executor=make_executor(1))
    with pytest.raises(SearchError, match="no module of that name here"):
        search.run(20)


def unpicklable_result(architecture: Architecture) -> Any:
    return {"value": 1.0, "file": lambda: None}


def test_result_that_cannot_travel_fails_its_trial_and_not_the_worker(make_executor: MakeExecutor) -> None:
    search = Search(SPACE, RandomSearch(), unpicklable_result, executor=make_executor(1))
    with pytest.raises(SearchError, match=r"'file' is .*it must be a finite number"):
        search.run(20)


def reports(architecture: Architecture, report: Any) -> float:
    for step in range(5):
        report(step, {"value": float(architecture["a"]), "pid": os.getpid()})
    return float(architecture["a"])


class SmallOnes(Stopper):
    def should_stop(self, history: Any, trial: Any, step: int, metrics: Any) -> bool:
        return step == 2 and metrics["value"] < 25


def test_reports_and_stops_cross_the_process(make_executor: MakeExecutor) -> None:
    result = Search(SPACE, RandomSearch(), reports, executor=make_executor(2), stopper=SmallOnes()).run(20)
    for trial in result.history:
        small = int(trial.architecture["a"]) < 25
        assert trial.state is (TrialState.STOPPED if small else TrialState.COMPLETED)
        assert [step for step, _ in trial.reports] == list(range(3 if small else 5))
        assert trial.reports[0][1]["pid"] != os.getpid()


class Broken(Stopper):
    def should_stop(self, history: Any, trial: Any, step: int, metrics: Any) -> bool:
        return bool(metrics["accuracy"] < 1)


def test_a_rule_that_fails_ends_the_search_with_its_reason(make_any: MakeExecutor, tmp_path: Path) -> None:
    executor = make_any(2)
    search = Search(SPACE, RandomSearch(), reports, executor=executor, stopper=Broken(), journal=tmp_path / "j")
    with pytest.raises(SearchError, match=r"The stopping rule Broken\(\) failed: KeyError\('accuracy'\)"):
        search.run(20)
    history = Result.from_journal(tmp_path / "j").history
    failed = [trial for trial in history if trial.state is TrialState.FAILED]
    assert {trial.error for trial in failed} == {"Broken(): KeyError('accuracy')"}
    assert len(failed) <= executor.capacity  # the other worker's trial may have reported before the search ended


def bad_report(architecture: Architecture, report: Any) -> float:
    report(0, {"loss": float("nan") if int(architecture["a"]) % 2 else 1.0})
    return 1.0


def test_report_of_a_worker_that_is_not_finite_fails_its_trial(make_executor: MakeExecutor) -> None:
    result = Search(SPACE, RandomSearch(), bad_report, executor=make_executor(1)).run(12)
    for trial in result.history:
        odd = bool(int(trial.architecture["a"]) % 2)
        assert (trial.state is TrialState.FAILED) == odd
        assert not odd or "'loss' is nan" in (trial.error or "")


def stubborn(architecture: Architecture) -> float:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path(str(architecture["path"])).write_text(str(os.getpid()))
    time.sleep(60)
    return 1.0


def test_worker_that_ignores_its_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from autopanoptic.nas import FunctionEvaluator
    from autopanoptic.nas.executors import launch

    monkeypatch.setattr(launch, "SECONDS_TO_END", 0.3)
    executor = ProcessExecutor(1)
    executor.start(FunctionEvaluator(stubborn), lambda *_: False)
    executor.submit(0, Architecture({"path": str(tmp_path / "pid")}))
    assert executor.wait(0.01) is None
    pid = int(content(tmp_path / "pid"))
    executor.stop()
    assert not alive(pid)


PROGRAM = """
import os, sys, time
from pathlib import Path
from autopanoptic.nas import Choice, ProcessExecutor, RegularizedEvolution, Search, SearchSpace

SPACE = SearchSpace([Choice(f"c{i}", range(6)) for i in range(8)])

def evaluate(architecture):
    time.sleep(float(os.environ["SLEEP"]))
    Path(os.environ["PIDS"], str(os.getpid())).touch()
    return sum(option * (number + 1) for number, option in enumerate(architecture.values()))

def main(journal, workers):
    executor = ProcessExecutor(int(workers)) if int(workers) else None
    search = Search(SPACE, RegularizedEvolution(6, 3), evaluate, journal=journal, executor=executor, ordered=True)
    result = search.run(30)
    print(result.best.architecture.id)
"""


def _program(tmp_path: Path, guard: bool = True) -> Path:
    path = tmp_path / "program.py"
    end = 'if __name__ == "__main__":\n    main(*sys.argv[1:])\n' if guard else "main(*sys.argv[1:])\n"
    path.write_text(PROGRAM + end)
    return path


def _start(program: Path, journal: Path, workers: int, sleep: float = 0.0) -> subprocess.Popen[str]:
    environment = {**os.environ, "SLEEP": str(sleep), "PIDS": str(program.parent)}
    command = [sys.executable, str(program), str(journal), str(workers)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def _wait_for_lines(path: Path, count: int) -> None:
    end = time.monotonic() + 60
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert time.monotonic() < end, f"{path} did not grow to {count} lines"
        time.sleep(0.01)


@pytest.mark.parametrize("workers", [0, 2])
def test_killed_search_goes_on_as_if_nothing_had_happened(tmp_path: Path, workers: int) -> None:
    program = _program(tmp_path)
    whole, killed = tmp_path / "whole.jsonl", tmp_path / "killed.jsonl"
    with _start(program, whole, workers) as process:
        best, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    for lines in (13, 40):
        with _start(program, killed, workers, sleep=0.05) as process:
            _wait_for_lines(killed, lines)
            process.kill()
            process.communicate()
        assert process.returncode == -signal.SIGKILL
    assert 5 < len(Result.from_journal(killed).history) < 30
    with _start(program, killed, workers) as process:
        assert process.communicate(timeout=120)[0] == best
    expected = [(t.architecture, t.metrics) for t in Result.from_journal(whole).history]
    assert [(t.architecture, t.metrics) for t in Result.from_journal(killed).history] == expected
    assert len(expected) == 30


def _worker_pids(folder: Path) -> list[int]:
    return [int(path.name) for path in folder.iterdir() if path.name.isdigit()]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_driver(tmp_path: Path, number: signal.Signals) -> None:
    journal = tmp_path / "j.jsonl"
    with _start(_program(tmp_path), journal, 2, sleep=0.3) as process:
        _wait_for_lines(journal, 8)
        if number is signal.SIGINT:  # Ctrl-C reaches the whole group of processes
            os.killpg(process.pid, number)
        else:
            process.kill()
        _, error = process.communicate(timeout=60)
    pids = _worker_pids(tmp_path)
    assert len(pids) == 2
    wait_for_end(pids)
    if number is signal.SIGINT:
        assert error.count("Traceback") == 1, error
        assert error.rstrip().endswith("KeyboardInterrupt")
        assert json.loads(journal.read_text().splitlines()[-1])["event"] == "interrupted"


def test_program_without_a_guard_is_told(tmp_path: Path) -> None:
    with _start(_program(tmp_path, guard=False), tmp_path / "j.jsonl", 2) as process:
        _, error = process.communicate(timeout=120)
    assert process.returncode == 1
    assert 'keeps its own work under `if __name__ == "__main__":`' in error
