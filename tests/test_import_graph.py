"""The house's plan: who may import whom, and how large a room and a module may grow."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("nas", "strategies", "panoptic")
MODULES = {
    ".".join(("autopanoptic", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}
MOST_MODULES = 15
MOST_LINES = 400


def imports(body: list[ast.stmt], *, inner: bool) -> Iterator[str]:
    """The project's modules that statements import, also within functions where ``inner``, never for types only."""
    for node in body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            within = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in MODULES else node.module for name in within)
        elif inner or not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for field in ("body", "orelse", "finalbody", "handlers"):
                yield from imports(getattr(node, field, []), inner=inner)


def graph(*, inner: bool) -> dict[str, set[str]]:
    return {
        name: set(imports(ast.parse(path.read_text()).body, inner=inner)) - {name} for name, path in MODULES.items()
    }


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


def test_the_library_never_imports_its_strategies_or_its_task() -> None:
    for name, others in graph(inner=True).items():
        package = name.split(".")[1]
        reached = {other.split(".")[1] for other in others}
        allowed = {"nas": {"nas"}, "strategies": {"nas", "strategies"}, "panoptic": {"nas", "panoptic"}}[package]
        assert reached <= allowed, f"{name} imports {sorted(reached - allowed)}"


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
