"""The code in README.md and in the guide runs, and prints what the pages say."""

from __future__ import annotations

import importlib
import inspect
import os
import pydoc
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer

import autopanoptic.nas
import autopanoptic.strategies
from autopanoptic.panoptic import cli
from autopanoptic.panoptic.model.config import PanopticConfig
from autopanoptic.panoptic.model.parts.registry import own_parts

ROOT = Path(__file__).resolve().parents[1]
STEPS = ROOT / "docs" / "panoptic.md"
PAGES = [ROOT / "README.md", ROOT / "docs" / "index.md", STEPS, *sorted((ROOT / "docs" / "guide").glob("*.md"))]
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MOST_NOT_RUN = 4


@dataclass(frozen=True)
class Block:
    """A piece of code of a page, and what the page says that it prints."""

    code: str
    runs: bool
    output: str | None

    def compiled(self, page: Path) -> object:
        return compile(self.code, str(page), "exec", dont_inherit=True)


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text()
    fences = list(FENCE.finditer(text))
    for fence, following in zip(fences, [*fences[1:], None], strict=True):
        if fence[1] != "python":
            continue
        shown = following is not None and following[1] == "text" and not text[fence.end() : following.start()].strip()
        # Empty lines before it give tracebacks the lines of the page.
        code = "\n" * text.count("\n", 0, fence.start(3)) + fence[3]
        yield Block(code, "no-run" not in fence[2], following[3] if shown and following is not None else None)


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec")
@pytest.mark.filterwarnings("ignore:.*available but not used")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT).with_suffix("")))
def test_the_code_runs_and_prints_what_the_page_says(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "__main__"}
    found = [block for block in blocks(page) if block.runs]
    assert found
    with own_parts():
        for block in found:
            exec(block.compiled(page), namespace)
            printed = capsys.readouterr().out
            if block.output is not None:
                assert printed == block.output


def test_few_blocks_are_left_out_and_those_are_python() -> None:
    left_out = [(page, block) for page in PAGES for block in blocks(page) if not block.runs]
    assert len(left_out) <= MOST_NOT_RUN
    for page, block in left_out:
        block.compiled(page)


def test_the_guide_gives_the_configs_their_values() -> None:
    """Of the fields that it compares, the numbers and the texts."""
    text = (ROOT / "docs" / "guide" / "panoptic.md").read_text()
    head = "| field | `coco` | `scenes` |"
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \|$", text[text.index(head) :].split("\n\n")[0], re.MULTILINE)
    values = 0
    for field, *cells in rows:
        for config, cell in zip((PanopticConfig.coco(), PanopticConfig.scenes(1, 1)), cells, strict=True):
            value = re.match(r'`"(\w+)"`|([\d.]+)(?=:|$)', cell)
            if value:
                values += 1
                assert str(getattr(config, field)) == (value[1] or value[2]), (field, cell)
    assert values == 6


def reference() -> list[str]:
    pages = sorted((ROOT / "docs" / "reference").glob("*.md"))
    return [name for page in pages for name in re.findall(r"^::: (\S+)$", page.read_text(), re.MULTILINE)]


def test_every_public_name_stands_in_the_reference() -> None:
    modules = reference()
    assert len(set(modules)) == len(modules)
    for module in modules:
        importlib.import_module(module)
    for package in (autopanoptic.nas, autopanoptic.strategies):
        for name in package.__all__:
            value = getattr(package, name)
            if inspect.isclass(value) or inspect.isfunction(value):
                assert value.__module__ in modules, name


def test_the_guide_lists_every_option_of_the_command() -> None:
    page = (ROOT / "docs" / "guide" / "panoptic.md").read_text()
    listed = re.findall(r"^\| `(--[\w-]+)", page, re.MULTILINE)
    command = typer.main.get_command(cli.app)
    options = [option for parameter in command.commands["run"].params for option in parameter.opts]  # type: ignore[attr-defined]
    assert sorted(listed) == sorted(option for option in options if option != "--help")


def test_the_readme_names_targets_of_the_makefile_and_files_that_exist() -> None:
    text = (ROOT / "README.md").read_text()
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = re.findall(r"\bmake (\w+)", "\n".join(re.findall(r"```\w*\n.*?```|`[^`]+`", text, re.DOTALL)))
    assert {"search", "test"} <= set(named) <= set(targets)
    for path in re.findall(r"\]\(([^):#]+)\)", text):
        assert os.path.exists(ROOT / path), path


def test_modules_and_files_that_the_pages_name_exist() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    assert len(pages) > 10
    for page in pages:
        quoted = "\n".join(re.findall(r"`[^`\n]+`", page.read_text()))
        for name in re.findall(r"`(?:autopanoptic\.)?((?:nas|strategies|panoptic)(?:\.\w+)+)", quoted):
            assert pydoc.locate(f"autopanoptic.{name}") is not None, f"{page.name} names {name}"
        for path in re.findall(r"`((?:nas|strategies|panoptic|benchmarks|examples|tests|docs)/[\w/.-]+)`", quoted):
            # Such files are those of a data set.
            assert path.endswith("2017.json") or (ROOT / path).exists(), f"{page.name} names {path}"


def test_links_to_headings_lead_to_one() -> None:
    """As the strict build of the documentation has it, which comes after all tests."""
    pages = {path: path.read_text() for path in (ROOT / "docs").rglob("*.md")}
    links = [
        (path, target, anchor)
        for path, text in pages.items()
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)", text)
    ]
    assert len(links) > 50
    lost = [
        f"{path.relative_to(ROOT)}: {target}#{anchor}"
        for path, target, anchor in links
        if anchor not in headings(pages.get((path.parent / target).resolve() if target else path, ""))
    ]
    assert lost == []


def headings(page: str) -> set[str]:
    """Return the anchors of a page's headings."""
    found = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", one).strip().lower()) for one in found}
