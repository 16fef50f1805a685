"""The weights with which the compared networks begin."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from autopanoptic.nas import Architecture, Supernet
from autopanoptic.panoptic.configs.config import load_config
from autopanoptic.panoptic.data.categories import Categories
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.data.loading.normalization import IMAGENET, Normalization
from autopanoptic.panoptic.model.network import PanopticNetwork
from autopanoptic.panoptic.model.weights import save_weights, with_own_classes
from autopanoptic.panoptic.results.saved import save_network
from autopanoptic.panoptic.results.usage import Usage
from autopanoptic.panoptic.search.strategies import hand_made
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.stages import checks
from autopanoptic.panoptic.stages.checks import check_settings
from autopanoptic.panoptic.stages.networks import build, network_config, usage_of
from autopanoptic.panoptic.stages.starts import check_start, start_of, started

SCENES = load_config("scenes")


def settings(**changes: Any) -> Settings:
    return load_config("scenes", changes)


@pytest.fixture(scope="module")
def trained(datasets: Datasets) -> PanopticNetwork:
    """A supernet with other weights than those that seed 0 draws."""
    return build(network_config(SCENES, datasets.train.categories), seed=7)


@pytest.fixture(scope="module")
def architecture(trained: PanopticNetwork) -> Architecture:
    return hand_made(Supernet(trained).space)


def begun(how: Settings, architecture: Architecture, datasets: Datasets, supernet: Path = Path()) -> dict[str, Tensor]:
    check_start(how, datasets.train.categories)
    config = network_config(how, datasets.train.categories, searched=True)
    return started(how, config, architecture, supernet).state_dict()


def equal(found: dict[str, Tensor], other: PanopticNetwork, part: str = "") -> list[bool]:
    """Whether the parameters that are drawn, not set, are those of another network."""
    theirs = other.state_dict()
    return [torch.equal(value, theirs[name]) for name, value in found.items() if value.dim() > 1 and part in name]


def test_whole_supernets_give_each_path_its_weights(
    trained: PanopticNetwork, architecture: Architecture, datasets: Datasets, tmp_path: Path
) -> None:
    save_weights(trained, tmp_path / "supernet.pt")
    own = Supernet(trained).subnet(architecture)
    found = begun(settings(init=str(tmp_path / "supernet.pt")), architecture, datasets)
    assert all(torch.equal(value, found[name]) for name, value in own.state_dict().items())
    same = begun(settings(init="supernet"), architecture, datasets, tmp_path / "supernet.pt")
    assert all(torch.equal(value, found[name]) for name, value in same.items())
    drawn = begun(settings(init="scratch"), architecture, datasets)
    assert not any(equal(drawn, own, "backbone"))  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["whole", "named", "alone", "state_dict", "model"])
def test_a_backbone_comes_from_any_file_that_holds_it(
    form: str, architecture: Architecture, datasets: Datasets, tmp_path: Path
) -> None:
    # Of other classes and heads, as one that was trained on other data is.
    other = build(load_config("scenes", {"network.mask_layers": 1}).network_for(9, 4), seed=5)
    path = tmp_path / "weights.pt"
    state = other.state_dict()
    named = {name: value for name, value in state.items() if name.startswith("backbone.")}
    alone = {name.removeprefix("backbone."): value for name, value in named.items()}
    uncounted = {name: value for name, value in alone.items() if not name.endswith("num_batches_tracked")}
    assert len(uncounted) < len(alone)
    torch.save(
        {"whole": state, "named": named, "alone": uncounted, "state_dict": {"state_dict": alone, "epoch": 3},
         "model": {"model": named}}[form], path,
    )  # fmt: skip
    found = begun(settings(init=str(path), init_part="backbone"), architecture, datasets)
    theirs = Supernet(other)
    own = theirs.subnet(hand_made(theirs.space)).state_dict()
    taken = [torch.equal(value, own[name]) for name, value in found.items() if name.startswith("backbone.")]
    assert taken
    assert all(taken)
    drawn = build(network_config(SCENES, datasets.train.categories), seed=SCENES.seed)
    rest = Supernet(drawn).subnet(architecture).state_dict()
    assert all(torch.equal(value, rest[name]) for name, value in found.items() if not name.startswith("backbone."))


def test_files_that_do_not_fit_are_refused_before_the_training(
    trained: PanopticNetwork, architecture: Architecture, datasets: Datasets, tmp_path: Path
) -> None:
    def refused(content: object, message: str, **changes: Any) -> None:
        torch.save(content, tmp_path / "w.pt")
        with pytest.raises(ValueError, match=message):
            check_start(settings(init=str(tmp_path / "w.pt"), **changes), datasets.train.categories)

    state = trained.state_dict()
    one = Supernet(trained).subnet(architecture).state_dict()
    refused(one, r"init: .*w\.pt does not hold the weights of every option of .*: \d+ missing, such as ")
    refused(one, r"every option of the backbone: \d+ missing, such as ", init_part="backbone")
    some = dict(list(state.items())[:-2])
    names = ", ".join(sorted(list(state)[-2:]))
    refused(some, rf"2 missing: {names}\. For its backbone alone take init_part: backbone")
    refused({**state, "backbone.extra": torch.zeros(1)}, r"1 unknown: backbone\.extra")
    first = next(name for name in state if name.startswith("backbone."))
    refused({**state, first: torch.zeros(3)}, rf"1 of another shape: {first} is \(3,\), not \(")
    refused({**state, first: torch.zeros(3)}, r"1 of another shape", init_part="backbone")
    refused([1], "it is a list, not a state dict")
    refused({"a": 1}, "missing")
    (tmp_path / "w.pt").write_bytes(b"PK\x03\x04")
    with pytest.raises(ValueError, match=r"w\.pt \(4 bytes\) is damaged"):
        check_start(settings(init=str(tmp_path / "w.pt")), datasets.train.categories)


def test_networks_that_are_made_otherwise_cannot_start_from_the_supernet(datasets: Datasets) -> None:
    wider = settings(init="supernet", retrained_network={"box_hidden": 256})
    with pytest.raises(ValueError, match=r"init: .* cannot start .*: 6 of another shape.*, not \(256, .*init: scratch"):
        check_start(wider, datasets.train.categories)
    check_start(settings(init="scratch", retrained_network={"box_hidden": 256}), datasets.train.categories)
    check_start(settings(init="supernet", retrained_network={"mask_threshold": 0.4}), datasets.train.categories)


BGR: dict[str, Any] = {"order": "bgr", "mean": [103.53, 116.28, 123.675], "std": [1.0, 1.0, 1.0]}


def test_images_are_normalised_as_the_config_says_from_the_training_to_the_saved_network(datasets: Datasets) -> None:
    how = settings(**{"data.normalization": BGR, "data.short_side": 64})
    expected = Normalization((103.53, 116.28, 123.675), (1.0, 1.0, 1.0), "bgr")
    usage = usage_of(how, datasets.train.categories)
    assert how.transform(how.retrain).normalization == usage.transform.normalization == expected
    assert settings().transform().normalization == IMAGENET


@pytest.mark.parametrize("backbone", ["resnet50", "efficientnet-lite0"])
def test_known_weights_of_other_images_are_refused(backbone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "require_backbone", lambda *_: None)
    how = settings(**{"data.normalization": BGR, "network.backbone": backbone})
    with pytest.raises(ValueError, match=rf"data\.normalization is not ImageNet's, .* backbone {backbone} .*; leave"):
        check_settings(how)
    with pytest.raises(ValueError, match=r"data\.normalization\.mean \[123.* but order is bgr: give mean and std"):
        settings(**{"data.normalization": {"order": "bgr"}})
    with pytest.raises(ValueError, match=r"data\.normalization.*std must hold positive numbers, not \[1\.0, 0\.0"):
        settings(**{"data.normalization": {**BGR, "std": [1.0, 0.0, 1.0]}})


def test_titles_say_how_they_began() -> None:
    assert start_of(settings(init="scratch")) == "from scratch"
    assert start_of(settings(init="supernet")) == "from the supernet's weights"
    assert start_of(settings(init="a/w.pt")) == "from w.pt"
    assert start_of(settings(init="a/w.pt", init_part="backbone")) == "from the backbone in w.pt"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"init": "nowhere.pt"}, r"init: nowhere\.pt is neither scratch, supernet, pretrained nor a file of weights: "),
        ({"data.path": "nowhere"}, "nowhere: there is no such folder"),
        ({"data.scenes": None}, r"data\.path is missing"),
    ],
)
def test_what_is_missing_is_refused_before_a_run_begins(changes: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        check_settings(load_config("scenes", changes))


def of_classes(things: int, stuff: int, seed: int = 5) -> PanopticNetwork:
    return build(SCENES.network_for(things, stuff), seed=seed)


@pytest.mark.parametrize(
    ("things", "stuff", "left_out"),
    [
        (0, 0, []),
        (2, 0, ["roi_heads.box_predictor.classes", "roi_heads.box_predictor.boxes", "roi_heads.mask_predictor.2"]),
        (0, 2, [f"segmentation.score.blocks.{index}" for index in range(3)]),
    ],
)
def test_other_classes_keep_all_but_their_layers_and_say_which(
    things: int, stuff: int, left_out: list[str], architecture: Architecture, datasets: Datasets, tmp_path: Path
) -> None:
    categories = datasets.train.categories
    other = of_classes(len(categories.things) + things, len(categories.stuff) + stuff)
    save_weights(other, tmp_path / "supernet.pt")
    how = settings(init=str(tmp_path / "supernet.pt"))
    assert list(check_start(how, categories)) == left_out
    found = begun(how, architecture, datasets)
    theirs = Supernet(other).subnet(architecture).state_dict()
    drawn = Supernet(of_classes(len(categories.things), len(categories.stuff), SCENES.seed)).subnet(architecture)
    for name, value in found.items():
        own = name.rpartition(".")[0] in {one.partition(".blocks.")[0] for one in left_out}
        assert torch.equal(value, (drawn.state_dict() if own else theirs)[name]), name


@pytest.mark.parametrize("kind", [{"other_things": True}, {"other_stuff": True}])
def test_heads_that_score_all_classes_are_left_out_where_any_of_them_are_others(kind: dict[str, bool]) -> None:
    config = {"search.space": "auto-panoptic", "network.model": "bgrnet"}
    with torch.device("meta"):
        own, found = (dict(PanopticNetwork(settings(**config).network_for(3, 2)).state_dict()) for _ in range(2))
    state, left_out = with_own_classes(own, found, **kind)
    expected = {name for name in own if ".classes." in name and not name.startswith("roi_heads.")}
    assert expected == {f"{part}.classes.{name}" for part in ("segmentation", "graph") for name in ("weight", "bias")}
    assert all((state[name] is own[name]) == (name.rpartition(".")[0] in left_out) for name in own)
    assert {name.rpartition(".")[0] for name in expected} <= set(left_out)
    assert ("roi_heads.box_predictor.classes" in left_out) == ("other_things" in kind)


def test_a_saved_network_starts_one_of_the_same_architecture(
    trained: PanopticNetwork, architecture: Architecture, datasets: Datasets, tmp_path: Path
) -> None:
    categories, config = datasets.train.categories, network_config(SCENES, datasets.train.categories, searched=True)
    network = Supernet(trained).subnet(architecture)
    assert isinstance(network, PanopticNetwork)
    renamed = Categories([replace(one, name=f"x{one.name}") if one.isthing else one for one in categories])
    save_network(network, architecture, tmp_path, Usage(categories))
    how = settings(init=str(tmp_path / "weights.pt"))
    assert check_start(how, categories, architecture) == ()
    found = started(how, config, architecture, Path(), categories).state_dict()
    assert all(torch.equal(value, found[name]) for name, value in network.state_dict().items())
    # As many classes of other names are other classes.
    assert len(check_start(how, renamed, architecture)) == 3
    kept = started(how, config, architecture, Path(), renamed).state_dict()
    assert not torch.equal(
        kept["roi_heads.box_predictor.classes.weight"], found["roi_heads.box_predictor.classes.weight"]
    )
    assert torch.equal(kept["segmentation.score.weight"], found["segmentation.score.weight"])
    label = next(label for label in architecture if label.startswith("f2b."))
    with pytest.raises(ValueError, match=rf"architecture, which differs in 1 choices, such as {label} \(r4, not"):
        check_start(how, categories, Architecture({**architecture, label: "r8"}))
    with pytest.raises(ValueError, match="does not hold the weights of every option"):
        check_start(how, categories)


def test_weights_of_the_published_code_start_a_network_by_their_own_names(datasets: Datasets, tmp_path: Path) -> None:
    """Its backbone's first convolution shows that they are recognised; what is missing is named as there."""
    how = settings(init=str(tmp_path / "w.pth"), init_part="backbone", **{"search.space": "auto-panoptic"})
    torch.save({"model": {"module.backbone.body.first_conv.conv.weight": torch.zeros(16, 3, 3, 3)}}, tmp_path / "w.pth")
    architecture = hand_made(Supernet(build(network_config(how, datasets.train.categories), 0)).space)
    with pytest.raises(ValueError, match=r"w\.pth: under .* \d+ missing, such as backbone\.body\.features\.0\.conv"):
        check_start(how, datasets.train.categories, architecture)
