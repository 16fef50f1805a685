"""Searches that lose workers and nodes on the way."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import cloudpickle
import pytest

from autopanoptic.nas import Architecture, Choice, RandomSearch, RayExecutor, Search, SearchSpace, TrialState
from tests.processes import alive

# The workers cannot import this module by its name.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

SPACE = SearchSpace([Choice("a", range(10_000))])


class OneInTenRaises:
    """Writes down in which process it is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, architecture: Architecture) -> float:
        (self.folder / str(os.getpid())).touch()
        time.sleep(0.1)
        number = int(architecture["a"])
        if number % 10 == 0:
            raise ArithmeticError(f"of {number}")
        return float(number)


def kill_some(folder: Path, kills: int, pause: float, over: threading.Event) -> None:
    rng = random.Random(0)
    while kills and not over.wait(pause):
        workers = [int(path.name) for path in folder.iterdir() if alive(int(path.name))]
        if workers:
            os.kill(rng.choice(workers), signal.SIGKILL)
            kills -= 1


@pytest.mark.usefixtures("local_ray")
@pytest.mark.parametrize(("trials", "kills"), [(60, 3), pytest.param(400, 30, marks=pytest.mark.slow)])
def test_workers_are_killed_and_no_trial_is_lost(tmp_path: Path, trials: int, kills: int) -> None:
    (tmp_path / "pids").mkdir()
    over = threading.Event()
    killer = threading.Thread(target=kill_some, args=(tmp_path / "pids", kills, 0.8, over))
    executor = RayExecutor(workers=3)
    evaluate = OneInTenRaises(tmp_path / "pids")
    search = Search(SPACE, RandomSearch(), evaluate, executor=executor, journal=tmp_path / "j", retries=kills)
    killer.start()
    try:
        result = search.run(trials)
    finally:
        over.set()
        killer.join()
    assert len(result.history) == trials
    for trial in result.history:
        raises = int(trial.architecture["a"]) % 10 == 0
        assert trial.state is (TrialState.FAILED if raises else TrialState.COMPLETED), trial
        assert not raises or f"ArithmeticError: of {trial.architecture['a']}" in (trial.error or "")
    events = Counter(json.loads(line)["event"] for line in (tmp_path / "j").read_text().splitlines())
    assert 0 < events["died"] <= kills
    assert events["restarted"] == events["died"]
    assert events["completed"] + events["failed"] == trials


CLUSTER = """
import os, threading, time
from pathlib import Path
from ray._private import ray_constants
ray_constants.ENABLE_RAY_CLUSTER = False  # all its nodes are on this machine, and open to nobody else
from ray.cluster_utils import Cluster
from autopanoptic.nas import Choice, RandomSearch, RayExecutor, Search, SearchSpace

def evaluate(architecture):
    import ray
    node = ray.get_runtime_context().get_node_id()
    Path(os.environ["NODES"], node).touch()
    few = len(os.listdir(os.environ["NODES"])) < 3
    # The new node shall come to evaluate before the search is over.
    time.sleep(1 if few and Path(os.environ["NODES"] + "-removed").exists() else 0.1)
    return {"value": float(architecture["a"])}

if __name__ == "__main__":
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    other = cluster.add_node(num_cpus=2)
    executor = RayExecutor(cluster.address, workers=4)
    space = SearchSpace([Choice("a", range(10_000))])
    search = Search(space, RandomSearch(), evaluate, executor=executor, ordered=True, journal="journal.jsonl")
    searching = threading.Thread(target=search.run, args=(90,))  # nodes are added in the main thread alone
    searching.start()
    while len(search.history.finished) < 20:
        time.sleep(0.05)
    Path(os.environ["NODES"] + "-removed").touch()
    cluster.remove_node(other, allow_graceful=False)
    cluster.add_node(num_cpus=2)
    searching.join()
    cluster.shutdown()
    print([trial.metrics["value"] for trial in search.history])
"""


@pytest.mark.slow
def test_a_node_leaves_and_another_joins_and_the_history_is_the_same(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'autopanoptic[ray]'")
    (tmp_path / "program.py").write_text(CLUSTER)
    (tmp_path / "nodes").mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    ended = subprocess.run(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        env={**environment, "NODES": str(tmp_path / "nodes"), "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    values = ended.stdout.splitlines()[-1]
    alone = Search(SPACE, RandomSearch(), lambda architecture: float(architecture["a"])).run(90)
    assert json.loads(values) == [trial.metrics["value"] for trial in alone.history]
    assert len(list((tmp_path / "nodes").iterdir())) == 3
    events = Counter(json.loads(line)["event"] for line in (tmp_path / "journal.jsonl").read_text().splitlines())
    assert 0 < events["died"] <= 2
