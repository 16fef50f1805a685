"""Trainings of supernets that are killed, or whose disk is full; the long forms are run by ``--slow``."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.faults.count import Count
from benchmarks.faults.full_disk_training import full_in_training
from benchmarks.faults.killed_panoptic import panoptic_training_killed
from benchmarks.faults.killed_training import training_killed

SLOW = [pytest.mark.slow, pytest.mark.timeout(1800)]
LIGHTNING = pytest.mark.filterwarnings("ignore:.*LeafSpec.* is deprecated:FutureWarning")


def check(count: Count, at_least: int) -> None:
    assert count.faults >= at_least
    assert count.survived == count.faults, count


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=SLOW)])
def test_a_training_is_killed_and_ends_with_the_same_bits(tmp_path: Path, kills: int) -> None:
    check(training_killed(tmp_path, kills), kills)


@pytest.mark.parametrize("kills", [pytest.param(4, marks=SLOW)])
def test_a_panoptic_training_is_killed_and_ends_with_the_same_bits(tmp_path: Path, kills: int) -> None:
    check(panoptic_training_killed(tmp_path, kills), kills)


@LIGHTNING
@pytest.mark.parametrize(("passes", "faults"), [(10, 10), pytest.param(30, 26, marks=SLOW)])
def test_a_disk_that_is_full_at_any_step_costs_no_checkpoint(tmp_path: Path, passes: int, faults: int) -> None:
    check(full_in_training(tmp_path, passes), faults)
