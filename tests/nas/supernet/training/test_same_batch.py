"""The sandwich rule and in-place distillation: all paths of a cycle on one batch."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from autopanoptic.nas import (
    Architecture,
    ElasticLinear,
    FairPaths,
    ModelSpace,
    PairwiseRanking,
    SandwichPaths,
    SoftLabels,
    Supernet,
    SupernetModule,
    UniformPaths,
    Width,
)
from tests.training import (
    LARGEST,
    SMALLEST,
    assert_same,
    cost,
    fit,
    loss,
    new_batches,
    new_supernet,
    pair,
    plain,
    sandwich,
    sgd,
)  # fmt: skip

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:GPU available but not used"),
    # Lightning's own use of torch
    pytest.mark.filterwarnings("ignore:.*LeafSpec.* is deprecated:FutureWarning"),
]


def module(optimizer: Any = sgd, paths: Any = None, **options: Any) -> SupernetModule:
    supernet = new_supernet()
    options.setdefault("same_batch", True)
    used = paths(supernet.space) if paths else sandwich(supernet)
    return SupernetModule(supernet, options.pop("loss", loss), optimizer, used, **options)


def gradients_by_hand(training: SupernetModule, x: Tensor, first: int) -> list[dict[str, Tensor]]:
    """The gradient of each path of a cycle on one batch, taken alone."""
    found = []
    for step in range(first, first + 4):
        training.supernet.activate(training.paths.path(step))
        training.network.zero_grad()
        loss(training.network, (x,)).backward()
        named = training.network.named_parameters()
        found.append({name: p.grad.clone() for name, p in named if p.grad is not None})
    training.network.zero_grad()
    return found


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_step_takes_the_gradients_of_all_paths_on_one_batch(tmp_path: Path, reduction: str) -> None:
    training, reference = module(plain, reduction=reduction), module(plain)
    batches = new_batches(3)
    trainer = fit(training, batches, tmp_path)
    assert training.passes == 12
    assert trainer.global_step == 3
    for number, x in enumerate(batches):
        each = gradients_by_hand(reference, x, 4 * number)
        assert set(each[0]) != set(each[1]), "the ends of the sandwich share no layer"
        for name, p in reference.network.named_parameters():
            own = [gradients[name] for gradients in each if name in gradients]
            if own:
                p.data -= 0.1 * torch.stack(own).sum(0) / (4 if reduction == "mean" else 1)
    assert_same(training.network, reference.network)


def test_a_cycle_on_one_batch_is_not_a_cycle_of_batches(tmp_path: Path) -> None:
    one, several = module(), module(same_batch=False, accumulate=True)
    batches = new_batches(4)
    fit(one, batches[:1], tmp_path)
    fit(several, batches, tmp_path)
    assert one.passes == several.passes == 4
    with pytest.raises(AssertionError):
        assert_same(one.network, several.network)
    same = module(same_batch=False, accumulate=True)
    fit(same, batches[:1] * 4, tmp_path)
    assert_same(one.network, same.network)


@pytest.mark.parametrize("switches", [{}, {"distillation": True}, {"distillation": True, "divide_rates": True}])
@pytest.mark.parametrize("stop", [1, 5])
def test_resumed_training_equals_the_uninterrupted_one_bit_for_bit(
    tmp_path: Path, switches: dict[str, bool], stop: int
) -> None:
    def halving(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
        return torch.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.5)

    def make() -> SupernetModule:
        ranking = PairwiseRanking(cost, weight=lambda step: step / 40)
        return module(loss=SoftLabels(pair), scheduler=halving, clip=0.5, ranking=ranking, **switches)

    batches = new_batches(8)
    whole, first, second = make(), make(), make()
    fit(whole, batches, tmp_path)
    trainer = fit(first, batches[:stop], tmp_path)
    trainer.save_checkpoint(tmp_path / "cut.ckpt")
    fit(second, batches[stop:], tmp_path, resume=tmp_path / "cut.ckpt", max_epochs=2)
    assert second.passes == whole.passes == 32
    assert_same(second.network, whole.network, exactly=True)


def test_the_losses_of_both_ends_and_of_the_others_are_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logged: dict[str, float] = {}
    monkeypatch.setattr(SupernetModule, "log", lambda _, name, value, **__: logged.update({name: float(value)}))
    training, reference = module(), module()
    (x,) = new_batches(1)
    each = []
    for step in range(4):
        reference.supernet.activate(reference.paths.path(step))
        each.append(loss(reference.network, (x,)).item())
    fit(training, [x], tmp_path)
    assert logged == pytest.approx(
        {"loss": sum(each) / 4, "loss_largest": each[0], "loss_smallest": each[1], "loss_random": sum(each[2:]) / 2}
    )


def test_the_largest_path_teaches_the_others(tmp_path: Path) -> None:
    training, reference = module(plain, loss=SoftLabels(pair), distillation=True), module(plain)
    (x,) = new_batches(1)
    supernet, network = reference.supernet, reference.network
    soft = None
    for step in range(4):
        supernet.activate(reference.paths.path(step))
        logits, labels = pair(network, (x,))
        if soft is None:
            soft = logits.detach().softmax(1)
            functional.cross_entropy(logits, labels).div(4).backward()
        else:
            (-(soft * logits.log_softmax(1)).sum(1).mean() / 4).backward()
    for p in network.parameters():
        if p.grad is not None:
            p.data -= 0.1 * p.grad
    fit(training, [x], tmp_path)
    assert_same(training.network, network)


class Leaky(SoftLabels):
    """Hands on logits with their graph, among other things, and notes what the learners get."""

    def __init__(self) -> None:
        super().__init__(pair)
        self.got: list[Any] = []

    def teach(self, network: nn.Module, batch: Any) -> tuple[Tensor, Any]:
        logits, labels = pair(network, batch)
        return self.true(logits, labels), {"boxes": [3, None], "soft": (logits.softmax(1), "name")}

    def learn(self, network: nn.Module, batch: Any, knowledge: Any) -> Tensor:
        self.got.append(knowledge)
        return super().learn(network, batch, knowledge["soft"][0])


def test_what_a_teacher_hands_on_gets_no_gradient(tmp_path: Path) -> None:
    leaky = Leaky()
    training, right = (
        module(plain, loss=kind, distillation=True, paths=None) for kind in (leaky, SoftLabels(pair))
    )  # fmt: skip
    for each in (training, right):
        fit(each, new_batches(2), tmp_path)
    assert len(leaky.got) == 6
    assert all(got["boxes"] == [3, None] and got["soft"][1] == "name" for got in leaky.got)
    assert not any(got["soft"][0].requires_grad for got in leaky.got)
    assert leaky.got[0]["soft"][0] is leaky.got[2]["soft"][0], "one teacher a cycle"
    assert_same(training.network, right.network)


def test_without_the_switch_a_distilling_loss_is_a_plain_one(tmp_path: Path) -> None:
    soft, plainly = module(loss=SoftLabels(pair)), module()
    for each in (soft, plainly):
        fit(each, new_batches(3), tmp_path)
    assert_same(soft.network, plainly.network, exactly=True)


def test_rates_are_divided_by_the_uses_in_the_batch(tmp_path: Path) -> None:
    training, reference = module(plain, reduction="sum", divide_rates=True), module(plain)
    (x,) = new_batches(1)
    fit(training, [x], tmp_path)
    each = gradients_by_hand(reference, x, 0)
    for name, p in reference.network.named_parameters():
        own = [gradients[name] for gradients in each if name in gradients]
        if own:
            p.data -= 0.1 * torch.stack(own).mean(0)
    assert_same(training.network, reference.network)


def test_the_gradient_of_a_whole_cycle_is_clipped(tmp_path: Path) -> None:
    training, before = module(plain, clip=1e-3), module(plain)
    fit(training, new_batches(1), tmp_path)
    moved = [p - q for p, q in zip(training.network.parameters(), before.network.parameters(), strict=True)]
    assert torch.cat([m.flatten() for m in moved]).norm().item() == pytest.approx(0.1 * 1e-3, rel=1e-3)


def test_loss_that_is_not_finite_names_its_path_and_nothing_of_the_cycle_counts(tmp_path: Path) -> None:
    calls = []

    def diverging(network: nn.Module, batch: Any) -> Tensor:
        calls.append(1)
        return loss(network, batch) * (float("nan") if len(calls) == 7 else 1)

    training, clean = module(loss=diverging), module()
    path = training.paths.path(6)
    with pytest.raises(FloatingPointError, match=rf"loss of pass 6 is nan, on path {path.id} .*Lower the learning"):
        fit(training, new_batches(2), tmp_path)
    assert training.passes == 4
    # Half a cycle's gradients are left; going on with the same batch does not count them.
    fit(training, new_batches(2)[1:], tmp_path)
    fit(clean, new_batches(2)[:1], tmp_path)
    fit(clean, new_batches(2)[1:], tmp_path)
    assert_same(training.network, clean.network, exactly=True)


def test_a_training_does_not_go_on_inside_of_a_cycle(tmp_path: Path) -> None:
    begun = module(same_batch=False)
    trainer = fit(begun, new_batches(6), tmp_path)
    trainer.save_checkpoint(tmp_path / "cut.ckpt")
    with pytest.raises(ValueError, match="stands at pass 6, inside of a cycle of 4 paths"):
        fit(module(), new_batches(2), tmp_path, resume=tmp_path / "cut.ckpt", max_epochs=2)


def test_reduced_precision(tmp_path: Path) -> None:
    kinds: list[torch.dtype] = []

    def noted(network: nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
        logits, labels = pair(network, batch)
        kinds.append(logits.dtype)
        return logits, labels

    ranking = PairwiseRanking(cost)
    training = module(loss=SoftLabels(noted), distillation=True, ranking=ranking)
    before = copy.deepcopy(training.network)
    fit(training, new_batches(3), tmp_path, precision="bf16-mixed")
    assert set(kinds) == {torch.bfloat16}
    full = module(loss=SoftLabels(pair), distillation=True, ranking=ranking)
    fit(full, new_batches(3), tmp_path)
    for (name, p), q, start in zip(
        training.network.named_parameters(), full.network.parameters(), before.parameters(), strict=True
    ):
        assert p.dtype == torch.float32
        assert (p - q).abs().max() <= 0.1 * max(1e-3, (q - start).abs().max().item()), name


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"same_batch": False, "distillation": True}, ValueError, "distillation compares .* needs same_batch=True"),
        ({"same_batch": False, "ranking": PairwiseRanking(cost)}, ValueError, "ranking compares .* same_batch=True"),
        ({"same_batch": False, "divide_rates": True}, ValueError, "needs accumulate=True or same_batch=True"),
        ({"paths": UniformPaths}, ValueError, "needs a sampler of several paths a cycle.* cycles have 1"),
        ({"distillation": True}, TypeError, "methods teach and learn, such as SoftLabels, not <function loss"),
        (
            {"distillation": True, "loss": SoftLabels(pair), "paths": FairPaths},
            ValueError,
            "begins each with the largest and says so by its roles.* FairPaths has no roles",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        module(**options)


class OtherEnds(SandwichPaths):
    """Draws its largest end anew for each cycle, as where some choices have no largest option."""

    def path(self, step: int) -> Architecture:
        path = super().path(step)
        return path if step % self.cycle else Architecture({**path, "b": 1 + step // self.cycle % 2})


class Turned(SandwichPaths):
    """Begins with the smallest path, always the same."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.ends = self.ends[1], self.ends[0]
        self.roles = "smallest", "largest", *self.roles[2:]


def test_the_teacher_is_what_the_sampler_calls_the_largest() -> None:
    supernet = new_supernet()
    ends = LARGEST, SMALLEST
    switches: Any = {"same_batch": True, "distillation": True}
    changing = OtherEnds(supernet.space, *ends)
    assert changing.path(0) != changing.path(changing.cycle)
    SupernetModule(supernet, SoftLabels(pair), sgd, changing, **switches)
    with pytest.raises(ValueError, match=r"Turned has the roles \('smallest', 'largest', 'random', 'random'\)"):
        SupernetModule(supernet, SoftLabels(pair), sgd, Turned(supernet.space, *ends), **switches)


def test_a_ranking_of_those_that_learn_needs_two_of_them() -> None:
    supernet = new_supernet()
    short = sandwich(supernet, random=0)
    switches: Any = {"same_batch": True, "ranking": PairwiseRanking(cost)}
    SupernetModule(supernet, loss, sgd, short, **switches)
    with pytest.raises(ValueError, match="only one; it needs longer cycles"):
        SupernetModule(supernet, SoftLabels(pair), sgd, short, distillation=True, **switches)


def test_roles_of_the_paths() -> None:
    paths = sandwich(new_supernet())
    assert paths.roles == ("largest", "smallest", "random", "random")
    assert [paths.path(4), paths.path(5)] == [LARGEST, SMALLEST]


class Elastic(ModelSpace):
    def __init__(self) -> None:
        super().__init__()
        width = Width("width", [2, 4, 8])
        self.layers = nn.Sequential(ElasticLinear(4, width), nn.ReLU(), ElasticLinear(width, 2))

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.layers(x)
        return scores


@pytest.mark.parametrize("distillation", [False, True])
def test_slices_of_elastic_layers(tmp_path: Path, distillation: bool) -> None:
    """A cycle is one update of weights of which each path uses a prefix."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        supernet = Supernet(Elastic())
    paths = SandwichPaths(supernet.space, {"width": 8}, {"width": 2}, random=1, seed=1)
    assert paths.path(2) == {"width": 4}
    before = copy.deepcopy(supernet.module.state_dict())
    training = SupernetModule(
        supernet, SoftLabels(pair), plain, paths, same_batch=True, reduction="sum", distillation=distillation
    )  # fmt: skip
    (x,) = new_batches(1)
    weights = {name: value.clone().requires_grad_() for name, value in before.items()}
    _, labels = pair(nn.Identity(), (x,))
    total, soft = torch.zeros(()), None
    for step in range(3):
        n = int(paths.path(step)["width"])
        hidden = (x @ weights["layers.0.weight"][:n].T + weights["layers.0.bias"][:n]).relu()
        logits = hidden @ weights["layers.2.weight"][:, :n].T + weights["layers.2.bias"]
        wanted = labels if soft is None or not distillation else soft
        total = total + functional.cross_entropy(logits, wanted)
        soft = logits.detach().softmax(1) if soft is None else soft
    total.backward()
    fit(training, [x], tmp_path)
    for name, value in weights.items():
        assert value.grad is not None
        torch.testing.assert_close(supernet.module.get_parameter(name), before[name] - 0.1 * value.grad, msg=name)
