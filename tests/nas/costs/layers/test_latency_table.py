from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from autopanoptic.nas import (
    ElasticConv2d,
    ElasticLinear,
    Kernel,
    LatencyTable,
    LayerChoice,
    ModelSpace,
    Repeat,
    Supernet,
    Width,
)
from autopanoptic.nas.costs.layers import samples


def weight_of(module: nn.Module, call: samples.Call) -> float:
    """A stand-in for a time, which tells layers apart by their parameters and by what they are given."""
    return sum(p.numel() for p in module.parameters()) * 1e3 + sum(t.numel() for t in call[0]) + len(repr(module))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Measure :func:`weight_of` in place of time, and note what is measured."""
    measured: list[str] = []

    def median(module: nn.Module, call: samples.Call, *_: Any) -> float:
        assert not module.training
        assert not any(tensor.is_meta for tensor in (*module.parameters(), *module.buffers(), *call[0]))
        module(*call[0], **call[1])
        measured.append(repr(module))
        return weight_of(module, call)

    monkeypatch.setattr(samples, "_median", median)
    return measured


def expected(supernet: Supernet, architecture: Any, example: Tensor) -> float:
    """What the layers of the stand-alone network weigh together."""
    network = supernet.subnet(architecture).eval()
    found: list[float] = []

    def hook(module: nn.Module, args: Any, kwargs: Any) -> None:
        found.append(weight_of(module, (args, kwargs)))

    for module in network.modules():
        if not any(module.children()) and not isinstance(module, (nn.Identity, nn.Sequential)):
            module.register_forward_pre_hook(hook, with_kwargs=True)
    with torch.no_grad():
        network(example)
    return sum(found)


def test_a_measured_table_sums_the_layers_of_stand_alone_networks(
    strided: Supernet, example: Tensor, clock: list[str]
) -> None:
    table = LatencyTable(strided, example).measure()
    rng = np.random.default_rng(0)
    for _ in range(10):
        architecture = strided.space.sample(rng)
        assert table(architecture) == expected(strided, architecture, example)
    rows = table.rows
    assert len({(row.layer, row.options) for row in rows}) == len(rows)
    assert len(clock) < len(rows), "what is alike is measured once"
    assert all("Elastic" not in row.module for row in rows)
    stem = {row.options: row for row in rows if row.layer == "stem"}
    assert len(stem) == 2 * 2 * 3, "widths, kernels, and three ways to the image"
    row = stem["down=halve, width=4, kernel=3"]
    assert row.module.startswith("Conv2d(1, 4, kernel_size=(3, 3)")
    assert (row.inputs, row.milliseconds) == ("1x1x4x4", 40 * 1e3 + 16 + len(row.module))
    assert {row.inputs for row in rows if row.layer == "shared"} == {"1x1x8x8", "1x1x8x8; 1x1x8x8"}


class Small(ModelSpace):
    """Two convolutions around a width, of which the first may be missing, and a head."""

    def __init__(self) -> None:
        super().__init__()
        width = Width("width", [2, 4])
        self.stem = ElasticConv2d(1, width, Kernel("kernel", [1, 3]), padding=1)
        self.blocks = Repeat(lambda index: ElasticConv2d(width, width, 1), (0, 1), label="depth")
        self.head = ElasticLinear(width, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


@pytest.fixture
def small() -> Supernet:
    return Supernet(Small())


@pytest.fixture
def filled(small: Supernet, example: Tensor, tmp_path: Path) -> tuple[LatencyTable, Path]:
    """A table without times, and its file with 1, 2, 3, ... filled in."""
    table = LatencyTable(small, example)
    path = table.write(tmp_path / "new" / "phone.csv")
    change(path, lambda lines: [[*line[:4], str(number)] for number, line in enumerate(lines, 1)])
    return table, path


def change(path: Path, how: Callable[[list[list[str]]], list[list[str]]]) -> None:
    with path.open(newline="") as file:
        head, *lines = csv.reader(file)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([head, *how(lines)])


def test_a_file_that_was_filled_in_is_a_cost(
    filled: tuple[LatencyTable, Path], small: Supernet, example: Tensor, tmp_path: Path
) -> None:
    table, path = filled
    with pytest.raises(ValueError, match=r"no time of layer 'stem' with .*Measure it with measure\(\), or read\(\)"):
        table(small.active)
    change(path, lambda lines: lines[::-1])
    assert table.read(path) is table
    assert [row.milliseconds for row in table.rows] == list(range(1, len(table.rows) + 1))
    assert [row.layer for row in table.rows] == ["stem"] * 4 + ["blocks.blocks.0"] * 4 + ["head"] * 2
    parts = table.of_layers(small.active)
    assert table(small.active) == sum(parts.values()) > 0
    again = LatencyTable(small, example).read(table.write(tmp_path / "copy.csv"))
    assert again(small.active) == table(small.active)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (
            lambda lines: [["stam", *lines[0][1:]], *lines[1:]],
            r"line 2: there is no layer 'stam'. Did you mean 'stem'\?",
        ),
        (
            lambda lines: [*lines, ["stem", "width=9", "", "", "1"]],
            r"layer 'stem' has no row with the options 'width=9'",
        ),
        (lambda lines: [*lines, lines[3]], r"line 12: the row of layer .* stands in line 5 already"),
        (lambda lines: lines[:-2], r"lacks 2 of \d+ rows, the first that of layer 'head' with width=2"),
        (lambda lines: [[*lines[0][:4], "-1"], *lines[1:]], r"line 2: .*has '-1' milliseconds; .* a number from 0"),
        (lambda lines: [lines[0], [*lines[1][:4], "nan"], *lines[2:]], r"line 3: .*has 'nan' milliseconds"),
        (lambda lines: [[*lines[0][:4], "fast"], *lines[1:]], r"line 2: .*has 'fast' milliseconds"),
        (lambda lines: [[*lines[0][:4], " "], *lines[1:]], r"line 2: .*has no milliseconds yet"),
        (lambda lines: [lines[0][:4], *lines[1:]], r"line 2: .*has no milliseconds yet"),
        (
            lambda lines: [[*lines[0][:3], "9x9", "1"], *lines[1:]],
            r"line 2: .* has the inputs '9x9', in this network",
        ),
    ],
)
def test_files_that_do_not_fit_are_refused_by_line(
    filled: tuple[LatencyTable, Path],
    small: Supernet,
    how: Callable[[list[list[str]]], list[list[str]]],
    message: str,
) -> None:
    table, path = filled
    before = table.read(path)(small.active)
    change(path, how)
    with pytest.raises(ValueError, match=message):
        table.read(path)
    assert table(small.active) == before


def test_times_are_not_written_over(
    filled: tuple[LatencyTable, Path], small: Supernet, example: Tensor, tmp_path: Path
) -> None:
    table, path = filled
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match=r"phone\.csv has \d+ times that would be lost, the first .* 'stem'"):
        LatencyTable(small, example).write(path)
    assert path.read_bytes() == before
    table.read(path).write(path)  # it has them
    assert LatencyTable(small, example).read(path).rows == table.rows


def test_a_file_of_another_encoding_is_named(filled: tuple[LatencyTable, Path]) -> None:
    table, path = filled
    path.write_bytes(path.read_text().encode("utf-16"))
    before = path.read_bytes()
    for use in (table.read, table.write):
        with pytest.raises(ValueError, match=r"phone\.csv is not of UTF-8: .*Save it as such"):
            use(path)
    assert path.read_bytes() == before


def test_a_file_without_its_columns_is_refused(filled: tuple[LatencyTable, Path], tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("layer,options,ms\nstem,,1\n")
    with pytest.raises(ValueError, match="no column 'milliseconds' in its first line"):
        filled[0].read(tmp_path / "other.csv")


def test_times_are_measured_on_this_machine(example: Tensor) -> None:
    class Two(ModelSpace):
        def __init__(self) -> None:
            super().__init__()
            self.layer = LayerChoice([nn.Conv2d(1, 2, 3), nn.Identity()], label="layer")
            self.norm = nn.BatchNorm2d(1)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(self.norm(x))

    supernet = Supernet(Two(), inputs=[example])
    table = LatencyTable(supernet).measure(warmup=0, repeats=1)
    assert table({"layer": 0}) > table({"layer": 1}) > 0
    assert list(table.of_layers({"layer": 0})) == ["layer.0", "norm"]


def test_choices_that_only_matter_together_have_rows(together: Supernet, example: Tensor, clock: list[str]) -> None:
    table = LatencyTable(together, example).measure()
    rows = {row.options: row.inputs for row in table.rows if row.layer == "conv"}
    sizes = {"large": 4, "small": 2}
    assert rows == {
        f"one={one}, two={two}": "x".join(["1x1", *[str(max(sizes[one], sizes[two]))] * 2])
        for one in sizes
        for two in sizes
    }
    for architecture in together.space:
        assert table(architecture) == expected(together, architecture, example)


def test_a_layer_that_depends_on_choices_in_another_way_is_refused(
    rare: Supernet, example: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = {f"{n}": "small" for n in range(20)}
    monkeypatch.setattr(samples, "_covering", lambda space, wanted: [rare.active, space.canonical(small)])
    message = r"Layer 'conv' with no options is Conv2d.* of 1x1x4x4 in \w+, and Conv2d.* of 1x1x2x2 in \w+"
    with pytest.raises(ValueError, match=message):
        LatencyTable(rare, example).measure()


def test_a_module_that_multiplies_and_holds_choices_is_refused(example: Tensor) -> None:
    class Multiplying(ModelSpace):
        def __init__(self) -> None:
            super().__init__()
            self.layer = LayerChoice([nn.Conv2d(1, 1, 1), nn.Identity()], label="layer")

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x) @ x

    with pytest.raises(ValueError, match="Module '' multiplies in its own forward and holds choices"):
        LatencyTable(Supernet(Multiplying()), example).measure()
