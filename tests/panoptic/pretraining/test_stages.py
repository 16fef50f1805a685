"""The two stages: what they train and write, how they go on and fail, and networks that begin with their weights."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from autopanoptic.nas import Architecture, FlopCount, Supernet
from autopanoptic.panoptic.configs.config import load_config
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.data.loading.normalization import IMAGENET
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.pretraining import stages
from autopanoptic.panoptic.pretraining.accuracy import accuracy
from autopanoptic.panoptic.pretraining.classifier import Classifier
from autopanoptic.panoptic.pretraining.images import ImageClasses
from autopanoptic.panoptic.pretraining.loading import ImageBatch
from autopanoptic.panoptic.pretraining.module import PretrainingModule
from autopanoptic.panoptic.pretraining.paths import OptionCosts, binned_paths
from autopanoptic.panoptic.pretraining.recipe import PretrainingRecipe
from autopanoptic.panoptic.pretraining.stages import backbone_config, pretrain, pretrain_supernet
from autopanoptic.panoptic.results.saved import new_network
from autopanoptic.panoptic.search.architecture_files import load_shipped
from autopanoptic.panoptic.search.strategies import hand_made
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.stages.networks import build, network_config
from autopanoptic.panoptic.stages.starts import check_start, started

SMALL = {
    "search.space": "auto-panoptic", "network.stem_width": 4, "network.stage_widths": [8, 12, 16, 24],
    "machine.device": "cpu", "machine.checkpoint_every": 2,
}  # fmt: skip


def settings(**changes: Any) -> Settings:
    return load_config("scenes", {**SMALL, **changes})


def state(path: Path) -> dict[str, Tensor]:
    found: dict[str, Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return found


def break_off(patch: pytest.MonkeyPatch, at: int, error: BaseException) -> None:
    loss = PretrainingModule._cross_entropy

    def broken(self: PretrainingModule, network: Any, batch: Any) -> Tensor:
        if int(self.passes) == at:
            raise error
        return loss(self, network, batch)

    patch.setattr(PretrainingModule, "_cross_entropy", broken)


@pytest.mark.parametrize("space", ["auto-panoptic", "elastic"])
def test_a_supernet_learns_goes_on_where_it_was_broken_off_and_is_written(
    images: ImageClasses, recipe: PretrainingRecipe, tmp_path: Path, space: str
) -> None:
    # Of the elastic space one choice alone, whose FLOPs are found in a few passes.
    narrow = {"network.c2_widths": [8], "network.c3_widths": [12], "network.c4_widths": [16]}
    depths = {f"network.{name}_depths": [1, 1] for name in ("c2", "c3", "c4", "c5")}
    changes = {**narrow, **depths, "network.c5_widths": [16, 20, 24, 32], "search.space": "elastic"}
    how = settings(**(changes if space == "elastic" else {}))
    with pytest.MonkeyPatch.context() as patch:
        break_off(patch, 3, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            pretrain_supernet(how, images, tmp_path / "broken", recipe)
    found = pretrain_supernet(how, images, tmp_path / "broken", recipe)
    whole = pretrain_supernet(how, images, tmp_path / "whole", recipe)
    own, other = state(found.backbone), state(whole.backbone)
    assert [name for name in own if not torch.equal(own[name], other[name])] == []
    assert found.accuracies == whole.accuracies
    assert len(found.accuracies) == 2
    assert all(one.architecture is not None and 0 <= one.top1 <= one.top5 == 100 for one in found.accuracies)
    with torch.random.fork_rng():
        torch.manual_seed(how.seed)
        start = Classifier(backbone_config(how), 3, 16, 0.2).backbone.state_dict()
    changed = [name for name, value in own.items() if not torch.equal(value, start[name])]
    assert "stem.0.weight" in changed
    # What is finished is not done again, but read; and another recipe is told apart.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "fit", None)
        assert pretrain_supernet(how, images, tmp_path / "whole", recipe) == whole
    with pytest.raises(
        ValueError, match=r"holds another pretraining, which differs in recipe\.jitter \(0\.4, not 0\.1"
    ):
        pretrain_supernet(how, images, tmp_path / "whole", replace(recipe, jitter=0.1))


def test_losses_and_accuracy_on_the_way_are_logged(
    images: ImageClasses, recipe: PretrainingRecipe, tmp_path: Path
) -> None:
    pretrain_supernet(settings(), images, tmp_path, replace(recipe, validate_every=2))
    header, *rows = (tmp_path / "log" / "version_0" / "metrics.csv").read_text().splitlines()
    assert {"loss", "learning_rate", "images_per_second", "val_top1", "val_top5"} <= set(header.split(","))
    column = header.split(",").index("val_top1")
    assert sum(bool(row.split(",")[column]) for row in rows) == 2


def test_a_loss_that_is_not_finite_names_the_path(
    images: ImageClasses, recipe: PretrainingRecipe, tmp_path: Path
) -> None:
    broken = torch.tensor(math.nan, requires_grad=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PretrainingModule, "_cross_entropy", lambda self, network, batch: broken * 1)
        with pytest.raises(FloatingPointError, match=r"The loss of pass 0 is nan, on path .*backbone\.0"):
            pretrain_supernet(settings(), images, tmp_path, recipe)


def test_a_found_backbone_learns_to_tell_the_classes(
    images: ImageClasses, recipe: PretrainingRecipe, tmp_path: Path
) -> None:
    how = settings()
    architecture = hand_made(Supernet(build(how.network_for(2, 2), 0)).space)
    longer = replace(recipe, passes=60, batch_size=9, learning_rate=1e-2, jitter=0.0, label_smoothing=0.0)
    found = pretrain(how, architecture, images, tmp_path, longer)
    assert found.accuracies[0].architecture is None
    assert found.accuracies[0].top1 > 70
    assert json.loads((tmp_path / "accuracy.json").read_text())[0]["top1"] == found.accuracies[0].top1


def test_networks_begin_with_the_pretrained_supernet(
    images: ImageClasses, recipe: PretrainingRecipe, datasets: Datasets, tmp_path: Path
) -> None:
    found = pretrain_supernet(settings(), images, tmp_path, recipe)
    how = settings(init=str(found.backbone), init_part="backbone")
    check_start(how, datasets.train.categories)
    config = network_config(how, datasets.train.categories, searched=True)
    architecture = hand_made(Supernet(build(config, 0)).space)
    begun = started(how, config, architecture, Path()).state_dict()
    whole = Classifier(backbone_config(how), 3, 16, 0.2)
    whole.backbone.load_state_dict(state(found.backbone))
    part = Architecture({label: option for label, option in architecture.items() if label.startswith("backbone.")})
    own = Supernet(whole).subnet(part).state_dict()
    names = [name for name in begun if name.startswith("backbone.")]
    assert names
    assert all(torch.equal(begun[name], own[name]) for name in names)


def test_a_found_backbone_starts_its_own_architecture_alone(
    images: ImageClasses, recipe: PretrainingRecipe, datasets: Datasets, tmp_path: Path
) -> None:
    categories = datasets.train.categories
    space = Supernet(build(network_config(settings(), categories), 0)).space
    architecture = hand_made(space)
    found = pretrain(settings(), architecture, images, tmp_path, recipe)
    how = settings(init=str(found.backbone), init_part="backbone")
    config = network_config(how, categories, searched=True)
    check_start(how, categories, architecture)
    # The heads may differ.
    heads = space.canonical({**architecture, "mask.0": "dw5"})
    for wanted in (architecture, heads):
        begun = started(how, config, wanted, Path()).state_dict()
        own = state(found.backbone)
        assert all(torch.equal(begun[f"backbone.{name}"], value) for name, value in own.items())
    other = space.canonical({**architecture, "backbone.1": "xception3"})
    differs = (
        r"init: .*backbone\.pt: it holds the backbone of another architecture, which differs in 1 of 6 choices, such"
    )
    with pytest.raises(ValueError, match=differs + r" as backbone\.1 \(shuffle3, not xception3\)"):
        check_start(how, categories, other)
    with pytest.raises(ValueError, match=differs):
        started(how, config, other, Path())
    with pytest.raises(ValueError, match="the backbone of one architecture alone, and a search compares several"):
        check_start(how, categories)
    wide = settings(**{"init": str(found.backbone), "init_part": "backbone", "network.stem_width": 6})
    with pytest.raises(ValueError, match=r"of another shape.*stem"):
        check_start(wide, categories, architecture)


def test_costs_of_options_add_up_to_those_of_the_network(recipe: PretrainingRecipe) -> None:
    classifier = Classifier(backbone_config(settings()), 1000, 16, 0.0)
    paths = binned_paths(classifier, recipe, 0)
    assert isinstance(paths.cost, OptionCosts)
    flops = FlopCount(Supernet(classifier), torch.zeros(1, 3, 32, 32), unit=1e6)
    for step in range(6):
        path = paths.path(step)
        assert paths.cost(path) == pytest.approx(flops(path))
        low, high = paths.bin(step)
        assert low <= flops(path) < high + 1e-9


def test_the_found_backbone_of_the_paper_has_its_tail_and_cost() -> None:
    config = PanopticConfig.coco(searched=True)
    architecture = load_shipped("coco_3.8g")
    part = Architecture({label: option for label, option in architecture.items() if label.startswith("backbone.")})
    with torch.device("meta"):
        supernet = Supernet(Classifier(config, 1000, 1728, 0.2))
        own = supernet.subnet(part, inherit=False)
        whole = new_network(config, architecture)
    assert {n: v.shape for n, v in own.backbone.state_dict().items()} == {  # type: ignore[union-attr, operator]
        n: v.shape for n, v in whole.backbone.state_dict().items()
    }
    tail = sum(p.numel() for name, p in own.named_parameters() if not name.startswith("backbone."))
    assert tail == 1728 * 1728 + 2 * 1728 + 1728 * 1000 + 1000


def test_accuracy_counts_the_five_highest() -> None:
    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(()))

        def forward(self, images: Tensor) -> Tensor:
            return torch.arange(8.0).repeat(len(images), 1) * self.scale

    pixels = torch.zeros((2, 3, 1, 1), dtype=torch.uint8)
    batches = [ImageBatch(pixels, torch.tensor(labels), IMAGENET) for labels in ([7, 3], [2, 0])]
    found = accuracy(Logits(), batches)
    assert (found.top1, found.top5) == (25.0, 50.0)
    with pytest.raises(ValueError, match="there are no images"):
        accuracy(Logits(), [])
