"""The command line: what it makes of its options, and its messages."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import typer
from typer.testing import CliRunner

from autopanoptic.nas.cli import app as program
from autopanoptic.panoptic.cli import app
from autopanoptic.panoptic.configs.config import load_config
from autopanoptic.panoptic.configs.layers import shipped
from autopanoptic.panoptic.configs.models import MODEL, NETWORK
from autopanoptic.panoptic.configs.schema import all_keys
from autopanoptic.panoptic.configs.widths import WIDTH
from autopanoptic.panoptic.data.scenes.files import write_scenes
from autopanoptic.panoptic.report import report
from autopanoptic.panoptic.run import choice, commands
from autopanoptic.panoptic.run.options import KEYS
from autopanoptic.panoptic.settings.settings import Settings
from autopanoptic.panoptic.stages.pipeline import Pipeline

runner = CliRunner()


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder in which runs are made, but do nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Pipeline, "run", lambda self: None)
    monkeypatch.setattr(report, "write_report", lambda folder, **_: folder / report.REPORT)
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)  # it would outlast the test
    return tmp_path / "runs"


def settings(runs: Path, *options: str) -> Settings:
    result = runner.invoke(app, ["run", "--name", "x", *options])
    assert result.exit_code == 0, result.output
    return load_config(runs / "x" / "config.yaml")


def test_defaults_are_those_for_scenes(runs: Path) -> None:
    assert settings(runs) == load_config("scenes")
    assert load_config("scenes").machine.workers == 2


def test_options_reach_the_settings(runs: Path) -> None:
    found = settings(
        runs, "--quick", "--strategy", "regularized-evolution", "--trials", "40", "--objective", "pq_things",
        "--max-gflops", "0.2", "--supernet-passes", "36", "--seed", "3", "--device", "cpu",
        "--set", "supernet.learning_rate=1e-3", "--set", "network={mask_layers: 3}", "--set", "retrain.clip=null",
    )  # fmt: skip
    changes = {
        "search": {"strategy": "regularized-evolution", "trials": 40, "objective": "pq_things", "max_gflops": 0.2},
        "supernet": {"passes": 36, "learning_rate": 0.001},
        "seed": 3,
        "machine.device": "cpu",
        "network.mask_layers": 3,
        "retrain.clip": None,
    }
    assert found == load_config("scenes", changes, quick=True)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), ("elastic", "bayesian", "gflops")),
        (("--trials", "101"), ("elastic", "nsga2", "gflops")),
        (("--space", "auto-panoptic"), ("auto-panoptic", "path-priority", None)),
        (("--strategy", "path-priority"), ("elastic", "path-priority", None)),
        (("--strategy", "random"), ("elastic", "random", "gflops")),
        (("--cost", "latency_ms"), ("elastic", "nsga2", "latency_ms")),
        (("--cost", "null"), ("elastic", "path-priority", None)),
        (("--space", "auto-panoptic", "--cost", "gflops"), ("auto-panoptic", "bayesian", "gflops")),
    ],
)
def test_one_option_is_enough_for_another_search(
    runs: Path, options: tuple[str, ...], expected: tuple[str, str, str | None]
) -> None:
    found = settings(runs, *options).search
    assert (found.space, found.strategy, found.cost) == expected


@pytest.mark.parametrize(("option", "racing"), [("--racing", True), ("--no-racing", False)])
def test_racing_is_turned_on_and_off(runs: Path, option: str, racing: bool) -> None:
    assert settings(runs, option).search.racing is racing


@pytest.mark.parametrize("options", [("--warmup-passes", "5"), ("--set", "warmup={passes: 5}")])
@pytest.mark.parametrize("config", ["scenes", "memorise"])
def test_a_warm_up_needs_its_passes_alone(runs: Path, tmp_path: Path, config: str, options: tuple[str, ...]) -> None:
    root = write_scenes(tmp_path / "data", {"train": 1, "nas_val": 1, "val": 1}, size=64)
    found = settings(runs, "--config", config, "--data", str(root), *options)
    assert found.warmup == replace(found.supernet, passes=5)


def test_every_shorthand_sets_the_key_that_its_help_names() -> None:
    command = typer.main.get_command(app).commands["run"]  # type: ignore[attr-defined]
    helps = {parameter.name: parameter.help for parameter in command.params}
    paths = {".".join(path) for path in all_keys()} | {WIDTH, f"{NETWORK}.{MODEL}"}
    for option, key in KEYS.items():
        assert key in paths
        assert helps[option].startswith(f"{key}: "), option
    others = {"config", "changes", "quick", "name", "resume", "supernet_from", "help"}
    assert set(helps) - set(KEYS) <= others


@pytest.mark.parametrize(("kind", "config"), [("single", "memorise"), ("splits", "photographs")])
def test_data_choose_the_config_where_none_is_named(runs: Path, tmp_path: Path, kind: str, config: str) -> None:
    root = write_scenes(tmp_path / "data", {"train": 3, "nas_val": 1, "val": 1}, size=64)
    if kind == "single":
        single = tmp_path / "single"
        single.mkdir()
        (root / "annotations" / "panoptic_train.json").rename(single / "one.json")
        (root / "annotations" / "panoptic_train").rename(single / "one")
        (root / "train").rename(single / "input_images")
        root = single
    assert settings(runs, "--data", str(root)) == load_config(config, {"data.path": str(root)})
    in_section = runner.invoke(app, ["run", "--name", "z", "--set", f"data={{path: '{root}'}}"])
    assert in_section.exit_code == 0, in_section.output
    assert load_config(runs / "z" / "config.yaml") == load_config(config, {"data.path": str(root)})
    other = runs.parent / "mine.yaml"
    other.write_text("base: camvid\nseed: 4\n")
    again = runner.invoke(app, ["run", "--name", "y", "--data", str(root), "--config", str(other)])
    assert again.exit_code == 0, again.output
    assert load_config(runs / "y" / "config.yaml") == load_config("camvid", {"data.path": str(root), "seed": 4})


def test_a_config_is_shown_whole_in_part_and_with_its_meaning(runs: Path) -> None:
    shown = runner.invoke(app, ["config", "show", "--config", "coco", "--set", "seed=7"]).output
    runs.parent.joinpath("shown.yaml").write_text(shown)
    assert load_config(runs.parent / "shown.yaml") == load_config("coco", {"seed": 7})
    assert runner.invoke(app, ["config", "show", "merge.order"]).output == "merge:\n  order: score\n"
    assert "# Candidates to evaluate" in runner.invoke(app, ["config", "show", "search", "--explain"]).output
    assert "trials: 13" in runner.invoke(app, ["config", "show", "search", "--quick"]).output
    failed = runner.invoke(app, ["config", "show", "--set", "sed=7"])
    assert (failed.exit_code, failed.output) == (1, "Error: --set sed=7: sed: unknown key; did you mean seed?\n")


def test_the_list_of_configs_fits_a_terminal() -> None:
    lines = runner.invoke(app, ["config", "list"]).output.splitlines()
    assert [line.split()[0] for line in lines] == shipped()
    assert max(map(len, lines)) <= 80


def test_showing_a_config_loads_no_torch() -> None:
    code = (
        "import sys\nfrom autopanoptic.panoptic.cli import app\n"
        "app(['config', 'show', '--explain'], standalone_mode=False)\n"
        "sys.exit(', '.join({'torch', 'nni', 'lightning'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("# ")


@pytest.mark.parametrize("options", [(), ("--quick",)])
def test_a_quick_run_says_that_its_figures_mean_nothing(runs: Path, options: tuple[str, ...]) -> None:
    printed = runner.invoke(app, ["run", *options]).output
    assert ("the figures mean nothing" in " ".join(printed.split())) == bool(options)


def test_without_a_name_the_time_is_taken(runs: Path) -> None:
    assert runner.invoke(app, ["run"]).exit_code == 0
    assert [path.name[:2] for path in runs.iterdir()] == ["20"]


def test_resume_takes_the_latest_run_and_its_settings(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings(runs, "--seed", "7")
    seen: list[Settings] = []
    monkeypatch.setattr(Pipeline, "run", lambda self: seen.append(self.settings))
    assert runner.invoke(app, ["run", "--resume"]).exit_code == 0
    assert seen[0].seed == 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--resume"], "runs holds no run to go on with"),
        (["--resume", "--seed", "1"], "leave out --seed"),
        (["--data", "nowhere"], "nowhere: there is no such folder"),
        (["--config", "coco"], "data.path is missing: give a folder in COCO panoptic format, by --data DIR"),
        (["--config", "coco", "--quick"], "the config coco has no quick form"),
        (["--config", "coc"], "did you mean coco?"),
        (["--config", "coco", "--data", "nowhere"], "nowhere: there is no such folder"),
        (["--objective", "ap"], "--objective: search.objective must be one of pq, "),
        (["--precision", "16"], "--precision: machine.precision must be one of 32-true, bf16-mixed, not '16'"),
        (["--supernet-passes", "3"], "supernet.passes=3 is no multiple of the 2 paths of a cycle"),
        (["--set", "supernet.validate_every=3"], "supernet.validate_every=3 is no multiple of the 2 paths"),
        (["--trials", "1"], "--trials: search.trials must be at least 2, not 1"),
        (["--set", "seed=x"], "--set seed=x: seed must be a whole number, not x"),
        (["--set", "seed=1", "--seed", "1"], "--seed and --set seed=1 both set seed; leave out one"),
        (["--set", "seed=1", "--set", "seed=2"], "--set seed=1 and --set seed=2 both set seed"),
        (["--set", "seed"], "--set seed: write key=value"),
        (["--warmup-passes", "0"], "--warmup-passes: warmup.passes must be at least 1, not 0"),
        (
            ["--retrain-init", "nowhere.pt"],
            "init: nowhere.pt is neither scratch, supernet, pretrained nor a file of weights",
        ),
        (["--resume", "--set", "seed=1"], "leave out --set"),
        (["--resume", "--config", "coco"], "leave out --config"),
        (
            ["--strategy", "path-priority", "--cost", "gflops"],
            "strategy path-priority takes one objective, but cost is gflops",
        ),
        (["--strategy", "path-priority", "--racing"], "path-priority ranks every candidate, so none may be given up"),
        (["--resume", "--name", "[x]"], "there is no run in runs/[x]"),
        (["--config", ""], "config '' is a folder; give a YAML file"),
        (["--data", ""], "--data: data.path must name a folder, not ''"),
        (["--set", "data.path=5"], "data.path must be text, or null, not 5"),
        (
            ["--set", "network.head_operators=[dw3, conv3]"],
            "network.head_operators: there is no head operator 'conv3', only",
        ),
        (["--set", "data=5"], "data must be a section with keys such as path, not 5"),
        (["--set", "quick.retrain.passes=5", "--quick"], "quick.retrain.passes is for files"),
        (["--name", ""], "--name must be that of a folder under runs, not ''"),
        (["--name", "../x"], "--name must be that of a folder under runs, not '../x'"),
        (["--resume", "--name", ".."], "--name must be that of a folder under runs, not '..'"),
        pytest.param(
            ["--device", "cuda"],
            "machine.device is cuda, but torch",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU"),
        ),
    ],
)
def test_errors_are_one_line_and_leave_no_run(runs: Path, options: list[str], message: str) -> None:
    result = runner.invoke(app, ["run", *options])
    assert result.exit_code == 1
    assert message in " ".join(result.output.split())
    assert "Traceback" not in result.output
    assert not runs.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_says_how_to_go_on(number: signal.Signals, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: Pipeline) -> None:
        signal.raise_signal(number)

    monkeypatch.setattr(Pipeline, "run", interrupted)
    result = runner.invoke(app, ["run", "--name", "x"])
    assert result.exit_code == 130
    assert "--resume --name x" in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("command", "module"),
    [
        (("evaluate", "x"), "autopanoptic.panoptic.trained.evaluate.evaluate"),
        (("predict", "x.png", "--run", "x", "--out", "y"), "autopanoptic.panoptic.trained.predict.predict"),
        (("report", "x"), "autopanoptic.panoptic.report.report.write_report"),
    ],
)
def test_every_command_ends_with_an_interrupt_without_a_traceback(
    command: tuple[str, ...], module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, interrupted)
    result = runner.invoke(program, ["panoptic", *command])
    assert result.exit_code == 130
    assert result.output == "\nInterrupted.\n"


@pytest.mark.parametrize(
    ("options", "where"),
    [((), (choice, "settings_of")), ((), (Pipeline, "__init__")), (("--resume",), (commands, "resumed_run"))],
)
def test_an_interrupt_before_there_is_a_run_says_no_more(
    runs: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], where: tuple[object, str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(*where, interrupted)
    result = runner.invoke(app, ["run", "--name", "x", *options])
    assert result.exit_code == 130
    assert result.output.endswith("\nInterrupted.\n")


def test_a_traceback_is_shown_on_request(runs: Path) -> None:
    result = runner.invoke(program, ["--traceback", "panoptic", "run", "--data", "nowhere"])
    assert result.exit_code == 1
    assert "Traceback" in result.output


def test_damaged_settings_are_named(runs: Path) -> None:
    (runs / "x").mkdir(parents=True)
    (runs / "x" / "config.yaml").write_text("preset: scenes\n")
    result = runner.invoke(app, ["run", "--resume", "--name", "x"])
    assert result.exit_code == 1
    assert "config.yaml, line 1: preset: unknown key" in " ".join(result.output.split())


def test_a_run_of_other_settings_is_refused_by_what_differs(runs: Path) -> None:
    settings(runs)
    result = runner.invoke(app, ["run", "--name", "x", "--seed", "3", "--set", "merge.stuff_area=9"])
    assert result.exit_code == 1
    said = "runs/x holds a run with other settings, which differ in merge.stuff_area (64, not 9); seed (0, not 3)."
    assert said in " ".join(result.output.split())


@pytest.mark.parametrize(
    "code", ["from autopanoptic.panoptic.cli import app; app()", "from autopanoptic.nas.cli import main; main()"]
)
def test_a_reader_that_has_seen_enough_is_no_error(code: str) -> None:
    task = ["panoptic"] if "nas" in code else []
    with subprocess.Popen(
        [sys.executable, "-c", code, *task, "config", "show"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
