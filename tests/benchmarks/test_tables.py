from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.strategies import cell, convert, graph, npz
from benchmarks.strategies.source import Source
from tests.tables import published

Arrays = dict[str, Any]


def test_a_table_maps_architectures_to_rows(arrays: Arrays) -> None:
    table = npz.from_arrays("tiny", arrays)
    assert table.space.size == len(arrays["arch"]) == 81
    for row, architecture in enumerate(table.space):
        assert table.row(architecture) == row
        assert [arrays["ops"][index] for index in arrays["arch"][row]] == list(architecture.values())
    assert table.datasets("test200") == ["cifar10", "cifar100", "ImageNet16-120"]
    np.testing.assert_array_equal(table.column("test200/cifar100"), arrays["test200"][:, 1])
    np.testing.assert_array_equal(table.column("latency_ms/flat"), arrays["latency_ms"][:, 1])
    assert table.best("val12/cifar10") == arrays["val12"][:, 0].max()
    with pytest.raises(ValueError, match=r"no column 'val200'; it has .*val12/cifar10"):
        table.column("val200")
    with pytest.raises(ValueError, match="no 'val200'"):
        table.datasets("val200")


def test_rows_may_stand_in_any_order(arrays: Arrays) -> None:
    order = np.random.default_rng(0).permutation(81)
    shuffled = {key: value[order] if len(value) == 81 else value for key, value in arrays.items()}
    first, second = npz.from_arrays("tiny", arrays), npz.from_arrays("tiny", shuffled)
    assert first.fingerprint != second.fingerprint
    for architecture in first.space:
        values = [table.column("test200/cifar10")[table.row(architecture)] for table in (first, second)]
        assert values[0] == values[1]


def test_only_an_accuracy_and_the_architectures_are_needed(arrays: Arrays) -> None:
    single = arrays["test200"] + [[-1, 0, 1]]
    table = npz.from_arrays("macro", {"ops": arrays["ops"], "arch": arrays["arch"], "test_acc": single})
    assert table.labels == ("block1", "block2", "block3", "block4")
    np.testing.assert_allclose(table.column("test/mean"), arrays["test200"].mean(axis=1))


def broken(arrays: Arrays, key: str, value: Any) -> Arrays:
    return {name: old for name, old in arrays.items() if name != key} | ({} if value is None else {key: value})


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        ("ops", None, "lacks 'ops'; it has arch, "),
        ("arch", None, "lacks 'arch'"),
        ("datasets", None, "lacks 'datasets' for 'val12'"),
        ("latency_devices", None, "lacks 'latency_devices' for 'latency_ms'"),
        ("ops", lambda ops: ops[[0, 1, 1]], "'ops' of tiny must be a list of different names"),
        ("arch", lambda arch: arch.astype(float), "must be integers of shape"),
        ("arch", lambda arch: arch + 1, "indices from 0 to 2"),
        ("arch", lambda arch: arch[:80], r"each of the 3\^4 = 81 architectures once; it has 80 rows, 80 of them"),
        ("arch", lambda arch: np.vstack([arch[:80], arch[:1]]), "it has 81 rows, 80 of them different"),
        ("edges", lambda edges: edges[:3], "has 3 labels for the 4 columns"),
        ("val12", lambda values: values[:80], r"'val12' of tiny must be numbers of shape \(81, \.\.\.\)"),
        ("val12", lambda values: values[:, :2], r"has shape \(81, 2\), but there are 3 names"),
        ("test200", lambda values: np.where(values == values[7, 1], np.nan, values), r"\(7, 1\) is nan"),
        ("test200", lambda values: values + 100, "from 0 to 100"),
        ("cost12_s_c10valid", lambda values: -values, "at least 0"),
        ("latency_ms", lambda values: values[:, 0], "must be numbers of shape"),
    ],
)
def test_a_broken_table_is_refused(arrays: Arrays, key: str, change: Any, message: str) -> None:
    values = None if change is None else change(arrays[key])
    with pytest.raises(npz.TableError, match=message):
        npz.from_arrays("tiny", broken(arrays, key, values))


def test_a_table_without_accuracy_or_symmetries_is_refused(arrays: Arrays) -> None:
    with pytest.raises(npz.TableError, match="has no accuracy: none of val12, "):
        npz.from_arrays("tiny", broken(broken(arrays, "val12", None), "test200", None))
    with pytest.raises(npz.TableError, match=r"no cells of NAS-Bench-201"):
        npz.from_arrays("tiny", arrays, merged=True)


def test_a_file_that_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="There is no table"):
        npz.load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("not a table")
    with pytest.raises(npz.TableError, match=r"text\.npz cannot be read"):
        npz.load(tmp_path / "text.npz")
    with pytest.raises(ValueError, match="either --table"):
        Source()


def test_there_are_6466_classes_of_cells() -> None:
    space = cell.space(merged=True)
    classes = list(space)
    assert len(classes) == len(set(classes)) == 6466
    assert cell.space().size == 15_625


def test_isomorphic_cells_have_one_representative() -> None:
    def representative(*ops: str) -> Any:
        return cell.canonical(dict(zip(cell.EDGES, ops, strict=True)))

    conv, pool = "nor_conv_3x3", "avg_pool_3x3"
    # Node 1 is a copy of the input, so the last node's first two edges may swap.
    assert representative("skip_connect", conv, pool, conv, pool, "none") == representative(
        "skip_connect", pool, conv, pool, conv, "none"
    )
    # The third edge's path leads through node 1 or past it.
    assert representative("skip_connect", "none", conv, "none", "none", pool) == representative(
        "none", conv, "none", "none", "none", pool
    )
    assert representative(conv, "none", "none", "none", conv, "none") != representative(
        conv, "none", "none", "none", pool, "none"
    )


class FakeApi:
    """Has the methods of ``nats_bench.create(file, "tss")`` with the same parameters, and a value for each query."""

    def __init__(self, texts: list[str]) -> None:
        self.texts = texts

    def __len__(self) -> int:
        return len(self.texts)

    def arch(self, index: int) -> str:
        return self.texts[index]

    def get_more_info(
        self, index: int, dataset: str, iepoch: int | None = None, hp: str = "12", is_random: bool = True
    ) -> dict[str, Any]:
        assert not is_random, "the mean of the seeds, not one of them"
        if dataset == "cifar10" and hp == "12":
            raise KeyError(dataset)  # what the API does where there is no such run
        base = {"cifar10-valid": 10, "cifar10": 20, "cifar100": 30, "ImageNet16-120": 40}[dataset]
        found = {"test-accuracy": base + index / 15_625 + (0.5 if hp == "200" else 0)}
        return found if dataset == "cifar10" else found | {"valid-accuracy": found["test-accuracy"] + 5}

    def get_cost_info(self, index: int, dataset: str, hp: str = "12") -> dict[str, Any]:
        assert (dataset, hp) == ("cifar10-valid", "12")
        return {"flops": 1.0, "T-train@total": 30.0 + index}


def texts() -> list[str]:
    # Any order but that of the space.
    cells = [dict(architecture) for architecture in cell.space()][::-1]
    nodes = [[[f"{edge}<-{source}" for source in range(edge)] for edge in (1, 2, 3)]]
    return ["+".join(f"|{'|'.join(f'{c[label]}~{label[-1]}' for label in node)}|" for node in nodes[0]) for c in cells]


def test_the_converter_writes_a_table(tmp_path: Path) -> None:
    arrays = convert.from_nats_bench(FakeApi(texts()), tmp_path / "made.npz")
    table = npz.load(tmp_path / "made.npz")
    assert set(np.load(tmp_path / "made.npz").files) == set(arrays)
    first = convert.operations(texts()[0])
    row = table.row(dict(zip(cell.EDGES, first, strict=True)))
    assert row == 0
    expected = {"val12/cifar10": 15, "test12/cifar10": 10, "test200/cifar10": 20.5, "val200_single/cifar100": 35.5}
    assert {name: table.column(name)[row] for name in expected} == expected
    assert table.column("test200/ImageNet16-120")[-1] == pytest.approx(40.5 + 15_624 / 15_625)
    assert table.column("cost12_s_c10valid")[7] == 37
    assert len(npz.load(tmp_path / "made.npz", merged=True).members) == 6466


def test_the_converter_refuses_other_apis() -> None:
    with pytest.raises(ValueError, match="holds 3 architectures, 2 of them different; the topology space has 15625"):
        convert.from_nats_bench(FakeApi([*texts()[:2], texts()[0]]))
    with pytest.raises(ValueError, match="no cell of the topology space"):
        convert.from_nats_bench(FakeApi(["8:8:16:24:32"]))
    with pytest.raises(ValueError, match="no cell of the topology space"):
        convert.operations(texts()[0].replace("none", "conv_7x7").replace("avg_pool_3x3", "conv_7x7"))


def test_the_fake_is_like_the_official_api() -> None:
    official = pytest.importorskip("nats_bench", reason="the package nats_bench").api_topology.NATStopology
    for name in ("arch", "get_more_info", "get_cost_info"):
        theirs, ours = (inspect.signature(getattr(owner, name)).parameters for owner in (official, FakeApi))
        assert list(theirs) == list(ours)
        assert [p.default for p in theirs.values()] == [p.default for p in ours.values()]


def test_the_published_table() -> None:
    table = npz.load(published("nasbench201.npz"))
    best = [round(table.best(f"test200/{dataset}"), 2) for dataset in table.datasets("test200")]
    assert best == [94.37, 73.51, 47.31]
    classes = np.load(published("nasbench201.npz"))["iso_class"].tolist()
    strings = [cell.unique_string(architecture) for architecture in table.space]
    rows = [classes[table.row(architecture)] for architecture in table.space]
    assert len(set(strings)) == len(set(classes)) == len(set(zip(strings, rows, strict=True))) == 6466


def test_the_published_macro_table() -> None:
    table = npz.load(published("nasbench_macro.npz"))
    assert table.space.size == 3**8
    assert round(table.best("test/mean"), 2) == 93.13
    assert {"params", "flops"} <= set(table.columns)


def test_nas_bench_graph() -> None:
    pytest.importorskip("nas_bench_graph", reason="the package nas-bench-graph")
    table = graph.load("cora")
    assert len(table.members) == 26_206
    architectures = [table.space.sample(np.random.default_rng(seed)) for seed in range(50)]
    assert all(architecture in table.space for architecture in architectures)
    assert len({table.row(architecture) for architecture in architectures}) == len(set(architectures))
    assert table.best("test/cora") == pytest.approx(83.1333, abs=1e-3)
    swapped = {"topology": "0,0,0,0", "op1": "gcn", "op2": "gat", "op3": "gcn", "op4": "gcn"}
    assert table.space.canonical(swapped) == table.space.canonical({**swapped, "op1": "gat", "op2": "gcn"})
    assert dict.fromkeys(swapped, "skip") | {"topology": "0,0,0,0"} not in table.space


def test_nas_bench_graph_has_eight_data_sets() -> None:
    with pytest.raises(ValueError, match="no data set 'proteins' here; choose one of cora, "):
        graph.load("proteins")
