from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from autopanoptic.nas import (
    Architecture,
    Choice,
    FairPaths,
    SandwichPaths,
    SearchSpace,
    ShrinkingPaths,
    SupernetModule,
    UniformPaths,
    extremes,
    opened,
)  # fmt: skip
from tests.training import assert_same, cost, fit, loss, new_batches, new_supernet, sandwich, sgd

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:GPU available but not used"),
    # Lightning's own use of torch
    pytest.mark.filterwarnings("ignore:.*LeafSpec.* is deprecated:FutureWarning"),
]
SPACE = SearchSpace(
    [
        Choice("kernel", [3, 5, 7]),
        Choice("depth", [1, 2]),
        Choice("width", [8, 16, 24]),
        Choice("w2", [1, 2], ("depth", 2)),
    ]
)
LARGEST = {"kernel": 7, "depth": 2, "width": 24, "w2": 2}
PHASES = {
    0: opened(SPACE, LARGEST, []),
    40: opened(SPACE, LARGEST, ["kernel"]),
    80: opened(SPACE, LARGEST, ["kernel", "depth"]),
    120: SPACE,
}


def size(path: Architecture) -> float:
    return sum(float(value) for value in path.values())


def test_opened_fixes_all_others() -> None:
    assert list(PHASES[0]) == [LARGEST]
    assert [dict(path) for path in PHASES[40]] == [{**LARGEST, "kernel": kernel} for kernel in (3, 5, 7)]
    assert len(list(PHASES[80])) == 6
    with pytest.raises(ValueError, match="no choice 'kernels'; it has"):
        opened(SPACE, LARGEST, ["kernels"])


def test_each_space_from_its_pass_on() -> None:
    paths = ShrinkingPaths(PHASES, partial(UniformPaths, seed=3))
    assert paths.cycle == 1
    assert paths.roles == ()
    assert paths.space is SPACE
    for start, space in PHASES.items():
        found = {paths.path(step) for step in range(start, start + 40)}
        assert found <= set(space)
        assert len(found) > len(list(space)) // 2
    whole = [paths.path(step) for step in range(200)]
    again = ShrinkingPaths(PHASES, partial(UniformPaths, seed=3))
    assert [again.path(step) for step in reversed(range(200))] == whole[::-1]
    assert whole[130:] == [UniformPaths(SPACE, seed=3).path(step) for step in range(130, 200)]


def test_sandwiches_of_each_space() -> None:
    paths = ShrinkingPaths(PHASES, lambda space: SandwichPaths(space, *extremes(space, size), random=2))
    assert paths.cycle == 4
    assert paths.roles == ("largest", "smallest", "random", "random")
    smallest = [dict(paths.path(start + 1)) for start in PHASES]
    assert [paths.path(start) for start in PHASES] == [LARGEST] * 4
    assert smallest == [
        LARGEST, {**LARGEST, "kernel": 3}, {"kernel": 3, "depth": 1, "width": 24}, {"kernel": 3, "depth": 1, "width": 8}
    ]  # fmt: skip


def test_spaces_that_are_no_schedule() -> None:
    with pytest.raises(ValueError, match=r"begin at the passes \[10\]; one must begin at 0"):
        ShrinkingPaths({10: SPACE})
    with pytest.raises(ValueError, match=r"begin at the passes \[\]"):
        ShrinkingPaths({})
    with pytest.raises(ValueError, match=r"from pass 10 on has no option 3 of 'kernel', which the one before"):
        ShrinkingPaths({0: SPACE, 10: PHASES[0]})
    with pytest.raises(ValueError, match=r"have 3 paths from pass 40 on and 6 at the end.*length=12"):
        ShrinkingPaths({0: PHASES[0].restricted({}), 40: PHASES[40], 120: SPACE}, FairPaths)
    with pytest.raises(ValueError, match=r"begins at pass 42, inside of a cycle of 4 paths; let it begin at 44"):
        ShrinkingPaths({0: PHASES[0], 42: SPACE}, partial(FairPaths, length=4))


@pytest.mark.parametrize("stop", [2, 3, 4])
def test_a_resumed_training_is_in_the_right_phase(tmp_path: Path, stop: int) -> None:
    def make() -> SupernetModule:
        supernet = new_supernet()
        largest, _ = sandwich(supernet).ends
        spaces = {0: opened(supernet.space, largest, []), 12: supernet.space}
        paths = ShrinkingPaths(spaces, lambda space: SandwichPaths(space, *extremes(space, cost), random=1))
        assert paths.cycle == 3
        return SupernetModule(supernet, loss, sgd, paths, same_batch=True)

    batches = new_batches(6)
    whole, first, second = make(), make(), make()
    fit(whole, batches, tmp_path)
    trainer = fit(first, batches[:stop], tmp_path)
    trainer.save_checkpoint(tmp_path / "cut.ckpt")
    fit(second, batches[stop:], tmp_path, resume=tmp_path / "cut.ckpt", max_epochs=2)
    assert_same(second.network, whole.network, exactly=True)
    fresh = new_supernet()
    fit(early := make(), batches[:4], tmp_path)
    for name, value in early.network.named_parameters():
        largest = name.startswith(("a.y", "b.1"))
        assert largest != value.equal(fresh.module.get_parameter(name)), "the largest alone in the first phase"
