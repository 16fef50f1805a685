"""A Ray that starts and ends with a search: what it opens, and what it leaves behind, also when it is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import pytest

from autopanoptic.nas.executors.ray.connection import Connection
from tests.processes import content, ending, wait_for_end

pytest.importorskip("ray", reason="Ray is not installed: pip install 'autopanoptic[ray]'")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes and sockets in /proc")

PROGRAM = """
import os, subprocess, sys, time
from pathlib import Path
from autopanoptic.nas import Choice, RandomSearch, RayExecutor, Search, SearchSpace

def evaluate(architecture):
    folder = Path(os.environ["FOLDER"])
    if not (folder / "begun").exists():
        child = subprocess.Popen(["sleep", "3600"])
        shell = subprocess.Popen(["sh", "-c", "sleep 3600 & echo $!; wait"], stdout=subprocess.PIPE, text=True)
        grandchild = int(shell.stdout.readline())
        (folder / "new").write_text(f"{os.getpid()} {child.pid} {shell.pid} {grandchild}")
        (folder / "new").rename(folder / "begun")
        while not (folder / "go on").exists():
            time.sleep(0.05)
    return float(architecture["a"])

if __name__ == "__main__":
    space = SearchSpace([Choice("a", range(50))])
    executor = RayExecutor(workers=int(sys.argv[1]), resources={"num_gpus": int(sys.argv[2])})
    result = Search(space, RandomSearch(), evaluate, executor=executor, journal="journal.jsonl").run(4)
    print("completed", result.history.n_completed)
"""


def begun(folder: Path, workers: int = 1, gpus: int = 0) -> AbstractContextManager[subprocess.Popen[str]]:
    (folder / "program.py").write_text(PROGRAM)
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    command = [sys.executable, "program.py", str(workers), str(gpus)]
    return ending(
        subprocess.Popen(
            command,
            cwd=folder,
            env={**environment, "FOLDER": str(folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    )


def numbers(place: int) -> dict[int, int]:
    """Return a number of each process: its parent's at place 1, its group's at 2."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            found[int(path.parent.name)] = int(path.read_text().rsplit(")", 1)[1].split()[place])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def children(pid: int) -> set[int]:
    return {child for child, parent in numbers(1).items() if parent == pid}


def group(leader: int) -> set[int]:
    return {pid for pid, other in numbers(2).items() if other == leader}


def family(pid: int) -> set[int]:
    """Return all processes that descend from one."""
    parents, found = numbers(1), {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def listening(pids: Iterable[int]) -> set[str]:
    """Return the addresses, in hexadecimal digits, at which processes listen."""
    inodes = set()
    for pid in pids:
        for path in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                inodes.add(str(path.readlink()).removeprefix("socket:[").removesuffix("]"))
            except (FileNotFoundError, ProcessLookupError):
                continue
    tables = [Path(f"/proc/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    lines = [line.split() for table in tables for line in table]
    return {line[1].split(":")[0] for line in lines if line[3] == "0A" and line[9] in inodes}


def test_it_listens_on_the_loopback_alone_and_nothing_of_it_is_left(tmp_path: Path) -> None:
    with begun(tmp_path) as process:
        content(tmp_path / "begun")
        pids = family(process.pid)
        assert len(pids) > 4
        # 127.0.0.1, and the same as an IPv6 address; bytes are the other way round within each word.
        assert listening(pids) == {"0100007F", "0000000000000000FFFF00000100007F"}
        dashboards = [command for command in map(command_of, pids) if "dashboard/dashboard.py" in command]
        assert all("--disable-frontend" in command for command in dashboards)
        (tmp_path / "go on").touch()
        out, error = process.communicate(timeout=120)
    assert (process.returncode, out) == (0, "completed 4\n"), error
    wait_for_end(sorted(pids), seconds=30)


@pytest.mark.parametrize(
    ("number", "seconds"),
    [
        (signal.SIGINT, 30),
        (signal.SIGTERM, 30),
        (signal.SIGKILL, None),
        # What Ray has started beside the workers then looks for the rest of it for a minute.
        pytest.param(signal.SIGKILL, 150, marks=pytest.mark.slow),
    ],
)
def test_it_ends_with_its_program(tmp_path: Path, number: signal.Signals, seconds: float | None) -> None:
    with begun(tmp_path) as process:
        written = [int(pid) for pid in content(tmp_path / "begun").split()]
        pids = family(process.pid)
        assert set(written) < pids
        own = group(written[0])  # the worker, all that its evaluation has started, and what sees to their end
        assert family(written[0]) < own
        assert len(own) > len(written)
        if number is signal.SIGINT:  # Ctrl-C reaches the whole group of processes
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        _, error = process.communicate(timeout=60)
    wait_for_end(sorted(own), seconds=30)
    if seconds is not None:
        wait_for_end(sorted(pids), seconds)
    if number is signal.SIGINT:
        assert error.rstrip().endswith("KeyboardInterrupt"), error
        assert json.loads((tmp_path / "journal.jsonl").read_text().splitlines()[-1])["event"] == "interrupted"


@pytest.mark.parametrize("and_its_children", [False, True])
def test_what_a_worker_has_started_ends_with_it_though_it_can_do_nothing(
    tmp_path: Path, and_its_children: bool
) -> None:
    """Ray kills a worker of a killed program, at times before it sees that it is alone, or first its children alone."""
    with begun(tmp_path) as process:
        worker, *started, grandchild = (int(pid) for pid in content(tmp_path / "begun").split())
        own = group(worker)
        assert {*started, grandchild} < family(worker) < own
        os.kill(worker, signal.SIGSTOP)
        direct = sorted(children(worker))
        assert direct == sorted(started)
        process.kill()
        process.communicate(timeout=60)
        for pid in (*direct, worker) if and_its_children else (worker,):
            with suppress(ProcessLookupError):  # Ray has been first
                os.kill(pid, signal.SIGKILL)
    wait_for_end(sorted(own), seconds=30)


def test_what_this_machine_has_not_is_refused_at_once(tmp_path: Path) -> None:
    with begun(tmp_path, workers=2, gpus=900) as process:
        _, error = process.communicate(timeout=120)
    assert process.returncode == 1
    message = "ValueError: 2 workers of 1 CPU, 900 GPU each do not fit: there is room for 0 on this machine."
    assert message in error


NO_CLUSTER = """
from autopanoptic.nas import FunctionEvaluator, RayExecutor
RayExecutor("auto", workers=1).start(FunctionEvaluator(lambda architecture: 1.0), lambda *_: False)
"""


def test_without_a_cluster_it_is_told_how_to_start_one(tmp_path: Path) -> None:
    environment = {**os.environ, "RAY_TMPDIR": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-c", NO_CLUSTER], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 1
    assert "ConnectionError: There is no Ray cluster to connect to at 'auto'" in ended.stderr
    assert "ray start --head" in ended.stderr


@pytest.mark.parametrize("port", [1, 99999])
def test_an_address_where_nobody_listens_is_refused_at_once(port: int) -> None:
    """Ray itself looks there for minutes."""
    with pytest.raises(
        ConnectionError, match=rf"no Ray cluster to connect to at '127\.0\.0\.1:{port}': .*\n.*ray start"
    ):
        Connection(f"127.0.0.1:{port}").open(1)


def test_the_programs_own_handler_stays_and_rays_goes_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a program that is terminated during a search on Ray does not end as it wants to, nor after it."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)

    def own(number: int, frame: object) -> None:
        raise AssertionError

    former = signal.getsignal(signal.SIGTERM)
    try:
        for handler, meanwhile in ((own, True), (signal.SIG_DFL, False)):
            signal.signal(signal.SIGTERM, handler)
            connection = Connection(None)
            connection.open(1)
            assert (signal.getsignal(signal.SIGTERM) is handler) == meanwhile
            connection.close()
            assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, former)
