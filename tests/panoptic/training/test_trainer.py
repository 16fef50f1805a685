"""Training panoptic networks: what it changes, that it resumes exactly, and how it fails."""

from __future__ import annotations

import itertools
import pickle
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.plugins import TorchSyncBatchNorm
from torch import Tensor

from autopanoptic.nas import Architecture, FairPaths, PathSampler, SandwichPaths, Supernet
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.data.loading.batches import training_batches
from autopanoptic.panoptic.data.loading.transforms import Transform
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.search.strategies import hand_made
from autopanoptic.panoptic.stages.networks import build
from autopanoptic.panoptic.training.hardware import Hardware
from autopanoptic.panoptic.training.module import PanopticModule
from autopanoptic.panoptic.training.recipe import Recipe
from autopanoptic.panoptic.training.trainer import _trainer, train

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
        if int(self.passes) == at:
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
    train(network, datasets.train, TRANSFORM, recipe, tmp_path / "a", paths=paths, hardware=machine)
    whole = weights(network)
    folder = tmp_path / "b"
    network.load_state_dict(start)
    with pytest.MonkeyPatch.context() as patch:
        break_off(patch, 2, RuntimeError("power cut"))
        with pytest.raises(RuntimeError, match="power cut"):
            train(network, datasets.train, TRANSFORM, recipe, folder, paths=paths, hardware=machine)
    assert sorted(path.name for path in folder.glob("*.ckpt")) == ["last.ckpt", "previous.ckpt"]
    if damaged:
        (folder / "last.ckpt").write_bytes((folder / "last.ckpt").read_bytes()[:1000])
    network.load_state_dict(start)  # a new process would begin from these
    train(network, datasets.train, TRANSFORM, recipe, folder, paths=paths, hardware=machine)
    assert_equal(weights(network), whole)
    assert ("the training goes on from previous.ckpt" in caplog.text) == damaged


def test_a_finished_training_is_only_loaded(datasets: Datasets, network: PanopticNetwork, tmp_path: Path) -> None:
    start = weights(network)
    train(network, datasets.train, TRANSFORM, RECIPE, tmp_path, hardware=QUIET)
    once = weights(network)
    network.load_state_dict(start)
    train(network, datasets.train, TRANSFORM, RECIPE, tmp_path, hardware=QUIET)
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

    train(network, datasets.train, TRANSFORM, RECIPE, tmp_path, paths=OnePath(), hardware=QUIET)
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
    train(network, datasets.train, TRANSFORM, recipe, tmp_path, paths=paths, hardware=QUIET)
    assert len(steps) == 2  # four passes, two of them a cycle
    assert any(not torch.equal(parameter, start[name]) for name, parameter in network.named_parameters())


def rates_of_updates(network: PanopticNetwork, recipe: Recipe, paths: PathSampler) -> list[dict[str, float]]:
    """The learning rate of each parameter at each update, before the schedule."""
    module = PanopticModule(network, recipe, paths)
    (optimizer,), _ = module.configure_optimizers()
    names, found = {id(value): name for name, value in network.named_parameters()}, []
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"]
    for update in range(recipe.updates(paths.cycle)):
        with module._rates(optimizer, update * paths.cycle):
            found.append({names[id(p)]: group["lr"] for group in optimizer.param_groups for p in group["params"]})
    return found


def test_the_papers_learning_rates_are_divided_by_the_uses_in_a_cycle(network: PanopticNetwork) -> None:
    space = Supernet(network).space
    assert space["backbone.0"].options == ("shuffle3", "shuffle5", "shuffle7", "xception3")
    recipe = replace(Recipe.coco_supernet(), passes=24)
    for found in rates_of_updates(network, recipe, FairPaths(space)):

        def rate(part: str, end: str, found: dict[str, float] = found) -> float:
            return next(value for name, value in found.items() if part in name and name.endswith(end))

        assert rate("shuffle3", "weight") == pytest.approx(0.02 / 3)
        assert rate("dw3", "weight") == pytest.approx(0.02 / 2)
        assert rate("r4", "weight") == pytest.approx(0.02 / 4)
        assert found["rpn.head.cls_logits.weight"] == pytest.approx(0.02 / 12)
        assert found["rpn.head.cls_logits.bias"] == pytest.approx(0.04 / 12)


def test_learning_rates_are_divided_by_the_true_uses_in_a_cycle_of_another_length(network: PanopticNetwork) -> None:
    paths = FairPaths(Supernet(network).space, length=7)
    recipe = replace(Recipe.coco_supernet(), passes=28)
    for update, found in enumerate(rates_of_updates(network, recipe, paths)):
        taken = Counter(item for n in range(7) for item in paths.path(7 * update + n).items())
        for option in ("shuffle3", "shuffle5", "shuffle7", "xception3"):
            name = next(name for name in found if f"backbone.stages.c2.0.{option}." in name and name.endswith("weight"))
            assert found[name] == pytest.approx(0.02 / taken["backbone.0", option])
        assert found["rpn.head.cls_logits.weight"] == pytest.approx(0.02 / 7)


def test_passes_that_are_no_whole_number_of_cycles_are_refused(network: PanopticNetwork) -> None:
    recipe = replace(RECIPE, passes=30, accumulate=True)
    with pytest.raises(ValueError, match=r"passes=30 is no multiple of the 12 paths .* the last 6 .* Take 36 passes"):
        PanopticModule(network, recipe, FairPaths(Supernet(network).space))


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
    options = _trainer(tmp_path, 1, replace(QUIET, accelerator=accelerator, devices=devices), "training")
    assert options["sync_batchnorm"] == expected  # type: ignore[index]
    # Another kind of process would run the caller's program from its start, and go on with it behind `train`.
    assert options["strategy"].startswith("ddp_spawn") == (devices > 1)  # type: ignore[index]


def test_a_training_can_be_sent_to_other_processes(network: PanopticNetwork) -> None:
    space = Supernet(network).space
    module = pickle.loads(pickle.dumps(PanopticModule(network, RECIPE, FairPaths(space))))
    optimizers, _ = module.configure_optimizers()
    trained = {id(parameter) for group in optimizers[0].param_groups for parameter in group["params"]}
    assert trained == {id(parameter) for parameter in module.network.parameters()}
    module.supernet.activate(hand_made(space))
    assert set(module.supernet.active_modules()) <= set(module.network.modules())


def test_a_supernet_survives_synchronised_batch_norm(network: PanopticNetwork) -> None:
    supernet = Supernet(network)
    path = hand_made(supernet.space)
    images = torch.linspace(-1, 1, 2 * 3 * 64 * 64).view(2, 3, 64, 64)

    def features() -> list[Tensor]:
        supernet.activate(path)
        with torch.no_grad():
            return list(network.backbone.eval()(images).values())

    before, names = features(), list(network.state_dict())
    sync = TorchSyncBatchNorm()
    sync.apply(network)
    assert any(isinstance(module, torch.nn.SyncBatchNorm) for module in supernet.active_modules())
    sync.revert(network)
    for ours, theirs in zip(features(), before, strict=True):
        assert torch.equal(ours, theirs)
    assert list(network.state_dict()) == names


def test_a_loss_that_is_not_finite_names_the_pass_and_the_path(
    datasets: Datasets, network: PanopticNetwork, tmp_path: Path
) -> None:
    with torch.no_grad():
        network.rpn.head.cls_logits.bias.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match=r"pass 0 is nan, on path [0-9a-f]{10}"):
        train(network, datasets.train, TRANSFORM, RECIPE, tmp_path, hardware=QUIET)


def test_the_sampling_of_a_pass_depends_on_the_seed_alone(
    datasets: Datasets, network: PanopticNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PanopticModule, "log_dict", lambda *_: None)  # there is no trainer
    batch = next(iter(training_batches(datasets.train, TRANSFORM, batch_size=4, divisor=32)))
    first, again, other = (PanopticModule(network.train(), RECIPE, seed=seed) for seed in (0, 0, 1))
    torch.manual_seed(1)
    value = first._total(network, batch)
    torch.manual_seed(2)
    assert torch.equal(value, again._total(network, batch))
    assert not torch.equal(value, other._total(network, batch))


def test_an_interrupt_comes_through(
    datasets: Datasets, network: PanopticNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_off(monkeypatch, 0, KeyboardInterrupt())
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(network, datasets.train, TRANSFORM, RECIPE, tmp_path, hardware=QUIET)
    assert signal.getsignal(signal.SIGINT) is handler


def test_an_unknown_logger_is_refused(datasets: Datasets, network: PanopticNetwork, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="logger must be 'csv' or 'tensorboard', not 'wandb'"):
        train(network, datasets.train, TRANSFORM, RECIPE, tmp_path, hardware=replace(QUIET, logger="wandb"))
