"""Searches whose journals are cut, meet a full disk, or are killed; the long forms are run by ``--slow``."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.faults.count import Count
from benchmarks.faults.cutting import cut
from benchmarks.faults.full_disk import full
from benchmarks.faults.killing import killed
from benchmarks.faults.small_disk import SHAPES, can_mount, small_disk
from benchmarks.faults.strangers import strangers


def check(count: Count, at_least: int) -> None:
    assert count.faults >= at_least
    assert count.survived == count.faults, count


def test_a_journal_cut_at_any_byte_of_its_last_two_records_opens_with_the_whole_ones(tmp_path: Path) -> None:
    check(cut(tmp_path), 100)


def test_a_disk_that_is_full_at_any_write_costs_nothing_that_was_written(tmp_path: Path) -> None:
    check(full(tmp_path), 40)


@pytest.mark.parametrize("shapes", [3, pytest.param(SHAPES, marks=pytest.mark.slow)])
def test_a_small_disk_that_is_truly_full_costs_nothing_that_was_written(tmp_path: Path, shapes: int) -> None:
    if not can_mount(tmp_path):
        pytest.skip("this system lets nobody mount a tmpfs")
    check(small_disk(tmp_path, shapes), 3 * shapes)


def test_a_driver_killed_at_any_moment_loses_no_trial_and_repeats_none(tmp_path: Path) -> None:
    check(killed(tmp_path, 5), 5)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_driver_killed_a_hundred_times_loses_no_trial_and_repeats_none(tmp_path: Path) -> None:
    check(killed(tmp_path, 100), 100)


def problems_of(tmp_path: Path, files: int) -> list[str]:
    problems: list[str] = []
    count = strangers(tmp_path, files, say=problems.append)
    assert count.faults == files
    assert (count.survived == files) == (not problems)
    return problems


def test_files_of_strangers_are_read_or_refused(tmp_path: Path) -> None:
    assert problems_of(tmp_path, 400) == []


@pytest.mark.slow
def test_ten_thousand_files_of_strangers_are_read_or_refused(tmp_path: Path) -> None:
    assert problems_of(tmp_path, 10_000) == []
