"""Writes docs/benchmarks.md and its figures from the results; no number is typed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.strategies import figures, npz
from benchmarks.strategies.contestants import CONTESTANTS
from benchmarks.strategies.published import BUDGET, QUERIES, QUERIES_BAR, SPEED_MS
from benchmarks.strategies.results import Entry, Results, read

PAGE = "benchmarks.md"
DRAWN = (
    "random",
    "regularized-evolution",
    "evolution",
    "local-search",
    "bayesian-optimization",
    "optuna-tpe",
    "optuna-nsga2",
    "nni-regularized-evolution",
)
DRAWN_FRONT = (
    "random",
    "regularized-evolution",
    "evolution",
    "nsga2",
    "bayesian-optimization-known",
    "optuna-random",
    "optuna-tpe",
    "optuna-nsga2",
)
INTRODUCTION = """# Benchmarks of the strategies

<!-- Written by `python -m benchmarks.strategies report` from benchmarks/results/strategies. Do not edit. -->

What a strategy is worth shows on a table in which every architecture of a space has been trained: there a search costs
milliseconds, and can be repeated with many seeds. Each run drives the strategy through `Search.ask` and `Search.tell`,
as a user's own loop does. Peers are driven as their users drive them: Optuna through `Study.ask` and `Study.tell`,
NNI's strategies on an execution engine that answers from the table. Optuna may ask for an architecture again; every
time counts as an evaluation. The strategies of this library never repeat one, and NNI's do not with their defaults.
"""
SCHEMA = """## Run them

In a clone of the repository, from its root, after `pip install -e ".[bench]"`:

```bash
python -m benchmarks.strategies queries --table nasbench201.npz --contestant evolution --seeds 100
python -m benchmarks.strategies queries --graph cora --measure test   # without a file: a package that is installed
python -m benchmarks.strategies queries --graph cora --measure test --seeds 20 --cap 1000 --results mine \\
  --contestant evolution --contestant examples.custom_strategy:HillClimbing   # a strategy of your own
python -m benchmarks.strategies report --results mine --docs mine
```

`--help` lists the commands, and the options of each. A command adds its contestants to the results in
`benchmarks/results/strategies`, or in the folder `--results`; interrupted, it goes on where it was. `--merged` makes
isomorphic cells of NAS-Bench-201 one architecture. A strategy of your own is `MODULE:CLASS`, of a module in the folder
in which the command runs or that is installed; its parameters have their defaults, and its finished runs are kept for
as long as the module's source stays the same.

A table is made of the official API object of NATS-Bench or NAS-Bench-201, whose files you fetch yourself; it has no
latencies, which the commands `bounded` and `front` need:

```python
from nats_bench import create

from benchmarks.strategies.convert import from_nats_bench

from_nats_bench(create("NATS-tss-v1_0-3ffb9-simple", "tss", fast_mode=True, verbose=False), "nasbench201.npz")
```

### A table file

"""


def write(results: Path, docs: Path) -> Path:
    """Write the page and its figures.

    Args:
        results: the folder of the JSON files.
        docs: where the page goes; the figures go to ``benchmarks`` beside it.

    Returns:
        The page's path.

    Raises:
        FileNotFoundError: when there are no results.
    """
    found = [read(path) for path in sorted(results.glob("*.json"))]
    found = [result for result in found if result.protocol in SECTIONS]
    if not found:
        raise FileNotFoundError(f"There are no results of the strategies in {results}: measure something first.")
    order = list(SECTIONS)
    found.sort(key=lambda result: (order.index(result.protocol), result.table.get("name", "")))
    parts = [INTRODUCTION]
    parts.extend("\n".join(SECTIONS[result.protocol](result, docs)) for result in found)
    parts.append(SCHEMA + _schema())
    parts.append("\n".join(_appendix(found)))
    page = docs / PAGE
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("\n\n".join(part.strip() for part in parts) + "\n")
    return page


def _budget(results: Results, docs: Path) -> Iterator[str]:
    for problem in results.problems:
        entries = list(results.of_problem(problem))
        seconds = entries[0][1]["settings"]["seconds"]
        yield f"## Best within {seconds:,.0f} simulated seconds: {results.table['name']}\n"
        yield f"Dong and Yang's protocol: the search sees `{problem}` and pays the training time of each evaluation;"
        yield "an evaluation that would end after the budget does not count and ends the search. Test accuracy in"
        yield "percent of the architecture that it found, mean ± standard deviation over the runs. In parentheses"
        yield "whether our mean lies within one standard deviation of the published one.\n"
        datasets = list(entries[0][1]["summary"]["test"])
        rows = [[f"*{who}*, published", "500", "", *cells] for who, cells in _published_budget(datasets)]
        yield table(
            ["", "runs", "evaluations", *datasets], [*(_budget_row(*entry, datasets) for entry in entries), *rows]
        )
    yield from _left_out(results)


def _budget_row(name: str, entry: Entry, datasets: Sequence[str]) -> list[str]:
    summary = entry["summary"]
    cells = [_with_verdict(name, dataset, summary["test"][dataset]) for dataset in datasets]
    return [name, str(entry["seeds"]), f"{summary['evaluations']['mean']:.1f}", *cells]


def _with_verdict(name: str, dataset: str, found: dict[str, float]) -> str:
    text = f"{found['mean']:.2f} ± {found['std']:.2f}"
    published = BUDGET.get(name, {}).get(dataset)
    if published is None:
        return text
    mean, std = published
    return f"{text} ({'within' if abs(found['mean'] - mean) <= std else 'outside'})"


def _published_budget(datasets: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    for who, values in BUDGET.items():
        pairs = [values.get(dataset) for dataset in datasets]
        yield who, ["" if pair is None else f"{pair[0]:.2f} ± {pair[1]:.2f}" for pair in pairs]


def _queries(results: Results, docs: Path) -> Iterator[str]:
    yield f"## Evaluations until the best is found: {results.table['name']}\n"
    yield "The search sees the column itself and ends when it evaluates an architecture with the column's largest"
    yield "value."
    yield from _until_best(results)
    if results.table["name"] == "nasbench201":
        rows = [[f"*{who}*, published", *map(str, counts)] for who, counts in QUERIES.items()]
        rows.append(["*bar for the best strategy here*", *map(str, QUERIES_BAR)])
        yield "\nPublished means, on the same three columns:\n"
        yield table(["", *results.problems], rows)
    yield from _regret_figure(results, docs)


def _bounded(results: Results, docs: Path) -> Iterator[str]:
    yield f"## The best under a bound on the latency: {results.table['name']}\n"
    yield "The bound is a constraint on a cost: strategies of this library never propose what breaks it. Optuna"
    yield "hears of it after an evaluation, so its proposals that break it count. NNI's strategies take no"
    yield "constraints."
    yield from _until_best(results)
    yield from _regret_figure(results, docs)


def _until_best(results: Results) -> Iterator[str]:
    yield "A run that reaches its cap has not found it: then there is no mean, and a quartile that lies among such"
    yield "runs is given as larger than the cap. `distinct` is the mean number of different architectures evaluated;"
    yield "the time is the processor's, search and look-up together.\n"
    header = ["", "runs", "found", "mean", "std", "25 %", "median", "75 %", "distinct", "cap", "ms an evaluation"]
    for problem in results.problems:
        yield f"\n### {problem}\n"
        yield table(header, [_until_best_row(*entry) for entry in results.of_problem(problem)])
    yield from _left_out(results)


def _until_best_row(name: str, entry: Entry) -> list[str]:
    summary, cap = entry["summary"], entry["settings"]["cap"]
    quartiles = [f"> {cap}" if summary[key] is None else f"{summary[key]:.0f}" for key in ("q25", "median", "q75")]
    numbers = ["-" if summary[key] is None else f"{summary[key]:.1f}" for key in ("mean", "std", "mean_distinct")]
    counts = [str(entry["seeds"]), str(summary["found"])]
    return [name, *counts, *numbers[:2], *quartiles, numbers[2], str(cap), f"{entry['cpu_ms']:.2f}"]


def _regret_figure(results: Results, docs: Path) -> Iterator[str]:
    path = docs / "benchmarks" / f"{results.path.stem}.png"
    figures.regret(results, DRAWN, path, "regret, percentage points")
    yield f"\n![Regret against evaluations](benchmarks/{path.name})\n"
    yield "Anytime curves: the median regret (the best value less the best found so far) with the quartiles as a band."


def _front(results: Results, docs: Path) -> Iterator[str]:
    yield f"## Accuracy against latency: {results.table['name']}\n"
    yield "The hypervolume of what has been evaluated, as a share of that of the table's true front; its reference"
    yield "point is the table's median accuracy and its largest latency. Median over the runs, and the quartiles at"
    yield "the end.\n"
    for problem in results.problems:
        entries = list(results.of_problem(problem))
        counts = [count for count in entries[0][1]["curve"]["evaluations"] if count in (50, 100, 200, 300, 500)]
        yield f"\n### {problem}\n"
        rows = [_front_row(name, entry, counts) for name, entry in entries]
        yield table(["", "runs", *(f"after {count}" for count in counts), "quartiles", "ms an evaluation"], rows)
    yield from _left_out(results)
    path = docs / "benchmarks" / f"{results.path.stem}.png"
    figures.share(results, DRAWN_FRONT, path, "share of the true front's hypervolume")
    yield f"\n![Hypervolume against evaluations](benchmarks/{path.name})"


def _front_row(name: str, entry: Entry, counts: Sequence[int]) -> list[str]:
    curve = entry["curve"]
    medians = [curve["median"][curve["evaluations"].index(count)] for count in counts]
    ends = f"{curve['q25'][-1]:.3f} to {curve['q75'][-1]:.3f}"
    return [name, str(entry["seeds"]), *(f"{value:.3f}" for value in medians), ends, f"{entry['cpu_ms']:.2f}"]


def _propose(results: Results, docs: Path) -> Iterator[str]:
    yield "## Time of a proposal\n"
    yield "Processor time of `propose` alone, on this machine, in the strategy's own search; the bars are those of the"
    yield "project.\n"
    for problem in results.problems:
        yield f"\n### {problem}\n"
        rows = []
        for name, entry in results.of_problem(problem):
            bar = SPEED_MS.get(name)
            times = [f"{entry['ms'][key]:.3f}" for key in ("median", "mean", "p95", "max")]
            rows.append([name, str(entry["proposals"]), *times, "" if bar is None else f"{bar:g}"])
        yield table(["", "proposals", "median ms", "mean ms", "95 % ms", "slowest ms", "bar ms"], rows)
    yield from _left_out(results)


SECTIONS: dict[str, Callable[[Results, Path], Iterator[str]]] = {
    "budget": _budget,
    "queries": _queries,
    "bounded": _bounded,
    "front": _front,
    "propose": _propose,
}


def _left_out(results: Results) -> Iterator[str]:
    reasons: dict[str, str] = {}
    for (_, name), why in results.left_out.items():
        reasons.setdefault(name, why)
    for name, why in reasons.items():
        yield f"\nLeft out: {name}. {why}"


def _schema() -> str:
    return (npz.__doc__ or "").partition("\n\n")[2].strip()


def _appendix(found: Sequence[Results]) -> Iterator[str]:
    yield "## Who, how and where\n"
    abouts: dict[str, str] = {}
    commands: dict[str, None] = {}
    places: dict[str, None] = {}
    for result in found:
        for (_, name), entry in result.entries.items():
            abouts[name] = entry["about"]
            commands[entry["command"]] = None
            places[_place(entry)] = None
    order = list(CONTESTANTS)
    names = sorted(abouts, key=lambda name: order.index(name) if name in order else len(order))
    yield table(["name", "contestant"], [[name, f"`{abouts[name]}`"] for name in names])
    yield "\nThe tables: " + "; ".join(dict.fromkeys(_named(r.table) for r in found if r.table)) + ".\n"
    yield "The commands:\n"
    yield "```bash\n" + "\n".join(commands) + "\n```\n"
    yield "Versions and machine:\n"
    yield from (f"- {place}" for place in places)


def _named(about: dict[str, str]) -> str:
    return f"{about['name']} (SHA-256 {about['fingerprint']}…)"


def _place(entry: Entry) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in entry["versions"].items())
    machine: dict[str, Any] = entry["machine"]
    return f"{versions}; {machine['cpu']}, {machine['cores']} cores, {machine['system']} {machine['architecture']}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; all columns but the first are aligned to the right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
