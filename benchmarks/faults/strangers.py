"""Journals and architecture files of strangers: they are read or refused, and nothing in them is run."""

from __future__ import annotations

import contextlib
import io
import random
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

from autopanoptic.nas import Architecture, JournalError, Result, Search, warm_start
from autopanoptic.nas.journals.exporting import export
from autopanoptic.nas.journals.mending import Mending
from autopanoptic.nas.journals.repairing import repair
from autopanoptic.nas.journals.showing import show
from autopanoptic.nas.results.printable import printable
from autopanoptic.nas.results.terminal import print_summary
from benchmarks.faults.count import Count
from benchmarks.faults.driver import SPACE, promoting, repeating, search
from benchmarks.faults.mutations import mutated

RUNNING = frozenset(
    {"exec", "os.system", "os.exec", "os.fork", "subprocess.Popen", "pickle.find_class", "socket.connect"}
)
"""Audit events of a program that runs what it has been given."""


class Watch:
    """Notes what Python runs while it is on; an audit hook cannot be taken away again."""

    def __init__(self) -> None:
        self.on = False
        self.seen: list[str] = []
        sys.addaudithook(self._see)

    def _see(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.on and event in RUNNING:
            self.seen.append(f"{event}{arguments}")


def strangers(folder: Path, files: int, seed: int = 0, say: Callable[[str], object] = print) -> Count:
    """Read so many damaged files, three quarters of them journals, and return how many were read or refused.

    Whatever raises anything but ``JournalError`` or ``ValueError``, or has Python run anything, is shown by ``say``.
    """
    goods = _good(folder)
    rng, survived, watch = random.Random(seed), 0, Watch()
    readers: list[Callable[[Path], object]] = [
        *(partial(_read_journal, make) for make in (search, promoting, repeating)),
        _read_architecture,
    ]
    for reader, good in zip(readers, goods, strict=True):
        reader(_written(folder, good))  # imports what it needs, and printable() a codec
        printable("\x1b")
    for number in range(files):
        path = _written(folder, mutated(goods[number % len(goods)], rng))
        watch.on = True
        try:
            readers[number % len(goods)](path)
        except Exception:
            say(f"file {number}: {traceback.format_exc()}\n{path.read_bytes()[:2000]!r}")
        else:
            survived += not watch.seen
        finally:
            watch.on = False
        for seen in watch.seen:
            say(f"file {number}: {seen}")
        watch.seen.clear()
    return Count(
        "A journal or an architecture file of a stranger, made of a good one by random damage and meddling",
        "it is read, or refused with the cause (`JournalError`, `ValueError`), and nothing in it is run",
        files,
        survived,
    )


def _good(folder: Path) -> list[bytes]:
    search(folder / "good.jsonl").run(8, progress=False)
    promoting(folder / "promoting.jsonl").run(8, progress=False)
    repeating(folder / "repeating.jsonl").run(6, progress=False)
    found = Result.from_journal(folder / "good.jsonl").best.architecture
    found.save(folder / "good.json")
    names = ("good.jsonl", "promoting.jsonl", "repeating.jsonl", "good.json")
    return [(folder / name).read_bytes() for name in names]


def _written(folder: Path, content: bytes) -> Path:
    path = folder / "stranger.jsonl"
    path.write_bytes(content)
    return path


def _read_journal(search: Callable[[Path], Search], path: Path) -> None:
    copy = path.with_name("mended.jsonl")
    copy.unlink(missing_ok=True)
    refusals: dict[Callable[[], object], tuple[type[Exception], ...]] = {
        lambda: print_summary(Result.from_journal(path), path): (JournalError,),
        lambda: show(path, 5): (JournalError,),
        lambda: export(path, path.with_name("out.csv")): (JournalError,),
        lambda: Mending(path).to_the_end(): (JournalError,),
        lambda: repair(path, copy): (JournalError,),
        lambda: search(path): (JournalError, ValueError),
        lambda: warm_start(path, SPACE): (JournalError, ValueError),
    }
    with contextlib.redirect_stdout(io.StringIO()):
        for read, refused in refusals.items():
            with contextlib.suppress(*refused):
                read()
    if copy.exists():
        Result.from_journal(copy)  # what has been repaired is read


def _read_architecture(path: Path) -> None:
    with contextlib.suppress(JournalError, ValueError):
        SPACE.canonical(Architecture.load(path))
