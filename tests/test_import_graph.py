"""The house's plan: who may import whom, and how large a room and a module may grow."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.util import resolve_name
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("nas", "strategies", "panoptic")
MODULES = {
    ".".join(("autopanoptic", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}
MOST_MODULES = 15
MOST_LINES = 400


TABLES = {name: import_module(name)._MODULE_OF for name in ("autopanoptic.nas", "autopanoptic.strategies")}
"""What the packages load when a name of theirs is first used, of which a static import says nothing."""


def imports(body: Iterable[ast.AST], module: str, *, inner: bool) -> Iterator[str]:
    """The project's modules that statements import, also within functions where ``inner``, never for types only."""
    for node in body:
        if isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            yield from imports(node.orelse, module, inner=inner)
        elif isinstance(node, ast.Import):
            yield from (found for alias in node.names if (found := nearest(alias.name)))
        elif isinstance(node, ast.ImportFrom):
            source = absolute(node, module)
            names = (TABLES.get(source, {}).get(alias.name, f"{source}.{alias.name}") for alias in node.names)
            yield from (found for name in names if (found := nearest(name)))
        elif inner or not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield from imports(ast.iter_child_nodes(node), module, inner=inner)


def nearest(name: str) -> str:
    """Return the module of the project that a dotted name is, or is in; empty where it is none of the project's."""
    parts = name.split(".")
    return next((found for n in range(len(parts), 1, -1) if (found := ".".join(parts[:n])) in MODULES), "")


def absolute(node: ast.ImportFrom, module: str) -> str:
    """Return where a statement imports from, also where it says so by dots."""
    if not node.level:
        return str(node.module)
    package = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
    return resolve_name("." * node.level + (node.module or ""), package)


def graph(*, inner: bool) -> dict[str, set[str]]:
    return {
        name: set(imports(ast.parse(path.read_text()).body, name, inner=inner)) - {name}
        for name, path in MODULES.items()
    }


def package_of(module: str) -> str:
    return module.split(".")[1]


def cycle(edges: dict[str, set[str]]) -> list[str]:
    """Return the modules of one cycle, empty where there is none."""
    state: dict[str, str] = {}

    def visit(name: str, path: list[str]) -> list[str]:
        if state.get(name) == "done":
            return []
        if state.get(name) == "open":
            return [*path[path.index(name) :], name]
        state[name] = "open"
        found = next((ring for other in sorted(edges[name]) if (ring := visit(other, [*path, name]))), [])
        state[name] = "done"
        return found

    return next((ring for name in sorted(edges) if (ring := visit(name, []))), [])


def test_the_graph_sees_the_imports() -> None:
    edges = graph(inner=False)
    assert "autopanoptic.nas.space.space" in edges["autopanoptic.nas.strategy"]
    assert "autopanoptic.nas.strategy" in edges["autopanoptic.strategies.evolution"]
    assert sum(map(len, edges.values())) > len(edges)
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]
    assert not cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()})


def test_no_cycles_between_modules() -> None:
    assert not cycle(graph(inner=False))


def test_imports_within_functions_make_no_cycles_either() -> None:
    # The packages' lazy tables import by name, so they are no edges here.
    assert not cycle(graph(inner=True))


@pytest.mark.parametrize(
    "statement",
    [
        "import autopanoptic.strategies.evolution",
        "import autopanoptic.strategies.evolution as other",
        "from autopanoptic.strategies import evolution",
        "from autopanoptic.strategies import Evolution",
        "from autopanoptic.strategies.evolution import Evolution",
        "from autopanoptic.nas import Evolution",
        "from ...strategies.evolution import Evolution",
        "from ...strategies import evolution",
        "try:\n    pass\nexcept OSError:\n    import autopanoptic.strategies.evolution",
        "match 1:\n    case 1:\n        import autopanoptic.strategies.evolution",
        "with open('x'):\n    import autopanoptic.strategies.evolution",
        "class A:\n    import autopanoptic.strategies.evolution",
        "if not TYPE_CHECKING:\n    import autopanoptic.strategies.evolution",
        "if TYPE_CHECKING:\n    pass\nelse:\n    import autopanoptic.strategies.evolution",
    ],
)
def test_every_form_of_an_import_is_seen(statement: str) -> None:
    found = imports(ast.parse(statement).body, "autopanoptic.nas.space.space", inner=False)
    assert set(found) == {"autopanoptic.strategies.evolution"}


def test_packages_are_seen_and_types_are_not() -> None:
    def found(statement: str, *, inner: bool = False) -> set[str]:
        return set(imports(ast.parse(statement).body, "autopanoptic.nas.space.space", inner=inner))

    assert found("from autopanoptic import strategies") == {"autopanoptic.strategies"}
    assert found("import numpy, autopanoptic.panoptic") == {"autopanoptic.panoptic"}
    assert found("if TYPE_CHECKING:\n    import autopanoptic.panoptic") == set()
    assert found("def f():\n    import autopanoptic.panoptic") == set()
    assert found("def f():\n    import autopanoptic.panoptic", inner=True) == {"autopanoptic.panoptic"}


def test_the_library_never_imports_its_strategies_or_its_task() -> None:
    for name, others in graph(inner=True).items():
        reached = {package_of(other) for other in others}
        # The task takes strategies by the names of autopanoptic.nas.
        allowed = {"nas": {"nas"}, "strategies": {"nas", "strategies"}, "panoptic": set(PACKAGES)}[package_of(name)]
        assert reached <= allowed, f"{name} imports {sorted(reached - allowed)}"


def test_the_task_knows_strategies_by_their_public_names_alone() -> None:
    for name, path in MODULES.items():
        if package_of(name) == "panoptic":
            assert "autopanoptic.strategies" not in path.read_text(), name


def test_modules_named_in_text_stand_in_the_lazy_tables_alone() -> None:
    """An import by a module's name as text would be no edge of the graph."""
    for name, path in MODULES.items():
        texts = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
        named = {
            text for text in texts if isinstance(text, str) and text in MODULES and package_of(text) != package_of(name)
        }
        assert not named or name in TABLES, f"{name} names {sorted(named)}"


def test_rooms_and_modules_stay_small() -> None:
    rooms = Counter(path.parent for path in MODULES.values() if path.name != "__init__.py")
    assert {str(room): count for room, count in rooms.items() if count > MOST_MODULES} == {}
    lines = {name: len(path.read_text().splitlines()) for name, path in MODULES.items()}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def test_the_page_names_every_room() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    named = set(re.findall(r"^\| `([\w/]+)` \|", page, re.MULTILINE))
    # A package whose modules all stand in rooms is no room itself.
    rooms = {str(path.parent.relative_to(ROOT)) for path in MODULES.values()} - {"nas", "panoptic"}
    assert named == rooms


def test_the_folders_of_the_tests_are_the_rooms() -> None:
    tests = ROOT / "tests"
    folders = {path.parent.relative_to(tests) for package in PACKAGES for path in (tests / package).rglob("test_*.py")}
    rooms = {path.parent.relative_to(ROOT) for path in MODULES.values() if path.name != "__init__.py"}
    assert folders == rooms
