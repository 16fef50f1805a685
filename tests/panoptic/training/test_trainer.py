"""Training panoptic networks: what it changes, that it resumes exactly, and how it fails."""

from __future__ import annotations

import itertools
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from torch import Tensor, nn

from autopanoptic.nas import Architecture, FairPaths, SandwichPaths, Supernet
from autopanoptic.nas.interruption import terminated_as_interrupted
from autopanoptic.nas.supernet.batch_norm import statistics_kept
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.data.loading.transforms import Transform
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.padding import padded
from autopanoptic.panoptic.search.strategies import hand_made
from autopanoptic.panoptic.stages.networks import build
from autopanoptic.panoptic.training.hardware import Hardware
from autopanoptic.panoptic.training.module import PanopticModule
from autopanoptic.panoptic.training.parallel.spawned import SpawnedProcesses
from autopanoptic.panoptic.training.parallel.synced import SyncedNorms, alone
from autopanoptic.panoptic.training.recipe import Recipe
from autopanoptic.panoptic.training.trainer import make_trainer, train
from autopanoptic.panoptic.training.training import Training

TRANSFORM = Transform(None, None)
RECIPE = Recipe(passes=4, batch_size=2, warmup=2)
QUIET = Hardware("cpu", progress=False, checkpoint_every=2)


@pytest.fixture
def network(datasets: Datasets) -> PanopticNetwork:
    categories = datasets.train.categories
    return build(PanopticConfig.scenes(len(categories.things), len(categories.stuff)), seed=0)


def weights(network: PanopticNetwork) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def assert_equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


def break_off(monkeypatch: pytest.MonkeyPatch, at: int, error: BaseException) -> None:
    """Let trainings end with an error before a pass."""
    total = PanopticModule._total

    def broken(self: PanopticModule, network: Any, batch: Any) -> Tensor:
        if self.passes == at:
            raise error
        return total(self, network, batch)

    monkeypatch.setattr(PanopticModule, "_total", broken)


@pytest.mark.parametrize("damaged", [False, True])
def test_an_interrupted_training_resumes_to_the_same_weights(
    datasets: Datasets,
    network: PanopticNetwork,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    damaged: bool,
) -> None:
    paths = FairPaths(Supernet(network).space)
    start = weights(network)
    recipe, machine = replace(RECIPE, passes=3), replace(QUIET, checkpoint_every=1)
    train(network, Training(datasets.train, TRANSFORM, recipe, paths=paths, hardware=machine), tmp_path / "a")
    whole = weights(network)
    folder = tmp_path / "b"
    network.load_state_dict(start)
    with pytest.MonkeyPatch.context() as patch:
        break_off(patch, 2, RuntimeError("power cut"))
        with pytest.raises(RuntimeError, match="power cut"):
            train(network, Training(datasets.train, TRANSFORM, recipe, paths=paths, hardware=machine), folder)
    assert sorted(path.name for path in folder.glob("*.ckpt")) == ["last.ckpt", "previous.ckpt"]
    if damaged:
        (folder / "last.ckpt").write_bytes((folder / "last.ckpt").read_bytes()[:1000])
    network.load_state_dict(start)  # a new process would begin from these
    train(network, Training(datasets.train, TRANSFORM, recipe, paths=paths, hardware=machine), folder)
    assert_equal(weights(network), whole)
    assert ("the training goes on from previous.ckpt" in caplog.text) == damaged


def test_a_finished_training_is_only_loaded(datasets: Datasets, network: PanopticNetwork, tmp_path: Path) -> None:
    start = weights(network)
    train(network, Training(datasets.train, TRANSFORM, RECIPE, hardware=QUIET), tmp_path)
    once = weights(network)
    network.load_state_dict(start)
    train(network, Training(datasets.train, TRANSFORM, RECIPE, hardware=QUIET), tmp_path)
    assert_equal(weights(network), once)


def test_a_path_leaves_the_other_options_alone(datasets: Datasets, network: PanopticNetwork, tmp_path: Path) -> None:
    supernet = Supernet(network)
    path = hand_made(supernet.space)
    start = weights(network)
    supernet.activate(path)
    used = {id(p) for module in supernet.active_modules() for p in module.parameters(recurse=False)}

    class OnePath:
        cycle = 1

        def path(self, step: int) -> Architecture:
            return path

    train(network, Training(datasets.train, TRANSFORM, RECIPE, paths=OnePath(), hardware=QUIET), tmp_path)
    for name, parameter in network.named_parameters():
        assert id(parameter) in used or torch.equal(parameter, start[name]), name
    assert not torch.equal(network.state_dict()["rpn.head.cls_logits.weight"], start["rpn.head.cls_logits.weight"])


def test_accumulation_updates_once_a_cycle(
    datasets: Datasets, network: PanopticNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supernet = Supernet(network)
    start = weights(network)
    recipe = replace(RECIPE, accumulate=True, optimizer="sgd", learning_rate=1e-3, weight_decay=0.0, warmup=0)
    first, second = itertools.islice(supernet.space, 2)
    paths = SandwichPaths(supernet.space, first, second, random=0)
    steps = []

    class Counted(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            steps.append({name: value.grad for name, value in network.named_parameters() if value.grad is not None})
            return super().step(closure)

    monkeypatch.setattr(torch.optim, "SGD", Counted)
    train(network, Training(datasets.train, TRANSFORM, recipe, paths=paths, hardware=QUIET), tmp_path)
    assert len(steps) == 2  # four passes, two of them a cycle
    assert any(not torch.equal(parameter, start[name]) for name, parameter in network.named_parameters())


@pytest.mark.parametrize(
    ("devices", "accelerator", "cuda", "expected"),
    [(2, "gpu", True, True), (2, "auto", True, True), (2, "auto", False, False), (2, "cpu", True, False),
     (1, "gpu", True, False)],
)  # fmt: skip
def test_batch_norm_is_synchronised_over_several_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, devices: int, accelerator: str, cuda: bool, expected: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(lightning, "Trainer", lambda **options: options)
    machine = replace(QUIET, accelerator=accelerator, devices=devices)
    options: Any = make_trainer(tmp_path, 1, machine, [], own_statistics=False)
    assert any(isinstance(one, SyncedNorms) for one in options.get("plugins", ())) == expected
    # Another kind of process would run the caller's program from its start, and go on with it behind `train`.
    assert isinstance(options["strategy"], SpawnedProcesses) == (devices > 1)
    if devices > 1:
        assert options["strategy"]._start_method == "spawn"
    own: Any = make_trainer(tmp_path, 1, machine, [], own_statistics=True)
    assert not own.get("plugins")


@pytest.mark.parametrize("sizes", [[(64, 64)] * 2, [(64, 64), (40, 33)]])
@pytest.mark.parametrize("training", [True, False])
def test_synchronised_batch_norms_see_no_padding_and_become_what_they_were(
    network: PanopticNetwork, sizes: list[tuple[int, int]], training: bool
) -> None:
    supernet = Supernet(network)
    supernet.activate(hand_made(supernet.space))
    images = torch.linspace(-1, 1, 2 * 3 * 64 * 64).view(2, 3, 64, 64).sin()

    def features() -> list[Tensor]:
        with torch.no_grad(), statistics_kept(network), padded(images, sizes):
            return list(network.backbone.train(training)(images).values())

    before, modules, names = features(), list(network.modules()), list(network.state_dict())
    kinds = [type(module) for module in modules]
    sync = SyncedNorms()
    sync.apply(network)
    synced = [module for module in modules if isinstance(module, nn.SyncBatchNorm)]
    assert len(synced) == sum(issubclass(kind, nn.BatchNorm2d) for kind in kinds) > 0
    # One process alone has the statistics of all.
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(features(), before, strict=True))
    with alone(network):
        assert [type(module) for module in modules] == kinds
    assert all(isinstance(module, nn.SyncBatchNorm) for module in synced)
    sync.revert(network)
    assert [type(module) for module in network.modules()] == kinds
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(features(), before, strict=True))
    assert (list(network.modules()), list(network.state_dict())) == (modules, names)


def test_a_loss_that_is_not_finite_names_the_pass_and_the_path(
    datasets: Datasets, network: PanopticNetwork, tmp_path: Path
) -> None:
    with torch.no_grad():
        network.rpn.head.cls_logits.bias.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match=r"pass 0 is nan, on path [0-9a-f]{10}"):
        train(network, Training(datasets.train, TRANSFORM, RECIPE, hardware=QUIET), tmp_path)


def test_an_interrupt_comes_through(
    datasets: Datasets, network: PanopticNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_off(monkeypatch, 0, KeyboardInterrupt())
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(network, Training(datasets.train, TRANSFORM, RECIPE, hardware=QUIET), tmp_path)
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_program_that_is_terminated_ends_its_training_as_at_an_interrupt(
    datasets: Datasets, network: PanopticNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else Lightning, which has a handler of its own, ends it as an error of the training."""

    def terminated(*_: Any) -> Tensor:
        signal.raise_signal(signal.SIGTERM)
        raise AssertionError

    monkeypatch.setattr(PanopticModule, "_total", terminated)
    with pytest.raises(KeyboardInterrupt), terminated_as_interrupted():
        train(network, Training(datasets.train, TRANSFORM, RECIPE, hardware=QUIET), tmp_path)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
