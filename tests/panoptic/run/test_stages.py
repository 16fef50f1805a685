"""The stages of a run, each by itself: together they are the whole run, and none begins without what it needs."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from autopanoptic.nas import Architecture, Result, Supernet
from autopanoptic.nas.storage.lock import LOCK, FileLock
from autopanoptic.panoptic.configs.config import change_settings, load_config, save_config
from autopanoptic.panoptic.results.backbones import backbone_part, save_backbone
from autopanoptic.panoptic.results.finalists import names_of, within_budget
from autopanoptic.panoptic.results.fronts import Fronts
from autopanoptic.panoptic.results.json_files import read_object
from autopanoptic.panoptic.results.saved import load_network
from autopanoptic.panoptic.run import retrain as retraining
from autopanoptic.panoptic.run.folder import Run
from autopanoptic.panoptic.run.prepare import prepare
from autopanoptic.panoptic.run.retrain import read_architecture, require_architecture, retrain
from autopanoptic.panoptic.run.screening import Screened
from autopanoptic.panoptic.run.search import search
from autopanoptic.panoptic.run.train_supernet import train_supernet
from autopanoptic.panoptic.search.architecture_files import shipped
from autopanoptic.panoptic.search.strategies import family
from autopanoptic.panoptic.stages.networks import build, network_config
from autopanoptic.panoptic.stages.pipeline import Pipeline
from autopanoptic.panoptic.trained.networks import find_networks
from autopanoptic.panoptic.training.recipe import Recipe

RECIPE = Recipe(passes=1, batch_size=1, warmup=0)
SETTINGS = load_config(
    "scenes",
    {
        "data.scenes": {"train": 2, "nas_val": 2, "val": 1},
        "largest": None,
        "supernet": replace(RECIPE, passes=2),
        "retrain": RECIPE,
        "search": {"trials": 4, "recalibration_batches": 1, "finalists": 2, "screened": 0},
        "machine": {"workers": 1, "supernet_processes": 1, "trainings": 1, "device": "cpu", "evaluation_batch": 1},
    },
)


def quiet() -> Console:
    return Console(file=io.StringIO(), width=200)


def printed(run: Run) -> str:
    return run.console.file.getvalue()  # type: ignore[attr-defined]


def weights(folder: Path, name: str) -> dict[str, torch.Tensor]:
    return dict(load_network(folder / "networks" / name).state_dict())


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose stages were programs of their own, up to the retraining."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("runs") / "staged"
    prepare(Run(SETTINGS, folder, quiet()))
    train_supernet(Run.open(folder, quiet()))
    search(Run.open(folder, quiet()))
    return folder


def test_a_search_alone_leaves_its_answer_and_compares_with_nothing(staged: Path) -> None:
    found = {path.name for path in staged.iterdir()}
    assert {"search.jsonl", "search.json", "history.png", "options.png", "front.json", "front.png"} <= found
    assert not {"random.jsonl", "val.jsonl", "networks", "metrics.json"} & found
    fronts = Fronts.load(staged)
    assert list(fronts.series) == ["searched", "hand-made"]
    assert Architecture.load(staged / "architecture.json") == fronts.chosen("searched").architecture


def test_a_search_that_has_ended_is_told_again_and_changes_no_file(staged: Path) -> None:
    names = ("search.jsonl", "family.jsonl", "search.json", "front.json", "architecture.json")
    before = {name: (staged / name).read_bytes() for name in names}
    run = Run.open(staged, quiet())
    search(run)
    assert {name: (staged / name).read_bytes() for name in names} == before
    assert f"answer ({Architecture.load(staged / 'architecture.json').id}): pq on nas_val" in printed(run)


def test_the_stages_one_by_one_are_the_whole_run(staged: Path, tmp_path: Path) -> None:
    whole, folder = tmp_path / "whole", Path(shutil.copytree(staged, tmp_path / "staged"))
    reports = Pipeline(SETTINGS, whole, quiet()).run()
    network = retrain(Run.open(folder, quiet()))
    assert find_networks(folder, ["searched", "searched-1", "searched-2"])
    assert not {"random", "hand-made"} & set(find_networks(folder))
    found = Architecture.load(folder / "architecture.json")
    assert found == reports["searched"].architecture
    for name in ("searched", "searched-1", "searched-2"):
        theirs, own = weights(whole, name), weights(folder, name)
        assert all(torch.equal(theirs[key], own[key]) for key in theirs), name
    assert all(torch.equal(value, weights(folder, "searched")[key]) for key, value in network.state_dict().items())
    # What came before is taken as it is by the run of all stages.
    kept = {path: path.read_bytes() for path in (folder / "networks").glob("searched*/weights.pt")}
    again = Pipeline(SETTINGS, folder, quiet()).run()
    assert {path: path.read_bytes() for path in kept} == kept
    assert {name: (one.architecture, one.quality) for name, one in again.items()} == {
        name: (one.architecture, one.quality) for name, one in reports.items()
    }
    assert (folder / "front.json").read_bytes() == (whole / "front.json").read_bytes()
    # And a search that is told again takes nothing of it away.
    search(Run.open(folder, quiet()))
    assert (folder / "front.json").read_bytes() == (whole / "front.json").read_bytes()
    assert Architecture.load(folder / "architecture.json") == found


def test_the_finalists_are_those_within_the_budget(staged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Architecture] = []

    class Stop(Exception):
        pass

    def finalists(run: Run, chosen: Screened, others: object) -> None:
        asked.extend(chosen.finalists)
        raise Stop

    monkeypatch.setattr(retraining, "train_finalists", finalists)
    with pytest.raises(Stop):
        retrain(Run.open(staged, quiet()))
    found = within_budget(Result.from_journal(staged / "search.jsonl"), Fronts.load(staged))
    assert asked == found.finalists(found.candidates, 2)
    assert set(names_of(asked)) == {"searched-1", "searched-2"}


def test_any_architecture_is_trained_under_a_name_of_its_own(tmp_path: Path) -> None:
    settings = change_settings(SETTINGS, {"init": "scratch"})
    run = Run(settings, tmp_path / "run", quiet())
    smallest, *_, largest = family(Supernet(build(network_config(settings, prepare(run).train.categories), 0)).space)
    smallest.save(tmp_path / "small.json")
    name, architecture = read_architecture(str(tmp_path / "small.json"))
    assert (name, architecture) == ("small", smallest)
    retrain(run, architecture, name)
    assert Architecture.load(run.folder / "networks" / "small" / "architecture.json") == smallest
    assert not (run.folder / "architecture.json").exists()
    # It is there: nothing is trained again, and another does not pass for it.
    before = weights(run.folder, "small")
    again = retrain(Run.open(run.folder, quiet()), architecture, name).state_dict()
    assert all(torch.equal(before[key], again[key]) for key in before)
    with pytest.raises(ValueError, match="holds another training"):
        retrain(Run.open(run.folder, quiet()), largest, name)


def test_a_stage_does_not_begin_without_what_it_needs(staged: Path, tmp_path: Path) -> None:
    run = Run(SETTINGS, tmp_path / "new", quiet())
    with pytest.raises(FileNotFoundError, match=r"has not trained its supernet; `.* train-supernet --name new` does"):
        search(run)
    with pytest.raises(FileNotFoundError, match=r"has not ended its search; `.* search --name new` does"):
        retrain(run)
    with pytest.raises(FileNotFoundError, match="has not trained its supernet"):  # from whose weights it would start
        retrain(run, Result.from_journal(staged / "search.jsonl").best.architecture, "other")
    assert not printed(run)
    assert not (run.folder / "config.yaml").exists()  # what was refused is not the latest run
    for name in ("search.json", "front.json"):
        open_search = Path(shutil.copytree(staged, tmp_path / name / "open"))
        (open_search / name).unlink()
        with pytest.raises(FileNotFoundError, match=rf"{name}: .* not ended its search; `.* search --name open` does"):
            retrain(Run.open(open_search, quiet()))
        assert (open_search / "config.yaml").exists()


def test_a_backbone_of_one_architecture_is_what_that_one_starts_from(staged: Path, tmp_path: Path) -> None:
    trained = build(network_config(SETTINGS, prepare(Run.open(staged, quiet())).train.categories), 5)
    smallest, *_, largest = family(Supernet(trained).space)
    found = tmp_path / "backbone.pt"
    save_backbone(Supernet(trained).subnet(smallest).backbone, found, backbone_part(smallest))  # type: ignore[arg-type]
    changes = {"init": str(found), "init_part": "backbone", "retrain.learning_rate": 1e-9}
    network = retrain(Run(change_settings(SETTINGS, changes), tmp_path / "run", quiet()), smallest, "small")
    own = Supernet(trained).subnet(smallest).state_dict()
    kernels = [key for key, value in own.items() if key.startswith("backbone.") and value.dim() > 1]
    assert kernels
    assert all(torch.allclose(own[key], network.state_dict()[key], atol=1e-6) for key in kernels)
    with pytest.raises(ValueError, match="holds the backbone of another architecture"):
        retrain(Run(change_settings(SETTINGS, changes), tmp_path / "other", quiet()), largest, "large")


@pytest.mark.parametrize("name", ["searched", "searched-1", "random", "hand-made", "a/b", "..", "", None])
def test_names_of_what_the_run_finds_and_of_no_folder_are_refused(tmp_path: Path, name: str | None) -> None:
    run = Run(change_settings(SETTINGS, {"init": "scratch"}), tmp_path / "run", quiet())
    with pytest.raises(ValueError, match=r"the name .* is kept for what the run finds|must be that of a folder"):
        retrain(run, Architecture({"a": 1}), name)
    assert not (run.folder / "data.json").exists()


def test_an_architecture_of_other_networks_is_refused_before_scenes_are_generated(tmp_path: Path) -> None:
    name, architecture = read_architecture("coco_3.8g")
    run = Run(SETTINGS, tmp_path / "run", quiet())  # whose supernet is not trained either
    with pytest.raises(
        ValueError, match=r"none of the networks .* \(search\.space elastic, .* fits a run with "
    ) as told:
        retrain(run, architecture, name)
    assert not (run.folder / "data").exists()
    way = str(told.value).partition(" fits a run with ")[2]
    assert way == "--space auto-panoptic --width 3.8g --set network.mask_layers=4 --set network.segmentation_layers=3"
    fitting = {"network.width": "3.8g", "network.mask_layers": 4, "network.segmentation_layers": 3}
    require_architecture(load_config("scenes", {"search.space": "auto-panoptic", **fitting}), architecture)


def test_data_of_things_alone_may_have_an_architecture_of_things_alone(tmp_path: Path) -> None:
    settings = load_config("scenes", {"search.space": "auto-panoptic"})
    with torch.device("meta"):
        found = Supernet(build(settings.network_for(1, 0), 0)).space.sample(np.random.default_rng(0))
    require_architecture(change_settings(settings, {"data.path": str(tmp_path)}), found)
    with pytest.raises(ValueError, match="none of the networks"):
        require_architecture(settings, found)  # scenes have stuff


@pytest.mark.parametrize("name", shipped())
def test_published_architectures_are_those_of_the_config_for_coco(name: str) -> None:
    require_architecture(load_config("coco", {"data.path": "/data/coco"}), read_architecture(name)[1])


def test_what_is_no_architecture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.json is neither .* ships: ade_3\.8g, coco_3\.8g"):
        read_architecture("nowhere.json")
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(ValueError, match=r"list\.json: 'backbone' must be a list of 40 option indices, not None"):
        read_architecture(str(tmp_path / "list.json"))
    (tmp_path / "text.json").write_text('"shuffle3"')
    with pytest.raises(ValueError, match="is not an architecture"):
        read_architecture(str(tmp_path / "text.json"))


def test_a_run_compares_with_what_it_is_asked_to(staged: Path, tmp_path: Path) -> None:
    texts, names = {}, {}
    for others in ((), ("random_draws",), ("hand_made",)):
        folder = Path(shutil.copytree(staged, tmp_path / "_".join(("run", *others))))
        asked = {f"search.{name}": name in others for name in ("random_draws", "hand_made")}
        settings = change_settings(SETTINGS, asked)
        save_config(settings, folder / "config.yaml")
        run = Pipeline(settings, folder, quiet())
        names[others] = list(run.run())
        texts[others] = " ".join(printed(run).split())
        assert (folder / "random.jsonl").exists() == ("random_draws" in others)
        assert ("random" in read_object(folder / "metrics.json")) == ("random_draws" in others)
    assert names == {
        (): ["searched"],
        ("random_draws",): ["searched", "random"],
        ("hand_made",): ["searched", "hand-made"],
    }
    assert "2 finalists of the search are trained further" in texts[()]
    assert "2 finalists of the search and one random network are trained further" in texts["random_draws",]
    assert "The best of them is the searched network; the hand-made one is trained once." in texts["hand_made",]
    assert "searched - " not in texts[()]
    assert "searched - random" in texts["random_draws",]


@pytest.mark.parametrize(
    ("key", "content", "message"),
    [
        ("search.warm_start", None, r"^search\.warm_start: .*given: there is no such file$"),
        (
            "search.warm_start",
            b"no log",
            r"^search\.warm_start: .*given.* It must be a journal, a search log or result",
        ),
        ("search.warm_start", b'{"backbone.0": "shuffle3"}', r"^search\.warm_start: .*given: "),
        ("init", b"no weights", r"given \(10 bytes\) is damaged: "),
        ("supernet_init", b"no weights", r"given \(10 bytes\) is damaged: "),
    ],
)
def test_files_that_cannot_be_used_are_refused_before_scenes_are_generated(
    key: str, content: bytes | None, message: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "given").write_bytes(content)
    run = Run(change_settings(SETTINGS, {key: str(tmp_path / "given")}), tmp_path / "run", quiet())
    with pytest.raises((FileNotFoundError, ValueError), match=message):
        prepare(run)
    assert not (tmp_path / "run" / "data").exists()
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_one_program_at_a_time_works_on_a_run(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run, other = Run(SETTINGS, folder, quiet()), FileLock(folder / LOCK)
    other.acquire()
    with pytest.raises(BlockingIOError, match=r"run is being worked on by another program, process \d+ on .*"):
        prepare(run)
    other.release()
    prepare(run)
    with run.stage("one"), run.stage("within it"), pytest.raises(BlockingIOError, match="another program"):
        prepare(Run.open(folder, quiet()))
    other.acquire()  # it is given back
    other.release()


def test_the_seconds_of_an_interrupted_stage_are_counted(tmp_path: Path) -> None:
    run = Run(SETTINGS, tmp_path / "run", quiet())
    with pytest.raises(KeyboardInterrupt), run.stage("one"):
        raise KeyboardInterrupt
    first = Run.open(tmp_path / "run", quiet()).seconds["one"]
    assert first > 0
    with run.stage("one"):
        pass
    assert run.seconds["one"] > first


@pytest.mark.parametrize("own", [True, False])
def test_a_refused_run_leaves_nothing_but_what_was_there(own: bool, scene_folder: Path, tmp_path: Path) -> None:
    folder, notes = tmp_path / "run", tmp_path / "run" / "notes.txt"
    if not own:
        folder.mkdir()
        notes.touch()
    data = {"data.path": str(scene_folder), "data.scenes": None, "search.max_gflops": 1e-6}
    run = Run(change_settings(SETTINGS, data), folder, quiet())
    with pytest.raises(ValueError, match=r"gflops"):
        prepare(run)
    assert not folder.exists() if own else list(folder.iterdir()) == [notes]
