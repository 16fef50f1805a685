"""Run as ``python -m benchmarks.search_worth``."""

from benchmarks.search_worth.cli import app

app()
