from __future__ import annotations

import math
from typing import Any

import pytest

from autopanoptic.nas.executors.ray.resources import resources_of


def test_a_worker_has_one_processor_unless_told_otherwise() -> None:
    assert resources_of({}).options == {"num_cpus": 1, "num_gpus": 0, "resources": {}}
    assert resources_of({"num_gpus": 0.5}).options == {"num_cpus": 1, "num_gpus": 0.5, "resources": {}}


def test_memory_and_the_nodes_own_resources_go_by_their_names() -> None:
    found = resources_of({"memory": 2e9, "TPU": 4})
    assert found.options == {"num_cpus": 1, "num_gpus": 0, "memory": 2_000_000_000, "resources": {"TPU": 4}}
    assert str(found) == "1 CPU, 2e+09 memory, 4 TPU"


@pytest.mark.parametrize(("cpus", "threads"), [(0, 1), (0.5, 1), (1, 1), (3, 3)])
def test_libraries_have_as_many_threads_as_processors(cpus: float, threads: int) -> None:
    assert resources_of({"num_cpus": cpus}).threads == threads


@pytest.mark.parametrize("amount", [-1, math.nan, math.inf, "1", None, True])
def test_amounts_are_checked(amount: Any) -> None:
    with pytest.raises(ValueError, match=r"resources\['num_gpus'\] must be a finite number from 0"):
        resources_of({"num_gpus": amount})


def test_more_than_one_gpu_is_a_whole_number() -> None:
    with pytest.raises(ValueError, match=r"a fraction below 1 or a whole number, not 1\.5"):
        resources_of({"num_gpus": 1.5})
    assert resources_of({"num_gpus": 2.0}).options["num_gpus"] == 2


@pytest.mark.parametrize(
    ("given", "room"),
    [
        ({}, 12),
        ({"num_cpus": 3}, 3),
        ({"num_gpus": 1}, 4),
        ({"num_gpus": 0.5}, 8),
        ({"num_gpus": 0.1}, 8),  # bound by the processors of the node with GPUs
        ({"num_gpus": 0.7}, 4),  # no worker has parts of two GPUs
        ({"num_gpus": 2, "num_cpus": 2}, 2),
        ({"TPU": 1}, 0),
        ({"memory": 6e9}, 2),
        ({"num_cpus": 0}, math.inf),
    ],
)
def test_room_is_what_whole_workers_find_on_each_node(given: dict[str, float], room: float) -> None:
    nodes = [{"CPU": 4.0, "memory": 8e9}, {"CPU": 8.0, "GPU": 4.0, "memory": 8e9}]
    assert resources_of(given).room_on(nodes) == room
