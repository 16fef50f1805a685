"""The converter on the real classes of ``nats_bench``, fed with made-up numbers; skipped where it is not installed."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.strategies import convert

nats_bench = pytest.importorskip("nats_bench", reason="the package nats_bench")

TEXT = "|nor_conv_1x1~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|"
BASES = {"cifar10-valid": 10.0, "cifar10": 20.0, "cifar100": 30.0, "ImageNet16-120": 40.0}
SETS = {"cifar10-valid": ("x-valid", "ori-test"), "cifar10": ("ori-test",)}


def trained(dataset: str, seed: int, epochs: int) -> Any:
    """Return a training whose accuracy says data set, evaluated part, epochs and seed."""
    every = range(epochs)
    found = nats_bench.ResultsCount(
        dataset,
        None,
        dict.fromkeys(every, 0.0),
        dict.fromkeys(every, 1.0),
        1.0,
        1.0,
        {"arch_str": TEXT},
        seed,
        epochs,
        [1],
    )
    found.train_times = dict.fromkeys(every, 2.0)
    for part, name in enumerate(SETS.get(dataset, ("x-valid", "x-test", "ori-test"))):
        values = {f"{name}@{epoch}": BASES[dataset] + part + epochs / 1000 + (seed == 888) * 0.2 for epoch in every}
        found.update_eval(values, dict.fromkeys(values, 1.0), dict.fromkeys(values, 0.1))
    return found


def architecture(epochs: int, datasets: tuple[str, ...]) -> Any:
    found = nats_bench.ArchResults(0, TEXT)
    for dataset in datasets:
        for seed in (777, 888):
            found.update(dataset, seed, trained(dataset, seed, epochs))
    return found.state_dict()


@pytest.fixture
def api() -> Any:
    short = architecture(12, ("cifar10-valid", "cifar100", "ImageNet16-120"))
    infos = {"12": short, "200": architecture(200, tuple(BASES))}
    return nats_bench.create(
        {"meta_archs": [TEXT], "arch2infos": {0: infos}, "evaluated_indexes": [0]}, "tss", verbose=False
    )


@pytest.mark.parametrize(
    ("key", "hp", "expected"),
    [
        ("valid-accuracy", "12", [10.112, 30.112, 40.112]),
        ("test-accuracy", "12", [11.112, 31.112, 41.112]),  # of cifar10-valid, because cifar10 was not run
        ("valid-accuracy", "200", [10.3, 30.3, 40.3]),
        ("test-accuracy", "200", [20.3, 31.3, 41.3]),
    ],
)
def test_accuracies_are_means_of_the_seeds(api: Any, key: str, hp: str, expected: list[float]) -> None:
    found = [convert._accuracy(api, 0, dataset, key, hp) for dataset in convert.DATASETS]
    assert found == pytest.approx(expected)


def test_the_cost_is_the_time_of_training(api: Any) -> None:
    assert convert._cost(api, 0) == 12 * 2.0
    assert convert.operations(api.arch(0)) == ("nor_conv_1x1", "none", "none", "none", "none", "skip_connect")
    with pytest.raises(ValueError, match="holds 1 architectures, 1 of them different"):
        convert.from_nats_bench(api)
