from __future__ import annotations

import copy
import io
from typing import Any

import cloudpickle
import lightning
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from autopanoptic.nas import (
    AdditiveCost,
    Architecture,
    ElasticConv2d,
    ElasticLayer,
    ElasticLinear,
    FlopCount,
    InputChoice,
    Kernel,
    LayerChoice,
    ModelSpace,
    ParameterCount,
    ProcessExecutor,
    RandomSearch,
    Repeat,
    Search,
    SearchSpace,
    Supernet,
    SupernetEvaluator,
    SupernetModule,
    Width,
    recalibrated,
)


def random_architectures(supernet: Supernet, count: int, seed: int = 0) -> list[Architecture]:
    rng = np.random.default_rng(seed)
    return [supernet.space.sample(rng) for _ in range(count)]


def test_space_of_an_elastic_network(elastic: Supernet) -> None:
    space = elastic.space
    assert space == SearchSpace.from_module(elastic.module)
    assert space["width"].options == (4, 8, 16)
    assert [space[label].conditions for label in ("width", "side", "out", "kernel", "inner0")] == [()] * 5
    assert space["inner1"].conditions == (("depth", (2,)),)
    assert space["kernel0"].conditions == (("filter0", ("depthwise",)), ("filter0", ("twice",)))
    assert space["stage_width"].conditions == (("branch", ("stage",)),)
    assert space["innerstage0"].conditions == (("stage_depth", (1,)),)


def test_subnet_equals_the_slice(elastic: Supernet, pictures: Tensor) -> None:
    elastic.module.eval()
    counts = []
    for architecture in random_architectures(elastic, 400):
        network = elastic.subnet(architecture)
        elastic.activate(architecture)
        assert torch.equal(network(pictures), elastic(pictures))
        assert not any(isinstance(module, (ElasticLayer, LayerChoice, Repeat)) for module in network.modules())
        counts.append(sum(parameter.numel() for parameter in network.parameters()))
    assert len(set(counts)) > 300


def test_subnet_has_its_own_memory_and_flags(elastic: Supernet, pictures: Tensor) -> None:
    elastic.module.train()
    elastic.module.get_submodule("mix").requires_grad_(False)
    elastic.module.get_submodule("norm").eval()
    for name in ("largest", "random"):
        architecture = random_architectures(elastic, 1)[0] if name == "random" else largest(elastic)
        network = elastic.subnet(architecture)
        ours = {tensor.data_ptr() for tensor in (*elastic.module.parameters(), *elastic.module.buffers())}
        assert not any(tensor.data_ptr() in ours for tensor in (*network.parameters(), *network.buffers()))
        assert [name for name, p in network.named_parameters() if not p.requires_grad] == ["mix.weight", "mix.bias"]
        assert network.training
        assert not network.get_submodule("norm").training


def largest(supernet: Supernet) -> Architecture:
    return supernet.space.canonical({choice.label: choice.options[-1] for choice in supernet.space.choices})


def test_counts_are_those_of_the_subnet(elastic: Supernet, pictures: Tensor) -> None:
    flops, parameters = FlopCount(elastic, pictures[:1]), ParameterCount(elastic)
    for architecture in random_architectures(elastic, 10, seed=1):
        network = elastic.subnet(architecture)
        assert parameters(architecture) == sum(p.numel() for p in network.parameters())
        assert flops(architecture) == flops_of(network, pictures[:1])


def flops_of(network: nn.Module, images: Tensor) -> float:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(images)
    return counter.get_total_flops() / 2


def test_activate_allocates_no_tensor(elastic: Supernet) -> None:
    from torch.utils._python_dispatch import TorchDispatchMode

    class Nothing(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            raise AssertionError(f"{function} was called")

    pointers = [tensor.data_ptr() for tensor in elastic.module.state_dict().values()]
    with Nothing():
        for architecture in random_architectures(elastic, 50):
            assert elastic.activate(architecture) == architecture == elastic.active
    assert [tensor.data_ptr() for tensor in elastic.module.state_dict().values()] == pointers


def test_activate_refuses_and_stays(elastic: Supernet, pictures: Tensor) -> None:
    elastic.module.eval()
    elastic.activate(largest(elastic))
    before = elastic(pictures)
    with pytest.raises(ValueError, match="'width' has no option 5"):
        elastic.activate({**elastic.active, "width": 5})
    assert torch.equal(elastic(pictures), before)


def test_copies_switch_on_their_own(elastic: Supernet, pictures: Tensor) -> None:
    elastic.module.eval()
    first, second = random_architectures(elastic, 2)
    elastic.activate(first)
    before = elastic(pictures)
    for other in (
        copy.deepcopy(elastic),
        cloudpickle.loads(cloudpickle.dumps(elastic)),
        Supernet(copy.deepcopy(elastic.module)),
    ):
        other.activate(second)
        assert torch.equal(elastic(pictures), before)
        found = other(pictures)
        elastic.activate(second)
        assert torch.equal(elastic(pictures), found)
        elastic.activate(first)


def test_weights_travel_as_plain_tensors(elastic: Supernet, elastic_class: type[ModelSpace], pictures: Tensor) -> None:
    file = io.BytesIO()
    torch.save(elastic.module.state_dict(), file)
    file.seek(0)
    other = Supernet(elastic_class())
    other.module.load_state_dict(torch.load(file, weights_only=True))
    for supernet in (elastic, other):
        supernet.activate(random_architectures(elastic, 1)[0])
        supernet.module.eval()
    assert torch.equal(other(pictures), elastic(pictures))


def test_meta_takes_no_memory(elastic: Supernet) -> None:
    meta = elastic.meta()
    assert all(tensor.is_meta for tensor in meta.module.state_dict().values())
    meta.activate(largest(elastic))
    assert meta(torch.zeros(3, 1, 8, 8, device="meta")).shape == (3, 3)
    assert elastic.active != meta.active


def test_recalibration_is_of_the_slice_and_is_put_back(elastic: Supernet, pictures: Tensor) -> None:
    architecture = random_architectures(elastic, 1, seed=3)[0]
    elastic.activate(architecture)
    before = {name: value.clone() for name, value in elastic.module.state_dict().items()}
    alone = Supernet.subnet(elastic, architecture).eval()
    for module in alone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
            module.train()
    with torch.no_grad():
        alone(pictures)
    elastic.module.eval()
    with recalibrated(elastic, [pictures]):
        assert torch.equal(elastic(pictures), alone.eval()(pictures))
    assert all(torch.equal(value, before[name]) for name, value in elastic.module.state_dict().items())


class Pair(ModelSpace):
    """Two layers with what is given between them."""

    def __init__(self, first: Any, second: Any) -> None:
        super().__init__()
        self.first, self.second = first(), second()

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (
            lambda: ElasticLinear(2, Width("w", [2, 4])),
            lambda: ElasticLinear(Width("w", [2, 8]), 2),
            r"'w' stands for \[2, 4\] and for \[2, 8\]",
        ),
        (
            lambda: LayerChoice([nn.Identity(), nn.Identity()], label="w"),
            lambda: ElasticLinear(Width("w", [2, 4]), 2),
            "'w' stands for",
        ),
        (
            lambda: Repeat(lambda _: nn.Identity(), (1, 3), label="w"),
            lambda: ElasticLinear(Width("w", [1, 2, 3]), 2),
            "'w' stands for a Repeat and a Width",
        ),
        (
            lambda: ElasticConv2d(1, Width("w", [1, 3]), Kernel("w", [1, 3])),
            nn.Identity,
            "'w' stands for a Width and a Kernel",
        ),
        (
            lambda: ElasticLinear(2, Width("w", [2, 4], weights=[1, 2])),
            lambda: ElasticLinear(Width("w", [2, 4]), 2),
            "weights",
        ),
    ],
)
def test_labels_that_clash(first: Any, second: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Supernet(Pair(first, second))


def test_objects_of_one_label_are_one_choice() -> None:
    supernet = Supernet(
        Pair(lambda: ElasticLinear(2, Width("w", [2, 4])), lambda: ElasticLinear(Width("w", [4, 2]), 3))
    )
    assert supernet.space.size == 2
    for option in (4, 2):
        supernet.activate({"w": option})
        assert torch.equal(supernet(torch.ones(1, 2)), supernet.subnet({"w": option})(torch.ones(1, 2)))


def test_a_width_with_one_option() -> None:
    supernet = Supernet(Pair(lambda: ElasticLinear(2, Width("w", [4])), lambda: nn.Linear(4, 3)))
    assert supernet.space.size == 1
    assert torch.equal(supernet.subnet({"w": 4})(torch.ones(1, 2)), supernet(torch.ones(1, 2)))


class Branches(ModelSpace):
    """Two elastic branches of which one is taken, and one that always is."""

    def __init__(self) -> None:
        super().__init__()
        a, b, c = Width("a", [2, 4]), Width("b", [2, 4]), Width("c", [2, 4])
        self.stem = ElasticLinear(2, c)
        self.left = nn.Sequential(ElasticLinear(c, a), nn.ReLU(), ElasticLinear(a, 3))
        self.right = nn.Sequential(ElasticLinear(c, b), nn.ReLU(), ElasticLinear(b, 3))
        self.take = InputChoice(2, 1, label="take")

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.take([self.left(x), self.right(x)])


def test_the_width_of_a_branch_that_is_not_taken_is_no_choice() -> None:
    supernet = Supernet(Branches(), inputs=[torch.zeros(1, 2)])
    assert supernet.space["a"].conditions == (("take", (0,)),)
    assert supernet.space["b"].conditions == (("take", (1,)),)
    assert all("c" in architecture for architecture in supernet.space)
    flops, parameters = FlopCount(supernet), ParameterCount(supernet)
    for architecture in supernet.space:
        c, branch = int(architecture["c"]), int(architecture["a" if architecture["take"] == 0 else "b"])
        assert flops(architecture) == 2 * c + c * branch + branch * 3
        assert parameters(architecture) == (2 + 1) * c + (c + 1) * branch + (branch + 1) * 3


def test_additive_costs_refuse_what_does_not_add_up(elastic: Supernet) -> None:
    with pytest.raises(ValueError, match="is conditional, so its options add no fixed amount"):
        AdditiveCost(elastic.space, FlopCount(elastic, torch.zeros(1, 1, 8, 8)))
    supernet = Supernet(Chained())
    example = torch.zeros(1, 2)
    for cost in (FlopCount(supernet, example), ParameterCount(supernet)):
        with pytest.raises(ValueError, match=r"ElasticLinear 'layers\.1' is no sum .*Width\('a'.* and Width\('b'"):
            AdditiveCost(supernet.space, cost)
    alone = Supernet(Alone())
    flops = FlopCount(alone, example)
    additive = AdditiveCost(alone.space, flops)
    assert all(additive(architecture) == flops(architecture) for architecture in alone.space)


class Alone(ModelSpace):
    """A width that meets itself alone."""

    def __init__(self) -> None:
        super().__init__()
        a, b = Width("a", [2, 4, 7]), Width("b", [2, 4])
        self.layers = nn.Sequential(ElasticLinear(2, a), ElasticLinear(a, a), ElasticLinear(a, 5), ElasticLinear(5, b))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Chained(ModelSpace):
    """Two widths that meet in one layer, whose cost is their product."""

    def __init__(self) -> None:
        super().__init__()
        a, b = Width("a", [2, 4]), Width("b", [2, 4])
        self.layers = nn.Sequential(ElasticLinear(2, a), ElasticLinear(a, b), ElasticLinear(b, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


@pytest.mark.slow
def test_workers_evaluate_paths_of_their_own_copy(elastic: Supernet, pictures: Tensor) -> None:
    elastic.module.eval()

    def total(network: nn.Module) -> dict[str, float]:
        return {"value": float(network(pictures).sum())}

    evaluator = SupernetEvaluator(elastic, total, recalibrate_with=[pictures])
    result = Search(elastic.space, RandomSearch(), evaluator, executor=ProcessExecutor(1)).run(trials=3)
    for trial in result.history.completed:
        assert trial.metrics == evaluator.evaluate(trial.architecture, lambda step, metrics: None)


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:GPU available but not used")
@pytest.mark.filterwarnings("ignore:.*LeafSpec.* is deprecated:FutureWarning")
def test_training_by_lightning_updates_the_slices_of_a_cycle(elastic_class: type[ModelSpace]) -> None:
    supernet = Supernet(elastic_class())
    smallest = supernet.space.canonical({choice.label: choice.options[0] for choice in supernet.space.choices})

    class Only:
        cycle = 2

        def path(self, step: int) -> Architecture:
            return smallest if step % 2 else supernet.space.canonical({**smallest, "width": 8})

    before = copy.deepcopy(supernet.module.state_dict())
    module = SupernetModule(
        supernet,
        lambda network, batch: network(batch).square().mean(),
        lambda parameters: torch.optim.SGD(parameters, lr=0.1),
        Only(),
        accumulate=True,
        divide_rates=True,
    )
    trainer = lightning.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, DataLoader(torch.randn(8, 1, 8, 8), batch_size=4))
    moved = supernet.module.state_dict()["stem.0.weight"] != before["stem.0.weight"]
    assert moved[:8, :, 2:5, 2:5].all()
    assert not moved[8:].any()
    assert not moved[:, :, :2].any()
