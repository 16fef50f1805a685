"""The study of what the search is worth in its smoke form: every part, in minutes."""

from __future__ import annotations

import signal
from pathlib import Path

from rich.console import Console
from typer.testing import CliRunner

from benchmarks.search_worth import cli, page, plan, study
from benchmarks.search_worth.parts import price, shipped
from benchmarks.search_worth.rows import Rows

QUIET = Console(quiet=True)


def test_the_smoke_form_makes_every_row_and_resumes(tmp_path: Path) -> None:
    runs, docs = tmp_path / "runs", tmp_path / "docs"
    arguments = ["run", "--smoke", "--runs", str(runs)]
    first = CliRunner().invoke(cli.app, arguments, catch_exceptions=False)
    assert "All rows are there." in first.output
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    rows = Rows(runs / "results")
    jobs = plan.jobs(study.smoke(runs), QUIET)
    assert not [name for one in jobs for name in one.missing(rows)]
    again = CliRunner().invoke(cli.app, arguments, catch_exceptions=False)
    assert again.output == "All rows are there.\n"
    CliRunner().invoke(cli.app, ["page", "--smoke", "--runs", str(runs), "--docs", str(docs)], catch_exceptions=False)
    text = (docs / page.PAGE).read_text()
    assert "No row is there yet." not in text
    assert "None: the study is whole." in text
    raced, whole = (rows[price.search_name(kind, 0)] for kind in (price.RACED, price.FRONT))
    assert whole["measured"] == 1.0
    assert 0 < raced["measured"] <= 1
    assert rows[price.TABLE]["largest_error"] < 1e-9
    of = study.smoke(runs)
    (seed,) = shipped.seeds_of(of)
    networks = rows[shipped.run_name(of, seed)]["networks"]
    for label, network in networks.items():
        alone = rows[shipped.scratch_name(of, seed, label)]
        assert alone["architecture"] == network["architecture"]
        assert alone["val"] >= 0
        assert alone["by_category"]
