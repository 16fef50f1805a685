"""Searches that lose drivers, workers and nodes on the way; the long forms are run by ``--slow``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.faults.cluster import cluster
from benchmarks.faults.count import Count
from benchmarks.faults.driver import WORKERS
from benchmarks.faults.killing import killed
from benchmarks.faults.nodes import node_lost
from benchmarks.faults.workers import workers_killed

SLOW = [pytest.mark.slow, pytest.mark.timeout(1800)]


def check(count: Count, at_least: int) -> None:
    assert count.faults >= at_least
    assert count.survived == count.faults, count


@pytest.fixture
def ray_cluster() -> Iterator[None]:
    """A Ray of this machine to which this process is not connected; what it starts is."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'autopanoptic[ray]'")
    with cluster(WORKERS):
        yield


@pytest.mark.parametrize("kills", [4, pytest.param(50, marks=SLOW)])
def test_a_driver_with_worker_processes_is_killed_and_loses_no_trial(tmp_path: Path, kills: int) -> None:
    check(killed(tmp_path, kills, "processes"), kills)


@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=SLOW)])
def test_a_driver_on_ray_is_killed_and_loses_no_trial(tmp_path: Path, kills: int) -> None:
    check(killed(tmp_path, kills, "ray"), kills)


@pytest.mark.parametrize(("trials", "kills"), [(60, 3), pytest.param(400, 30, marks=SLOW)])
def test_worker_processes_are_killed_and_no_trial_is_lost(tmp_path: Path, trials: int, kills: int) -> None:
    check(workers_killed(tmp_path, kills, "processes", trials), 1)


@pytest.mark.parametrize(("trials", "kills"), [(60, 3), pytest.param(400, 30, marks=SLOW)])
def test_workers_on_ray_are_killed_and_no_trial_is_lost(tmp_path: Path, trials: int, kills: int) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'autopanoptic[ray]'")
    check(workers_killed(tmp_path, kills, "ray", trials), 1)


@pytest.mark.parametrize("trials", [pytest.param(60, marks=SLOW), pytest.param(400, marks=SLOW)])
def test_a_node_is_lost_and_another_joins_and_the_history_is_that_of_one_process(tmp_path: Path, trials: int) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'autopanoptic[ray]'")
    check(node_lost(tmp_path, trials), 1)
