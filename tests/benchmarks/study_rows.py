"""Rows of the study of what the search is worth, of which the figures are known."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from benchmarks.search_worth import plan
from benchmarks.search_worth.parts import as_many, equal, own, price, published, ranking, shipped, traces, worth
from benchmarks.search_worth.rows import Rows
from benchmarks.search_worth.study import ELASTIC, MANY, MIDDLE, OPERATORS, SMALL, Study, camvid

STUDY = Study(camvid=camvid(Path("camvid")))
SEARCHED_MINUS_HAND_MADE = [1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 1.0, 3.0]


def made_up(tmp_path: Path) -> Rows:
    """Rows of all parts, of which the figures are known."""
    rows = Rows(tmp_path)
    names = ("searched", "random", "hand-made")
    for seed, more in enumerate(SEARCHED_MINUS_HAND_MADE):
        for last, extra in (("run", more), (SMALL, 0.0)):
            pq = dict(zip(names, (50 + extra, 49.0, 50.0), strict=True))
            networks = {name: {"pq": value, "gflops": 0.2} for name, value in pq.items()}
            values = {"budget": 0.2, "networks": networks, "stages": {"data": 1.0, "supernet": 100.0 + seed}}
            rows.put(worth.row_name(ELASTIC, seed, last), values)
        less = 2.0 if seed % 2 else 4.0
        row = {"seed": seed, "gflops": 0.08, "searched": 55.0, "hand-made": 55.0 - less, "difference": less}
        family = [{"gflops": cost, "pq": pq} for cost, pq in ((0.07, 90.0), (0.09, 53.0), (0.1, 10.0))]
        rows.put(worth.row_name(ELASTIC, seed, equal.EQUAL), {**row, "family": family[-1:] if seed == 7 else family})
        within = {
            name: {"pq": value, "gflops": 0.1} for name, value in zip(names, (53.0 + less, 54.0, 52.0), strict=True)
        }
        found = {"seed": seed, "networks": within, "candidates": {"whole": 9 + seed, "own": 31}}
        rows.put(worth.row_name(ELASTIC, seed, own.OWN), {**found, "paths": {"searched": 30.0 + seed, "random": 31.0}})
        within["searched"] = {"pq": 55.0 + less, "gflops": 0.1}
        for last in (own.BAYESIAN, own.FINALISTS):
            rows.put(worth.row_name(ELASTIC, seed, last), {**found, "paths": {"searched": 35.0, "random": 31.0}})
        drawn = {"seed": seed, "pq": 53.0, "gflops": 0.11, "searched": 55.0 + less, "difference": 2.0 + less}
        drawn["on_nas_val"] = {"random-1": 53.0, "random-2": 50.0, "random-3": 51.0}
        rows.put(worth.row_name(ELASTIC, seed, as_many.AS_MANY), drawn)
    for seed in (8, 9, 10):
        further = {"searched": 60.0, "hand-made": 58.0, "random": 59.0}
        scratch = {"searched": 70.0 + seed, "hand-made": 80.0, "random": 70.0 + seed}
        networks = {name: {"pq": pq, "gflops": 0.1} for name, pq in further.items()}
        run = {"seed": seed, "networks": networks, "seconds": 400, "stages": {"data": 9.0, "supernet": 391.0}}
        rows.put(shipped.run_name(Study(), seed), {**run, "machine": {"cores": 2, "cpu": "a fast one"}})
        few = {"networks": 5 if seed == 8 else 6, "pq": 70.0 + seed, "gflops": 0.09, "time": 782.0, "spent": 780.0}
        rows.put(worth.row_name(STUDY.shipped, seed, "few/end"), few)
        for name, pq in scratch.items():
            rows.put(
                shipped.scratch_name(Study(), seed, name),
                {"seed": seed, "val": pq, "gflops": 0.1, "cpu_seconds": 160.0},
            )
    many = worth.row_name(ELASTIC, 0, f"{MANY}-{MIDDLE}")
    rows.put(f"{many}/end", {"pq": 30.0, "gflops": 0.15})
    # Of three there is time for two on the other processor, where a run takes 782 seconds of a core.
    for place, on_nas_val in enumerate((27.0, 28.0, 31.0)):
        rows.put(f"{many}/{place:03}", {"nas_val": on_nas_val, "val": on_nas_val - 1, "gflops": 0.1, "took": 390.0})
    for place, name in enumerate(ranking.names_of(ELASTIC)):
        for seed in (0, 1):
            categories = {"sky": float(place), "lily": 90.0 * (place % 2 == seed), "rose": float(place)}
            values = {"val": float(place), "nas_val": place + 1.0, "gflops": 0.1 + place, "by_category": categories}
            rows.put(ranking.alone_name(ELASTIC, seed, name), values)
    order = {name: float(place) for place, name in enumerate(ranking.names_of(ELASTIC))}
    rows.put(ranking.paths_name(ELASTIC, "uniform", "recalibrated"), {"recipe": "uniform paths", "pq": order})
    reverse = {name: -value for name, value in order.items()}
    rows.put(ranking.paths_name(ELASTIC, "fair", "shared-norms"), {"recipe": "fair cycles", "pq": reverse})
    longer = {**order, "spread-00": 99.0}
    rows.put(ranking.paths_name(ELASTIC, "longer", "recalibrated"), {"recipe": "uniform paths, longer", "pq": longer})
    roads = {name: {"pq": value, "gflops": 0.6} for name, value in zip(names, (31.0, 30.5, 29.0), strict=True)}
    rows.put(worth.row_name(camvid(Path()), 0, "run"), {"seed": 0, "budget": 0.9, "networks": roads})
    few = {name: float(place) for place, name in enumerate(ranking.names_of(OPERATORS))}
    for name, place in few.items():
        rows.put(ranking.alone_name(OPERATORS, 0, name), {"val": 60 + place, "nas_val": 60 + place, "gflops": 0.1})
    rows.put(ranking.paths_name(OPERATORS, "fair", "recalibrated"), {"recipe": "fair cycles", "pq": few})
    for seed in range(3):
        for kind, measured in ((price.FRONT, 1.0), (price.RACED, 0.1 if seed else 0.5)):
            answer = {"id": "same", "nas_val": 40.0, "val": 41.0}
            # The last has three before it that are no dearer and better, so that it need not be measured to the end.
            seen = [[0.1, 41.0], [0.1, 42.0], [0.1, 43.0], [0.1, 40.0]]
            found = {"measured": measured, "answer": answer, "seconds": 9, "candidates": seen, "chunks": 20}
            found |= {"trials": 40, "budget": 0.2}
            rows.put(price.search_name(kind, seed), {"seed": seed, **found})
        for strategy, val in (("path-priority", 42.0 + seed), ("random", 42.0)):
            found = {"answer": {"nas_val": 43.0, "val": val}, "best": {"nas_val": 43.0, "val": 42.0}}
            found["trials"] = 37 if strategy == "path-priority" else 40
            rows.put(published.search_name(strategy, seed), found)
    # 40 candidates, of which the later are better from the first chunk on.
    pq = [[30.0 + place + chunk / 100 for chunk in range(20)] for place in range(40)]
    traced = {"seed": 1, "budget": 0.2, "gflops": [0.1] * len(pq), "pq": pq, "before": 0.2, "chunk": 0.1}
    rows.put(traces.TRACES, traced)
    table = {"counting": 0.2, "making": 3.0, "early": 0.01, "looking_up": 0.001}
    rows.put(price.TABLE, {**table, "looked_up": 200, "largest_error": 0.0})
    return settled(rows)


def settled(rows: Rows) -> Rows:
    """Give rows the settings of the study that they are of."""
    for job in plan.jobs(STUDY, Console(quiet=True)):
        for name in job.names:
            if name in rows:
                rows.put(name, {**rows[name], "settings": job.settings})
    return rows
