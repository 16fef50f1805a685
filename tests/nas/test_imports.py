from __future__ import annotations

import ast
import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import autopanoptic.nas as nas

HEAVY = ["torch", "nni", "lightning", "matplotlib", "rich", "pandas", "typer", "torchvision", "scipy", "optuna", "ray"]


def loaded_by(program: str) -> set[str]:
    """Run a program in a fresh interpreter, and return which of the heavy packages it has loaded."""
    command = f"{program}\nimport sys\nprint([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-W", "error", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(ast.literal_eval(done.stdout.splitlines()[-1]))


def test_import_loads_nothing_heavy() -> None:
    assert loaded_by("import autopanoptic.nas, autopanoptic.strategies") == set()


def test_plain_search_needs_no_torch() -> None:
    program = """
from autopanoptic.nas import Choice, RegularizedEvolution, Search, SearchSpace
space = SearchSpace([Choice("a", range(9)), Choice("b", "xyz".split() + ["u"])])
result = Search(space, RegularizedEvolution(4, 2), lambda a: a["a"]).run(12)
assert result.best.metrics["value"] >= 6
"""
    assert loaded_by(program) == set()


def test_mutables_load_torch_and_nni_but_no_training_loop() -> None:
    program = "from autopanoptic.nas import LayerChoice, Supernet"
    assert not {"lightning", "matplotlib", "rich", "typer"} & loaded_by(program)


def test_nni_is_quiet() -> None:
    command = "from autopanoptic.nas import ModelSpace\nimport logging\nlogging.getLogger('nni').warning('x')"
    done = subprocess.run([sys.executable, "-W", "error", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == ""


@pytest.mark.parametrize("name", ["autopanoptic.nas", "autopanoptic.strategies"])
def test_every_public_name_is_there(name: str) -> None:
    package = importlib.import_module(name)
    assert package.__all__
    for public in package.__all__:
        value = getattr(package, public)
        assert getattr(value, "__name__", public) == public
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = package.Nothing


def _sources(package: str) -> list[Path]:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations
    return sorted(path for folder in spec.submodule_search_locations for path in Path(folder).rglob("*.py"))


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize("package", ["autopanoptic.nas", "autopanoptic.strategies"])
def test_the_library_never_imports_a_task(package: str) -> None:
    sources = _sources(package)
    assert len(sources) > 5
    for path in sources:
        tasks = [name for name in _imports(path) if name.split(".")[:2] == ["autopanoptic", "panoptic"]]
        assert not tasks, f"{path} imports {tasks}"


def test_nni_is_imported_in_one_place() -> None:
    for path in _sources("autopanoptic.nas") + _sources("autopanoptic.strategies"):
        uses = any(name.split(".")[0] == "nni" for name in _imports(path))
        assert uses == (path.name == "_nni.py"), path


def test_types_are_shipped() -> None:
    assert nas.__file__ is not None
    assert (Path(nas.__file__).parent / "py.typed").exists()


@pytest.mark.parametrize("package", ["nas", "strategies"])
def test_what_a_type_checker_sees_is_what_is_loaded(package: str) -> None:
    """The lazy names under ``TYPE_CHECKING`` and those of the table are the same, from the same modules."""
    module = importlib.import_module(f"autopanoptic.{package}")
    tree = ast.parse(Path(str(module.__file__)).read_text())
    blocks = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    seen = {
        name.asname or name.name: node.module
        for block in blocks
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    assert seen == vars(module)["_MODULE_OF"]
    assert module.__all__ == sorted(seen)
