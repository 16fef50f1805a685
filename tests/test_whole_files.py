"""No file is written where it is read: a program that is killed would leave half of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [path for package in ("nas", "strategies", "panoptic") for path in sorted((ROOT / package).rglob("*.py"))]
IN_PARTIAL_FOLDERS = ("panoptic/data/scenes/files.py", "panoptic/pretraining/crops.py")
"""Their folder takes its name when all is in it."""


def targets(tree: ast.AST) -> Iterator[ast.expr]:
    """Where files are written to, by any of the ways that this code knows."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        name, owner = node.func.attr, node.func.value
        if name in ("write_text", "write_bytes"):
            yield owner
        elif name == "savefig" and node.args:
            yield node.args[0]
        elif name == "save" and isinstance(owner, ast.Name) and owner.id == "torch":
            yield node.args[1]
        elif name == "save" and ast.unparse(owner).startswith(("Image.", "Pillow.", "image")) and node.args:
            yield node.args[0]


@pytest.mark.parametrize(
    ("statement", "target"),
    [
        ("Path(path).write_text('a')", "Path(path)"),
        ("figure.savefig(path, dpi=3)", "path"),
        ("torch.save(state, path)", "path"),
        ("Image.fromarray(a).save(path)", "path"),
    ],
)
def test_every_way_to_write_is_seen(statement: str, target: str) -> None:
    assert [ast.unparse(found) for found in targets(ast.parse(statement))] == [target]


def test_files_are_written_beside_and_take_their_place_when_they_are_whole() -> None:
    wrong = {
        f"{path.relative_to(ROOT)}: {ast.unparse(target)}"
        for path in SOURCES
        if str(path.relative_to(ROOT)) not in IN_PARTIAL_FOLDERS
        for target in targets(ast.parse(path.read_text()))
        # In memory nothing is half for others.
        if not ast.unparse(target).startswith(("partial", "partly", "content", "buffer"))
    }
    assert not wrong
