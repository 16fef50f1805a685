"""Exported networks compute what the network computes, and what does not is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from autopanoptic.nas.cli import app as program
from autopanoptic.panoptic.configs.models import MODELS
from autopanoptic.panoptic.data.coco.layout import Datasets
from autopanoptic.panoptic.data.loading.normalization import CAFFE_BGR
from autopanoptic.panoptic.export import export as exporting
from autopanoptic.panoptic.export import onnx_graphs
from autopanoptic.panoptic.export.checks import TOLERANCE, ExportError
from autopanoptic.panoptic.export.export import Export, export
from autopanoptic.panoptic.export.onnx_graphs import OnnxGraph
from autopanoptic.panoptic.export.programs import Program
from autopanoptic.panoptic.export.runtime import OnnxNetwork
from autopanoptic.panoptic.results.saved import load_network
from autopanoptic.panoptic.trained.images import batch_of
from autopanoptic.panoptic.trained.networks import load_trained
from autopanoptic.panoptic.trained.predict import recognise

SIZE = (56, 80)
"""No multiple of 32, so that the graph pads."""


def chosen(panoptic_head: str) -> dict[str, object]:
    """Of a network of the space of components that has UPSNet's semantic head, which its config does not say."""
    options = {"semantic_heads": "upsnet", "mask_heads": "plain", "fusions": "none", "panoptic_heads": panoptic_head}
    return {"space": "published", "sizes": "fixed", **{key: (name,) for key, name in options.items()}}


@pytest.fixture(scope="module")
def network(saved: Callable[..., Path]) -> Path:
    return saved()


@pytest.fixture(scope="module")
def exported(network: Path, tmp_path_factory: pytest.TempPathFactory) -> Export:
    pytest.importorskip("onnxruntime")
    out = tmp_path_factory.mktemp("out") / "all"
    return export(network, out, formats=("state-dict", "onnx"), size=SIZE, repeats=1)


def test_what_is_exported(exported: Export) -> None:
    graphs = ["dense.onnx", "boxes.onnx", "masks.onnx"]
    files = {*graphs, "weights.pt", "architecture.json", "config.json", "usage.json", "export.json"}
    assert {path.name for path in exported.folder.iterdir()} == files
    assert list(exported.graphs) == graphs
    assert exported.graphs["boxes.onnx"].inputs["rois"] == ["regions", 5]
    assert exported.graphs["dense.onnx"].inputs == {"images": ["images", 3, *SIZE]}
    for report in exported.graphs.values():
        assert report.difference <= TOLERANCE
        assert min(report.milliseconds, report.torch_milliseconds) > 0
    written = json.loads((exported.folder / "export.json").read_text())
    assert written == exported.to_json()
    assert written["images"]["fixed"] is True


def test_the_state_dict_is_a_networks_folder(network: Path, exported: Export) -> None:
    own, found = load_network(network).state_dict(), load_trained(exported.folder).network.state_dict()
    assert own.keys() == found.keys()
    assert all(torch.equal(own[name], found[name]) for name in own)


def assert_predicts_as(network: Path, folder: Path) -> None:
    trained, in_onnx = load_trained(network), OnnxNetwork(folder)
    generator = torch.Generator().manual_seed(3)
    images = torch.randint(0, 256, (3, 3, *SIZE), generator=generator).float()
    padded = torch.zeros((3, 3, 64, 96))
    for index, image in enumerate(images):
        padded[index, :, : SIZE[0], : SIZE[1]] = trained.usage.transform.normalization(image)
    originals = [SIZE, (112, 160), (31, 47)]
    expected = trained.network.predict(padded, [SIZE] * 3, originals, least_score=0.0)
    found = in_onnx.predict(images, originals, least_score=0.0)
    assert sum(len(one.scores) for one in expected) > 20
    assert max(len(one.semantic.unique()) for one in expected) > 1
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one.labels, other.labels)
        torch.testing.assert_close(one.boxes, other.boxes, atol=1e-3, rtol=0)
        torch.testing.assert_close(one.scores, other.scores, atol=1e-5, rtol=0)
        # A pixel whose probability is the threshold may fall on either side.
        assert (one.masks != other.masks).float().mean() < 1e-4
        assert (one.semantic != other.semantic).float().mean() < 1e-3


def test_onnx_predicts_what_the_network_predicts(network: Path, exported: Export) -> None:
    assert_predicts_as(network, exported.folder)


@pytest.mark.slow
@pytest.mark.parametrize("parts", [{**MODELS["upsnet"].parts, "panoptic_head": "merge"}, chosen("merge")])
def test_scores_of_all_classes_become_the_same_labels_in_onnx(
    parts: dict[str, object], saved: Callable[..., Path], tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    network = saved(**parts)
    assert_predicts_as(network, export(network, tmp_path / "out", formats=("onnx",), size=SIZE, repeats=1).folder)


def test_nothing_found_is_no_error(exported: Export) -> None:
    (found,) = OnnxNetwork(exported.folder).predict(torch.zeros(1, 3, *SIZE), [(20, 30)], least_score=1.0)
    assert found.masks.shape == (0, 20, 30)


def test_other_numbers_of_images_and_regions_than_traced(exported: Export, network: Path) -> None:
    """A dimension that a graph has only been traced with would be refused, or go wrong."""
    dense = OnnxGraph(exported.folder / "dense.onnx")
    maps = dense({"images": torch.full((3, 3, *SIZE), 100.0)})
    assert maps["p2"].shape[0] == 3
    rois = torch.tensor([[2.0, 3.0, 4.0, 40.0, 50.0]])
    inputs = {**{level: maps[level] for level in ("p2", "p3", "p4", "p5")}, "rois": rois}
    found = OnnxGraph(exported.folder / "masks.onnx")({**inputs, "labels": torch.tensor([1])})["masks"]
    assert found.shape == (1, 20, 20)
    logits = OnnxGraph(exported.folder / "boxes.onnx")(inputs)["class_logits"]
    heads = load_network(network).eval().roi_heads
    assert heads is not None
    with torch.no_grad():
        pooled = heads.box_roi_pool(maps, [rois[:0, 1:], rois[:0, 1:], rois[:, 1:]], [SIZE] * 3)
        torch.testing.assert_close(logits, heads.box_predictor(heads.box_head(pooled))[0], atol=1e-4, rtol=1e-4)


def test_an_image_of_another_size_is_resized(exported: Export, network: Path, datasets: Datasets) -> None:
    in_onnx = OnnxNetwork(exported.folder)
    image = datasets.val[0].image.permute(1, 2, 0).numpy()
    found, other = in_onnx.recognise(image), recognise(load_trained(network), image)
    assert found.size == other.size == image.shape[:2]
    assert {segment.category_id for segment in found.segments} & {segment.category_id for segment in other.segments}
    with pytest.raises(ValueError, match="exported for images of 56x80 pixels, not"):
        in_onnx.predict(torch.zeros(1, 3, 64, 64), [(64, 64)])


@pytest.mark.slow
def test_images_of_any_size_in_torch(saved: Callable[..., Path], tmp_path: Path) -> None:
    """Of a network without things, whose graph is small."""
    folder = saved(things=False)
    found = export(folder, tmp_path / "any", formats=["torch"], repeats=1)
    assert list(found.graphs) == ["dense.pt2"]
    assert (found.size, found.fixed) == ((192, 256), False)
    assert found.graphs["dense.pt2"].inputs == {"images": ["images", 3, "height", "width"]}
    program, trained = Program(found.folder / "dense.pt2"), load_trained(folder)
    for count, size in ((1, (96, 96)), (3, (128, 224))):
        images = torch.rand((count, 3, *size), generator=torch.Generator().manual_seed(1)) * 255
        seen = torch.stack([trained.usage.transform.normalization(image) for image in images])
        with torch.no_grad():
            expected = trained.network.dense(seen, [size] * count).segmentation
        torch.testing.assert_close(program({"images": images})["segmentation"], expected, atol=TOLERANCE, rtol=0)


@pytest.mark.slow
def test_images_of_any_size_in_onnx(saved: Callable[..., Path], tmp_path: Path, datasets: Datasets) -> None:
    pytest.importorskip("onnxruntime")
    folder = saved()
    in_onnx, trained = OnnxNetwork(export(folder, tmp_path / "any", repeats=1).folder), load_trained(folder)
    for size in ((96, 96), (128, 224)):
        images = torch.rand((2, 3, *size), generator=torch.Generator().manual_seed(1)) * 255
        seen = torch.stack([trained.usage.transform.normalization(image) for image in images])
        found = in_onnx.predict(images, [size] * 2)
        for one, other in zip(found, trained.network.predict(seen, [size] * 2, [size] * 2), strict=True):
            assert torch.equal(one.labels, other.labels)
            assert (one.masks != other.masks).float().mean() < 1e-4
            assert (one.semantic != other.semantic).float().mean() < 1e-3
    assert in_onnx.recognise(datasets.val[0].image.permute(1, 2, 0).numpy()).size == (64, 64)
    for size in ((64, 96), (96, 100)):
        with pytest.raises(ValueError, match="sides of at least 96 pixels, multiples of 32"):
            in_onnx.predict(torch.zeros(1, 3, *size), [size])


@pytest.mark.slow
@pytest.mark.parametrize("opset", [18, 20])
@pytest.mark.parametrize(
    "changes",
    [
        {"option": "at5"},
        {"option": "df5", "neck": "bifpn"},
        {"option": "dw5", "neck": "panet", "padding_ignored": False, "stuff": False},
        {"option": "df3", "space": "elastic"},
        {"option": "dw3", "backbone": "resnet50"},
        {"option": "dw3", "backbone": "efficientnet-lite0"},
        {"option": "dw3", "image_divisor": 64, "roi_aligned": True},
    ],
)
def test_every_kind_of_network(
    saved: Callable[..., Path], tmp_path: Path, changes: dict[str, object], opset: int
) -> None:
    pytest.importorskip("onnxruntime")
    found = export(saved(**changes), tmp_path, formats=("onnx", "torch"), opset=opset, repeats=1)
    assert len(found.graphs) == 6
    assert max(report.difference for report in found.graphs.values()) <= TOLERANCE


def test_packages_of_onnx_are_asked_for_before_anything_is_done(
    network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_graphs, "find_spec", lambda name: None if name == "onnxscript" else object())
    done = CliRunner().invoke(program, ["panoptic", "export", str(network), "--out", str(tmp_path / "out")])
    assert done.exit_code == 1
    assert 'ONNX needs onnxscript. Install it by: pip install "autopanoptic[onnx]"' in done.output
    assert not (tmp_path / "out").exists()


def test_a_failure_leaves_nothing_behind(network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(plan: object, path: Path) -> None:
        path.write_text("half of a graph")
        raise RuntimeError("no such operator\nand many lines more")

    monkeypatch.setattr(exporting, "write_program", fail)
    with pytest.raises(ExportError, match="dense cannot be exported to torch: RuntimeError: no such operator"):
        export(network, tmp_path, formats=["torch"], size=SIZE)
    assert list(tmp_path.iterdir()) == []
    assert export(network, tmp_path, formats=["state-dict"]).formats == ("state-dict",)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ExportError, match="dense cannot be exported"):
        export(network, tmp_path, formats=["torch"], size=SIZE)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before  # the earlier export is kept


def test_an_export_onto_itself_is_refused(network: Path, tmp_path: Path) -> None:
    export(network, tmp_path, formats=["state-dict"])
    with pytest.raises(ValueError, match="is the network that is to be exported, which would be overwritten"):
        export(tmp_path, tmp_path, formats=["state-dict"])
    assert load_network(tmp_path).config == load_network(network).config


def test_a_file_gets_no_module_imported(network: Path, exported: Export, tmp_path: Path) -> None:
    shutil.copytree(exported.folder, tmp_path, dirs_exist_ok=True)
    values = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**values, "imports": ["somebodys_module"]}))
    with pytest.raises(ValueError, match=r"parts of the module somebodys_module.*import what you trust before"):
        OnnxNetwork(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("export.json", b"{}", ValueError, "export.json is damaged: it does not say of which images"),
        ("export.json", b'{"images": {"fixed": true}}', ValueError, "export.json is damaged"),
        ("boxes.onnx", None, FileNotFoundError, "boxes.onnx: there is no such file"),
        ("boxes.onnx", b"torn", ValueError, "boxes.onnx cannot be opened by onnxruntime: "),
    ],
)
def test_damaged_exports_are_named(
    exported: Export, tmp_path: Path, name: str, content: bytes | None, error: type[Exception], message: str
) -> None:
    shutil.copytree(exported.folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=message):
        OnnxNetwork(tmp_path)


def test_an_earlier_export_is_replaced_as_a_whole(network: Path, tmp_path: Path) -> None:
    export(network, tmp_path, formats=["state-dict"])
    (tmp_path / "dense.onnx").write_text("of another network")
    assert export(network, tmp_path, formats=["state-dict"]).graphs == {}
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "architecture.json", "config.json", "export.json", "usage.json", "weights.pt",
    ]  # fmt: skip
    weights = network / "weights.pt"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:100])
    with pytest.raises(ValueError, match="is damaged"):
        export(network, tmp_path, formats=["state-dict"])
    weights.write_bytes(whole)
    assert (tmp_path / "weights.pt").exists()  # nothing is lost to a network that cannot be read
    with pytest.raises(FileExistsError, match="is not empty, and no earlier export"):
        export(network, network, formats=["state-dict"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "tflite"], "some of onnx, torch, state-dict are needed"),
        (["--size", "64"], "--size 64: give a height and a width in pixels, such as 480x640"),
        (["--size", "0x64"], "size=0x64: a height and a width of at least 1 pixel"),
        (["--opset", "11"], "opset=11: torch's exporter and the installed onnx know 18 to"),
        (["--opset", "99"], "opset=99: torch's exporter and the installed onnx know 18 to"),
        (["--repeats", "0"], "repeats=0: at least 1 is needed"),
        (["--network", "searched"], "is one network; names such as searched"),
    ],
)
def test_refusals(network: Path, tmp_path: Path, options: list[str], message: str) -> None:
    pytest.importorskip("onnx")
    done = CliRunner().invoke(program, ["panoptic", "export", str(network), "--out", str(tmp_path / "out"), *options])
    assert done.exit_code == 1
    assert message in done.output
    assert not (tmp_path / "out").exists()


def test_the_command(network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["panoptic", "export", str(network), "--out", "out", "--format", "state-dict"]
    done = CliRunner().invoke(program, arguments)
    assert done.exit_code == 0, done.output
    assert done.output == "Exported: mine to out\n"


@pytest.mark.parametrize("parts", [MODELS["upsnet"].parts, chosen("upsnet")])
def test_a_panoptic_head_of_the_networks_own_is_refused(
    parts: dict[str, object], saved: Callable[..., Path], tmp_path: Path
) -> None:
    network = saved(**parts)
    with pytest.raises(ExportError, match=r"the panoptic head 'upsnet' is not exported: .*--format state-dict"):
        export(network, tmp_path / "out", formats=("onnx",))
    assert not (tmp_path / "out" / "export.json").exists()
    assert export(network, tmp_path / "out", formats=("state-dict",)).graphs == {}


def test_a_network_of_bgr_images_sees_them_wherever_it_runs(saved: Callable[..., Path], tmp_path: Path) -> None:
    """Saved, read again, used on a picture and exported; its graphs take RGB as all others do."""
    pytest.importorskip("onnxruntime")
    trained = load_trained(saved(things=False, normalization=CAFFE_BGR))
    assert trained.usage.normalization == CAFFE_BGR
    image = torch.randint(0, 256, (3, *SIZE), generator=torch.Generator().manual_seed(3), dtype=torch.uint8)
    batch = batch_of(image.permute(1, 2, 0).numpy(), trained.usage.transform, 32)
    seen = image.flip(0).float() - torch.tensor(CAFFE_BGR.mean).view(3, 1, 1)
    torch.testing.assert_close(batch.images[0, :, : SIZE[0], : SIZE[1]], seen)
    exported = export(trained.folder, tmp_path / "out", formats=("onnx", "torch", "state-dict"), size=SIZE, repeats=1)
    assert load_trained(exported.folder).usage.normalization == CAFFE_BGR
    expected = trained.network.dense(batch.images, [SIZE]).segmentation
    graph = OnnxGraph(exported.folder / "dense.onnx")({"images": image[None].float()})["segmentation"]
    torch.testing.assert_close(graph, expected, atol=TOLERANCE, rtol=TOLERANCE)
