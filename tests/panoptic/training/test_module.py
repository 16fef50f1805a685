"""What a pass of a training does."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import replace

import pytest
import torch

from autopanoptic.nas import FairPaths, PathSampler, Supernet
from autopanoptic.nas.supernet.uses import divided_rates
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.data.loading.batches import training_batches
from autopanoptic.panoptic.data.loading.transforms import Transform
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.search.strategies import hand_made
from autopanoptic.panoptic.stages.networks import build
from autopanoptic.panoptic.training.module import PanopticModule
from autopanoptic.panoptic.training.parallel.parts import parts_of
from autopanoptic.panoptic.training.recipe import Recipe

TRANSFORM = Transform(None, None)
RECIPE = Recipe(passes=4, batch_size=2, warmup=2)


@pytest.fixture
def network(datasets: Datasets) -> PanopticNetwork:
    categories = datasets.train.categories
    return build(PanopticConfig.scenes(len(categories.things), len(categories.stuff)), seed=0)


def rates_of_updates(network: PanopticNetwork, recipe: Recipe, paths: PathSampler) -> list[dict[str, float]]:
    """The learning rate of each parameter at each update, before the schedule."""
    module = PanopticModule(network, recipe, paths)
    (optimizer,), _ = module.configure_optimizers()
    names, found = {id(value): name for name, value in network.named_parameters()}, []
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"]
    for update in range(recipe.updates(paths.cycle)):
        assert module._places is not None
        cycle = [paths.path(update * paths.cycle + n) for n in range(paths.cycle)]
        with divided_rates(optimizer, module._places, cycle):
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


def test_a_training_can_be_sent_to_other_processes(network: PanopticNetwork) -> None:
    space = Supernet(network).space
    module = pickle.loads(pickle.dumps(PanopticModule(network, RECIPE, FairPaths(space))))
    optimizers, _ = module.configure_optimizers()
    trained = {id(parameter) for group in optimizers[0].param_groups for parameter in group["params"]}
    assert trained == {id(parameter) for parameter in module.network.parameters()}
    module.supernet.activate(hand_made(space))
    assert set(module.supernet.active_modules()) <= set(module.network.modules())


def test_the_sampling_of_a_pass_depends_on_the_seed_alone(
    datasets: Datasets, network: PanopticNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("log", "log_dict"):  # there is no trainer
        monkeypatch.setattr(PanopticModule, name, lambda *_, **__: None)
    monkeypatch.setattr(PanopticModule, "_reduces", False)
    (batch,) = parts_of(next(iter(training_batches(datasets.train, TRANSFORM, batch_size=4, divisor=32))), None, 0, 1)
    first, again, other = (PanopticModule(network.train(), RECIPE, seed=seed) for seed in (0, 0, 1))
    torch.manual_seed(1)
    value = first._total(network, batch)
    torch.manual_seed(2)
    assert torch.equal(value, again._total(network, batch))
    assert not torch.equal(value, other._total(network, batch))
