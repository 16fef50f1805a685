"""A table of measured times of layers, of a device that may be elsewhere, as a cost of architectures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import torch
from torch import nn

from autopanoptic.nas.costs.layers import table_file
from autopanoptic.nas.costs.layers.deciding import Key, Layer, own_sizes
from autopanoptic.nas.costs.layers.explaining import Subject
from autopanoptic.nas.costs.layers.finding import find_layers, given_shapes, takes_channels
from autopanoptic.nas.costs.layers.passes import Passes, Seen
from autopanoptic.nas.costs.layers.samples import Sample, combinations_of, samples_of
from autopanoptic.nas.costs.layers.table_file import Row
from autopanoptic.nas.space.architecture import Option
from autopanoptic.nas.supernet import _nni
from autopanoptic.nas.supernet.supernet import Supernet


class LatencyTable:
    """The latency of architectures, in milliseconds, as the sum of their layers' times on one device.

    For a device on which no search can run, such as a telephone: :meth:`write` writes a CSV file with a row for each
    layer and each combination of the options that decide its time, you fill in the milliseconds, and :meth:`read` reads
    them. :meth:`measure` fills the table on a device of this machine. Then it is a cost like any other, and always the
    same for an architecture, unlike :class:`Latency`. Once-for-all searches by such tables (Cai et al. 2020, 3.4).

    A layer is a module without children, or one that multiplies in its own ``forward``, its children included; an
    ``nn.Identity`` takes no time. What runs between layers, such as an addition, is in no row: put it into a module of
    its own where it counts. A sum of layers is not the latency of the whole, because devices overlap and fuse layers;
    compare a few with :class:`Latency`.

    Args:
        supernet: whose architectures have a latency; its network must run on the meta device, without an
            :class:`InputChoice`.
        *inputs: example inputs, of which only shapes and types matter, so also the size of the batch; those of the
            supernet by default.

    Raises:
        ValueError: without inputs or with an :class:`InputChoice`; on use, when a module multiplies that holds choices,
            when the time of a layer depends on choices in a way that was not found, or when it is not known yet.
    """

    def __init__(self, supernet: Supernet, *inputs: torch.Tensor) -> None:
        self._supernet = supernet
        self._passes = Passes(supernet, inputs)
        self._milliseconds: dict[tuple[str, Key], float] = {}

    def __call__(self, architecture: Mapping[str, Option]) -> float:
        """Return the latency of an architecture."""
        return sum(self.of_layers(architecture).values())

    def of_layers(self, architecture: Mapping[str, Option]) -> dict[str, float]:
        """Return the time of each layer of an architecture by its name in the supernet."""
        options = dict(self._supernet.space.canonical(architecture))
        found = {}
        for layer in self._layers:
            key = layer.key(options)
            if key is not None:
                if (layer.name, key) not in self._milliseconds:
                    raise ValueError(
                        f"The table has no time of layer {layer.name!r} with {layer.described(key) or 'no options'}. "
                        "Measure it with measure(), or read() a file."
                    )
                found[layer.name] = self._milliseconds[layer.name, key]
        return found

    @property
    def rows(self) -> list[Row]:
        """All rows, in the order of the network."""
        return [self._row(layer, key) for layer in self._layers for key in self._combinations[layer]]

    def write(self, path: str | Path) -> Path:
        """Write the table as a CSV file, of a row whose time is not known with an empty one: a form to be filled in.

        The columns: the layer's name, the options, the module as torch shows it, the shapes of its inputs, and the
        milliseconds of one forward pass.
        """
        return table_file.write(Path(path), self.rows)

    def read(self, path: str | Path) -> LatencyTable:
        """Take the times from a CSV file as :meth:`write` writes it; columns beside its own are not regarded.

        Returns:
            The table.

        Raises:
            ValueError: when a row is unknown, missing, twice there, of another module or other inputs than here, or has
                no time, a negative one or one that is no finite number; gives the line. The table is as it was then.
        """
        found = table_file.read(Path(path), self.rows)
        keys = [(layer.name, key) for layer in self._layers for key in self._combinations[layer]]
        self._milliseconds = dict(zip(keys, found, strict=True))
        return self

    def measure(self, device: str | torch.device = "cpu", *, warmup: int = 5, repeats: int = 20) -> LatencyTable:
        """Measure all rows on a device of this machine, the median of several runs; layers that are alike once.

        Args:
            device: where.
            warmup: runs that are not counted.
            repeats: runs that are.

        Returns:
            The table.
        """
        place, times = torch.device(device), {}
        for sample in self._samples.values():
            if sample.likeness not in times:
                times[sample.likeness] = sample.milliseconds(place, warmup, repeats)
        self._milliseconds = {row: times[sample.likeness] for row, sample in self._samples.items()}
        return self

    @cached_property
    def _layers(self) -> list[Layer]:
        found, _ = find_layers(
            self._passes, _takes_time, lambda module, _, seen: given_shapes(seen, takes_channels(module))
        )
        order = [choice.label for choice in self._passes.space.choices]
        layers = [_layer(module, subject, order) for module, subject in found]
        outer = tuple(f"{layer.name}." for layer in layers)
        return [layer for layer in layers if not layer.name.startswith(outer)]

    @cached_property
    def _combinations(self) -> dict[Layer, list[Key]]:
        found = {layer: list(combinations_of(layer, self._passes.space)) for layer in self._layers}
        for layer, keys in found.items():
            if len({layer.described(key) for key in keys}) < len(keys):
                raise ValueError(f"Choices {list(layer.labels)} have options that are written alike; rename one.")
        return found

    @cached_property
    def _samples(self) -> dict[tuple[str, Key], Sample]:
        wanted = {layer: combinations_of(layer, self._passes.space) for layer in self._layers}
        return samples_of(self._supernet, self._passes, wanted)

    def _row(self, layer: Layer, key: Key) -> Row:
        sample = self._samples[layer.name, key]
        known = self._milliseconds.get((layer.name, key))
        return Row(layer.name, layer.described(key), sample.described, sample.inputs, known)


def _takes_time(module: nn.Module, seen: Seen) -> bool:
    return seen.flops > 0 or not (any(module.children()) or isinstance(module, nn.Identity))


def _layer(module: nn.Module, subject: Subject, order: Sequence[str]) -> Layer:
    """Return a layer that its own sizes and what is given to it decide.

    Raises:
        ValueError: when it is no whole whatever is chosen.
    """
    if any(isinstance(part, (_nni.LayerChoice, _nni.Repeat)) for part in module.modules()):
        raise ValueError(
            f"Module {subject.name!r} multiplies in its own forward and holds choices, so no row can stand for it. Put "
            "the multiplication into a module of its own."
        )
    labels = subject.labels | {choice.label for part in module.modules() for choice in own_sizes(part)}
    return Layer(subject.places, tuple(label for label in order if label in labels), subject.name, module)
