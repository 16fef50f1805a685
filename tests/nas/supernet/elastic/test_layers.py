from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from autopanoptic.nas import (
    Concat,
    ElasticBatchNorm2d,
    ElasticConv2d,
    ElasticGroupNorm,
    ElasticLinear,
    Kernel,
    Width,
)

LAYERS: list[tuple[Any, type[nn.Module], tuple[Any, ...], dict[str, Any]]] = [
    (ElasticConv2d, nn.Conv2d, (3, 8, 3, 2, 1), {"bias": False, "padding_mode": "reflect"}),
    (ElasticConv2d, nn.Conv2d, (4, 8, (3, 5)), {"padding": "same", "groups": 2}),
    (ElasticLinear, nn.Linear, (3, 8), {"bias": False}),
    (ElasticBatchNorm2d, nn.BatchNorm2d, (3, 1e-3), {"momentum": None}),
    (ElasticGroupNorm, nn.GroupNorm, (2, 4), {"affine": False}),
]


def images(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("elastic", "plain", "args", "keywords"), LAYERS)
def test_of_numbers_they_are_torchs(elastic: Any, plain: Any, args: Any, keywords: Any) -> None:
    networks = []
    for kind in (elastic, plain):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            networks.append(kind(*args, **keywords))
    assert [type(network) for network in networks] == [plain, plain]
    assert repr(networks[0]) == repr(networks[1])
    for name, value in networks[0].state_dict().items():
        assert torch.equal(value, networks[1].state_dict()[name])


def test_depthwise_of_numbers() -> None:
    conv = ElasticConv2d(4, 8, 3, groups="depthwise")
    assert type(conv) is nn.Conv2d
    assert conv.groups == 4


def test_the_largest_layer_is_initialised_as_torchs() -> None:
    width = Width("w", [2, 4])
    pairs = [
        (lambda: ElasticConv2d(3, width, 3), lambda: nn.Conv2d(3, 4, 3)),
        (lambda: ElasticConv2d(width, width, Kernel("k", [3, 5])), lambda: nn.Conv2d(4, 4, 5)),
        (lambda: ElasticLinear(width * 9, 2), lambda: nn.Linear(36, 2)),
        (lambda: ElasticBatchNorm2d(width), lambda: nn.BatchNorm2d(4)),
        (lambda: ElasticGroupNorm(2, width), lambda: nn.GroupNorm(2, 4)),
    ]
    for ours, torchs in pairs:
        states = []
        for make in (ours, torchs):
            with torch.random.fork_rng():
                torch.manual_seed(0)
                states.append(make().state_dict())
        assert list(states[0]) == list(states[1])
        assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


@pytest.mark.parametrize("option", [2, 4])
def test_a_convolution_is_a_slice(option: int) -> None:
    given, made, kernel = Width("a", [3, 6]), Width("b", [2, 4]), Kernel("k", [3, 7])
    conv = ElasticConv2d(given, made, kernel, stride=2, padding=kernel // 2)
    given._active, made._active, kernel._active = 3, option, 3
    x = images(2, 3, 9, 9)
    expected = functional.conv2d(x, conv.weight[:option, :3, 2:5, 2:5], conv.bias[:option], 2, 1)
    assert torch.equal(conv(x), expected)
    assert torch.equal(
        conv(x[0]), functional.conv2d(x[0], conv.weight[:option, :3, 2:5, 2:5], conv.bias[:option], 2, 1)
    )


def test_gradients_stay_inside_of_the_slice() -> None:
    width, kernel = Width("w", [2, 4]), Kernel("k", [1, 3])
    layers = nn.Sequential(
        ElasticConv2d(1, width, kernel, padding=kernel // 2), ElasticBatchNorm2d(width), ElasticGroupNorm(2, width),
        nn.Flatten(), ElasticLinear(width * 4, 3),
    )  # fmt: skip
    width._active, kernel._active = 2, 1
    layers(images(5, 1, 2, 2)).square().sum().backward()
    conv, batch_norm, group_norm, _, linear = layers
    inside = torch.zeros(4, 1, 3, 3, dtype=torch.bool)
    inside[:2, :, 1, 1] = True
    assert conv.weight.grad[~inside].count_nonzero() == 0
    assert conv.weight.grad[inside].count_nonzero() == 2
    assert linear.weight.grad[:, 8:].count_nonzero() == 0
    assert linear.weight.grad[:, :8].count_nonzero() == 24
    for norm in (batch_norm, group_norm):
        assert norm.weight.grad[2:].count_nonzero() == norm.bias.grad[2:].count_nonzero() == 0
        assert norm.bias.grad[:2].count_nonzero() == 2


@pytest.mark.parametrize("momentum", [0.1, None])
def test_statistics_move_in_the_slice_alone(momentum: float | None) -> None:
    a, b = Width("a", [1, 3]), Width("b", [2, 4])
    for size, active in [(a, [0]), (Concat(a, b), [0, 3, 4]), (b * 2, [0, 1, 2, 3])]:
        a._active, b._active = 1, 2
        ours, torchs = ElasticBatchNorm2d(size, momentum=momentum), nn.BatchNorm2d(len(active), momentum=momentum)
        for seed in range(3):
            x = torch.randn(4, len(active), 3, 3, generator=torch.Generator().manual_seed(seed))
            assert torch.equal(ours(x), torchs(x))
        assert torch.equal(ours.running_mean[active], torchs.running_mean)
        assert torch.equal(ours.running_var[active], torchs.running_var)
        assert ours.num_batches_tracked == torchs.num_batches_tracked == 3
        left = [index for index in range(size.largest) if index not in active]
        assert ours.running_mean[left].count_nonzero() == 0
        assert bool((ours.running_var[left] == 1).all())
        assert torch.equal(ours.eval()(x), torchs.eval()(x))


def test_a_norm_runs_twice_before_the_gradient() -> None:
    """Writing the statistics of all channels of a concatenation back must not spoil what the gradient needs."""
    norm = ElasticBatchNorm2d(Concat(Width("a", [2, 3]), 1))
    (norm(norm(images(3, 4, 2, 2)))).sum().backward()
    assert norm.weight.grad is not None


def test_norms_without_weights_or_statistics() -> None:
    width = Width("w", [2, 4])
    width._active = 2
    x = images(3, 2, 4, 4)
    bare = ElasticBatchNorm2d(width, affine=False, track_running_stats=False).eval()
    assert torch.equal(bare(x), nn.BatchNorm2d(2, affine=False, track_running_stats=False)(x))
    assert torch.equal(ElasticGroupNorm(4, width, affine=False)(x), functional.group_norm(x, 2))


def test_groups_keep_their_size() -> None:
    width = Width("w", [4, 12])
    norm = ElasticGroupNorm(6, width)
    x = images(2, 12, 3, 3)
    assert torch.equal(norm(x), functional.group_norm(x, 6, norm.weight, norm.bias))
    width._active = 4
    assert torch.equal(norm(x[:, :4]), functional.group_norm(x[:, :4], 2, norm.weight[:4], norm.bias[:4]))


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("padding", [1, (2, 1), "same", "valid"])
def test_padding_as_torchs(mode: Any, padding: Any) -> None:
    width = Width("w", [2, 3])
    width._active = 2
    ours = ElasticConv2d(2, width, (3, 5), padding=padding, padding_mode=mode, dilation=(1, 2))
    torchs = nn.Conv2d(2, 2, (3, 5), padding=padding, padding_mode=mode, dilation=(1, 2))
    torchs.weight.data, torchs.bias.data = ours.weight.data[:2], ours.bias.data[:2]
    x = images(2, 2, 9, 12)
    assert torch.equal(ours(x), torchs(x))


@pytest.mark.parametrize(("mode", "padding"), [("zeros", "same"), ("reflect", "same"), ("circular", "kernel // 2")])
def test_kernels_keep_the_size_of_the_image(mode: Any, padding: str) -> None:
    kernel = Kernel("k", [1, 3, 5])
    conv = ElasticConv2d(1, 2, kernel, padding=padding if padding == "same" else kernel // 2, padding_mode=mode)
    for option in kernel.options:
        kernel._active = option
        assert conv(images(1, 1, 7, 8)).shape == (1, 2, 7, 8)


def test_channels_that_disagree_are_named() -> None:
    width = Width("w", [2, 4])
    layers = [
        (ElasticConv2d(width, 3, 1), images(1, 2, 3, 3)),
        (ElasticConv2d(width, width, 1, groups="depthwise"), images(1, 3, 3, 3)),
        (ElasticBatchNorm2d(width * 2), images(1, 4, 3, 3)),
        (ElasticGroupNorm(3, Concat(width, 2)), images(1, 4, 3, 3)),
        (ElasticLinear(width, 3), images(1, 2)),
    ]
    for layer, x in layers:
        with pytest.raises(ValueError, match=rf"An {type(layer).__name__} takes .*Width\('w', \[2, 4\]\).*given"):
            layer(x)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda w: ElasticConv2d(w // 4, 2, 1), "in_channels .* would be 0"),
        (lambda w: ElasticLinear(2, w // 4), "out_features .* would be 0"),
        (lambda w: ElasticConv2d(w, w, 1, groups=2), "Use 1 group"),
        (lambda w: ElasticConv2d(w, 8, 1, groups="depthwise"), "out_channels = 8 has not 2 channels"),
        (lambda w: ElasticConv2d(w, Width("other", [2, 4]), 1, groups="depthwise"), "out_channels"),
        (lambda w: ElasticConv2d(w * 3, w * 2, 1, groups=w * 2), "not divisible"),
        (
            lambda w: ElasticGroupNorm(2, Width("odd", [2, 3, 4])),
            r"groups of 4 channels .* 3, an option of Width",
        ),
        (lambda w: ElasticGroupNorm(3, w), "4 channels cannot be 3 groups"),
        (lambda w: ElasticGroupNorm(2, Concat(w, Width("x", [1, 4]))), "2, an option of Width"),
    ],
)
def test_sizes_that_do_not_fit(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(Width("w", [2, 4]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda w, k: ElasticConv2d(1, 2, w), "kernel_size must be a number, two numbers or a Kernel, not Width"),
        (lambda w, k: ElasticConv2d(w, 2, (k, 1)), r"kernel_size must be a number, two numbers or a Kernel, not \(Ker"),
        (lambda w, k: ElasticConv2d(w, 2, k, padding=(k // 2, 0)), "padding must be as torch's or one size, such as"),
        (lambda w, k: ElasticConv2d(w, 2, 3, stride=k), "stride must be a number or two, not Kernel"),
        (lambda w, k: ElasticConv2d(w, 2, 3, dilation=(1, k)), r"dilation must be a number or two, not \(1, Kernel"),
        (lambda w, k: ElasticConv2d(k * 2, w, 3), r"in_channels must be a whole number or a Width, not Kernel.* \* 2"),
        (lambda w, k: ElasticConv2d(w, 2.5, 3), "out_channels must be a whole number or a Width, not 2.5"),
        (lambda w, k: ElasticConv2d(w, w, 3, groups="dw"), "groups must be a whole number or a Width, not 'dw'"),
        (lambda w, k: ElasticLinear("w", w), "in_features must be a whole number or a Width, not 'w'"),
    ],
)
def test_arguments_of_another_kind(make: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make(Width("w", [2, 4]), Kernel("k", [3, 5]))


def test_lower_precision() -> None:
    width = Width("w", [2, 4])
    layers = nn.Sequential(ElasticConv2d(1, width, 3), ElasticBatchNorm2d(width), nn.Flatten(), ElasticLinear(width, 2))
    width._active = 2
    with torch.autocast("cpu", torch.bfloat16):
        found = layers(images(2, 1, 3, 3))
    assert found.dtype == torch.bfloat16
    found.float().sum().backward()
    assert layers.double()(images(2, 1, 3, 3).double()).dtype == torch.float64


def test_names_of_parameters_are_torchs() -> None:
    width = Width("w", [2, 4])
    layers = nn.Sequential(ElasticConv2d(1, width, Kernel("k", [3, 5])), ElasticBatchNorm2d(width))
    torchs = nn.Sequential(nn.Conv2d(1, 4, 5), nn.BatchNorm2d(4))
    torchs.load_state_dict(layers.state_dict())
    assert list(torchs.state_dict()) == list(layers.state_dict())


def test_repr_has_the_widths() -> None:
    text = repr(ElasticLinear(Width("w", [2, 4]) * 9, 3))
    assert text == "ElasticLinear(weight=(3, Width('w', [2, 4]) * 9), bias=(3))"
