from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from autopanoptic.nas import Architecture, LayerChoice, ModelSpace, Repeat, SearchSpace, Supernet


def sample_of(supernet: Supernet, architecture: Architecture) -> dict[str, Any]:
    """Return NNI's form of an architecture, which names inactive choices too."""
    return {
        label: site.values[architecture.get(label, next(iter(site.values)))] for label, site in supernet.sites.items()
    }


def random_architectures(supernet: Supernet, count: int, seed: int = 0) -> list[Architecture]:
    rng = np.random.default_rng(seed)
    return [supernet.space.sample(rng) for _ in range(count)]


def test_space_of_a_network(supernet: Supernet) -> None:
    space = supernet.space
    assert space == SearchSpace.from_module(supernet.module)
    assert space["depth"].options == (1, 2, 3)
    assert space["scaled"].conditions == ()
    assert space["op0"].conditions == ()
    assert space["op1"].conditions == (("depth", (2, 3)),)
    assert space["op2"].conditions == (("depth", (3,)),)
    assert space["inner1"].conditions == (("op1", ("nested",)),)
    assert space["merge"].options == ("0", "1", "2", "0+1", "0+2", "1+2", "0+1+2")
    assert [choice.label for choice in space.choices].count("gate") == 1
    block = 4  # one, three, nested with two inner options
    assert space.size == 2 * (block + block**2 + block**3) * block * 2 * 7


def test_activate_equals_nnis_freeze(supernet: Supernet, images: Tensor) -> None:
    supernet.module.eval()
    for architecture in random_architectures(supernet, 200):
        assert supernet.activate(architecture) == architecture == supernet.active
        frozen = supernet.module.freeze(sample_of(supernet, architecture))  # type: ignore[operator]
        torch.testing.assert_close(supernet(images), frozen(images), rtol=0, atol=0)


def test_subnet_equals_the_path(supernet: Supernet, images: Tensor) -> None:
    supernet.module.eval()
    for architecture in random_architectures(supernet, 100, seed=1):
        network = supernet.subnet(architecture)
        supernet.activate(architecture)
        assert torch.equal(network(images), supernet(images))
        assert not any(isinstance(module, (LayerChoice, Repeat)) for module in network.modules())
        own = {id(p) for module in supernet.active_modules() for p in module.parameters(recurse=False)}
        assert len(list(network.parameters())) == len(own)


def test_subnet_has_its_own_weights(supernet: Supernet, images: Tensor) -> None:
    before = copy.deepcopy(supernet.module.state_dict())
    architecture = random_architectures(supernet, 1)[0]
    network = supernet.subnet(architecture).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    network(images).square().sum().backward()
    optimizer.step()
    assert all(torch.equal(value, before[name]) for name, value in supernet.module.state_dict().items())
    assert all(p.grad is None for p in supernet.module.parameters())
    ours = {tensor.data_ptr() for tensor in (*supernet.module.parameters(), *supernet.module.buffers())}
    assert not any(tensor.data_ptr() in ours for tensor in (*network.parameters(), *network.buffers()))


def test_subnet_leaves_the_active_path(supernet: Supernet) -> None:
    first, second = random_architectures(supernet, 2)
    supernet.activate(first)
    supernet.subnet(second)
    assert supernet.active == first


def test_subnet_keeps_modes_and_gradient_flags(supernet: Supernet) -> None:
    supernet.module.train()
    supernet.module.get_submodule("shared.op.three.1").eval()
    supernet.module.get_submodule("stem").requires_grad_(False)
    network = supernet.subnet({**supernet.active, "op9": "three"})
    assert network.training
    assert not network.get_submodule("shared.op.1").training
    assert [name for name, p in network.named_parameters() if not p.requires_grad] == ["stem.weight", "stem.bias"]


def test_subnet_from_scratch_follows_torchs_generator(supernet: Supernet, images: Tensor) -> None:
    architecture = random_architectures(supernet, 1)[0]
    networks = []
    for seed in (1, 1, 2):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            networks.append(supernet.subnet(architecture, inherit=False).eval())
    first, same, other = (network(images) for network in networks)
    assert torch.equal(first, same)
    assert not torch.allclose(first, other)


def test_subnet_state_dict_is_that_of_the_class(supernet: Supernet) -> None:
    for architecture in random_architectures(supernet, 10):
        trained, fresh = supernet.subnet(architecture), supernet.subnet(architecture, inherit=False)
        fresh.load_state_dict(trained.state_dict())
        assert list(trained.state_dict()) == list(fresh.state_dict())


def test_activate_refuses_and_stays(supernet: Supernet, images: Tensor) -> None:
    supernet.module.eval()
    supernet.activate(random_architectures(supernet, 1)[0])
    active, before = supernet.active, supernet(images)
    for wrong, message in [
        ({**active, "op0": "five"}, "no option 'five'"),
        ({**active, "wings": 2}, "no choice 'wings'"),
        ({"op0": "one"}, "lacks choice"),
    ]:
        with pytest.raises(ValueError, match=message):
            supernet.activate(wrong)
        with pytest.raises(ValueError, match=message):
            supernet.subnet(wrong)
        assert supernet.active == active
        assert torch.equal(supernet(images), before)


def test_activate_drops_inactive_choices(supernet: Supernet) -> None:
    values = {choice.label: choice.options[-1] for choice in supernet.space.choices}
    found = supernet.activate({**values, "depth": 1, "op0": "one"})
    assert not {"op1", "op2", "inner0", "inner1", "inner2"} & found.keys()


def test_activate_allocates_no_tensor(supernet: Supernet) -> None:
    from torch.utils._python_dispatch import TorchDispatchMode

    class Nothing(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            raise AssertionError(f"{function} was called")

    pointers = [tensor.data_ptr() for tensor in supernet.module.state_dict().values()]
    with Nothing():
        for architecture in random_architectures(supernet, 50):
            supernet.activate(architecture)
    assert [tensor.data_ptr() for tensor in supernet.module.state_dict().values()] == pointers


def test_module_under_two_names_is_switched_everywhere(supernet: Supernet) -> None:
    network = supernet.subnet({**supernet.active, "op9": "three", "gate": 1})
    assert network.get_submodule("shared.op.1") is network.get_submodule("again.op.1")
    assert isinstance(network.get_submodule("again.gate"), nn.Sigmoid)


def test_tied_choices_switch_together(supernet: Supernet, images: Tensor) -> None:
    for option, kind in ((0, nn.ReLU), (1, nn.Sigmoid)):
        network = supernet.subnet({**supernet.active, "depth": 1, "gate": option})
        gates = [module for name, module in network.named_modules() if name.endswith("gate")]
        assert len(gates) == 2  # one of the body, one of the block with two names
        assert all(isinstance(gate, kind) for gate in gates)


def test_active_modules_come_once(supernet: Supernet) -> None:
    supernet.activate({**supernet.active, "op9": "three"})
    modules = list(supernet.active_modules())
    assert len(modules) == len({id(module) for module in modules})
    assert supernet.module.get_submodule("shared.op.three.1") in modules
    assert supernet.module.get_submodule("shared.op.one") not in modules


def test_supernet_can_be_copied_and_sent(supernet: Supernet, images: Tensor) -> None:
    import cloudpickle

    supernet.module.eval()
    first, second = random_architectures(supernet, 2)
    supernet.activate(first)
    expected = supernet(images)
    for other in (copy.deepcopy(supernet), cloudpickle.loads(cloudpickle.dumps(supernet))):
        other.activate(second)
        other.activate(first)
        assert torch.equal(other(images), expected)
        supernet.activate(second)
        assert torch.equal(other(images), expected)


def test_meta_has_the_space_and_no_memory(supernet: Supernet) -> None:
    meta = supernet.meta()
    assert meta.space == supernet.space
    assert all(tensor.is_meta for tensor in (*meta.module.parameters(), *meta.module.buffers()))


def test_a_bare_tensor_as_inputs_is_refused(supernet: Supernet) -> None:
    with pytest.raises(TypeError, match=r"give \[example\], not the example itself"):
        Supernet(supernet.module, torch.zeros(1, 1, 8, 8))


def test_network_that_is_no_model_space() -> None:
    with pytest.raises(TypeError, match="must derive from ModelSpace, not Linear"):
        Supernet(nn.Linear(2, 2))


# Networks that cannot be built again


class TakesModule(ModelSpace):
    def __init__(self, stem: nn.Module) -> None:
        super().__init__()
        self.stem = stem
        self.op = LayerChoice([nn.Identity(), nn.ReLU()], label="op")

    def forward(self, x: Tensor) -> Tensor:
        return self.op(self.stem(x))


def test_module_given_as_an_argument_is_refused_where_it_would_be_shared() -> None:
    supernet = Supernet(TakesModule(nn.Linear(2, 2)))
    weight = supernet.module.get_parameter("stem.weight")
    for build in (supernet.subnet, lambda a: supernet.subnet(a, inherit=False), lambda a: supernet.meta()):
        with pytest.raises(RuntimeError, match="TakesModule was given a module or a parameter as an argument"):
            build({"op": 1})
    assert supernet.module.get_parameter("stem.weight") is weight
    assert isinstance(Supernet(TakesModule(nn.ReLU())).subnet({"op": 1}), TakesModule)


class ReadsTensors(ModelSpace):
    def __init__(self) -> None:
        super().__init__()
        rates = torch.linspace(0, 0.5, 2).tolist()
        self.op = LayerChoice([nn.Dropout(rate) for rate in rates], label="op")


def test_constructor_that_reads_tensors_is_told_how_to_do_without() -> None:
    supernet = Supernet(ReadsTensors())
    with pytest.raises(RuntimeError, match=r"ReadsTensors cannot be built without memory.*numpy"):
        supernet.subnet({"op": 1})
    assert isinstance(supernet.subnet({"op": 1}, inherit=False).op, nn.Dropout)


class Grows(ModelSpace):
    made = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).made += 1
        self.op = LayerChoice([nn.Linear(2, 2), nn.Linear(2, 2)], label="op")
        self.extra = nn.Linear(2, type(self).made)


def test_class_that_builds_something_else_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"subnet's extra.weight does not fit the supernet's path"):
        Supernet(Grows()).subnet({"op": 1})


class Tied(ModelSpace):
    """Two layers with one weight, in a choice."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Linear(3, 3)
        self.op = LayerChoice({"own": nn.Linear(3, 3), "same": nn.Linear(3, 3)}, label="op")
        tied = self.op["same"] if isinstance(self.op, LayerChoice) else self.op
        tied.weight = self.encode.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.op(self.encode(x))


def test_tied_weights_stay_tied() -> None:
    supernet = Supernet(Tied())
    network: Any = supernet.subnet({"op": "same"})
    assert network.op.weight is network.encode.weight
    assert network.encode.weight is not supernet.module.get_parameter("encode.weight")


def test_nested_model_spaces() -> None:
    class Inner(ModelSpace):
        def __init__(self) -> None:
            super().__init__()
            self.op = LayerChoice({"a": nn.Identity(), "b": nn.ReLU()}, label="inner")

        def forward(self, x: Tensor) -> Tensor:
            return self.op(x)

    class Outer(ModelSpace):
        def __init__(self) -> None:
            super().__init__()
            self.op = LayerChoice({"inner": Inner(), "plain": nn.Tanh()}, label="outer")

        def forward(self, x: Tensor) -> Tensor:
            return self.op(x)

    supernet = Supernet(Outer())
    x = torch.tensor([-1.0, 1.0])
    assert supernet.space.size == 3
    network = supernet.subnet({"outer": "inner", "inner": "b"})
    assert network(x).tolist() == [0, 1]


def test_networks_are_built_in_several_threads(supernet: Supernet, images: Tensor) -> None:
    from concurrent.futures import ThreadPoolExecutor

    supernet.module.eval()
    architectures = random_architectures(supernet, 24)
    expected = []
    for architecture in architectures:
        supernet.activate(architecture)
        expected.append(supernet(images))
    networks = [type(supernet.module)] * 24

    def build(architecture: Architecture) -> list[str]:
        return list(Supernet(networks[0]()).subnet(architecture, inherit=False).state_dict())

    with ThreadPoolExecutor(6) as pool:
        built = list(pool.map(build, architectures))
    assert built == [list(supernet.subnet(architecture).state_dict()) for architecture in architectures]


def test_choices_within_a_choice_of_one_option_are_made_wherever_that_is() -> None:
    class Nested(ModelSpace):
        def __init__(self) -> None:
            super().__init__()
            inner = LayerChoice({"a": nn.Linear(1, 1), "b": nn.Identity()}, label="inner")
            middle = LayerChoice({"x": inner, "y": nn.Identity()}, label="middle")
            self.outer = LayerChoice({"only": middle}, label="outer")

    space = Supernet(Nested()).space
    assert [(choice.label, choice.conditions) for choice in space.choices] == [
        ("outer", ()),
        ("middle", ()),
        ("inner", (("middle", ("x",)),)),
    ]
    assert space.size == 3


class Aliased(ModelSpace):
    """What runs is the list, and what is trained the parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.op = LayerChoice({"a": nn.Linear(3, 4), "b": nn.Linear(3, 4)}, label="op")
        self.scale, self.shift = nn.Parameter(torch.ones(4)), nn.Parameter(torch.zeros(4))
        self.affine = [self.scale, {"shift": self.shift}]

    def forward(self, x: Tensor) -> Tensor:
        scale, shift = self.affine
        assert isinstance(scale, Tensor)
        assert isinstance(shift, dict)
        scaled: Tensor = self.op(x) * scale + shift["shift"]
        return scaled


def test_a_list_of_parameters_holds_those_of_the_subnet() -> None:
    network = Supernet(Aliased()).subnet({"op": "a"})
    network(torch.ones(2, 3)).sum().backward()
    assert {name for name, one in network.named_parameters() if one.grad is None} == set()
    assert isinstance(network, Aliased)
    assert network.affine[0] is network.scale


class Normed(ModelSpace):
    """The hooks of torch set the weight at each forward pass, as a tensor that is no parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.op = LayerChoice({"a": nn.utils.spectral_norm(nn.Linear(3, 4)), "b": nn.Linear(3, 4)}, label="op")

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.op(x)
        return found


def test_weights_that_a_forward_pass_has_made_are_no_obstacle() -> None:
    supernet, x = Supernet(Normed()), torch.rand(2, 3)
    supernet.activate({"op": "a"})
    supernet(x).sum().backward()
    network = supernet.subnet({"op": "a"}).eval()
    supernet.module.eval()
    assert torch.equal(network(x), supernet(x))
    network(x).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
