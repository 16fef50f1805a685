"""Starts the command line."""

from benchmarks.strategies.cli import app

app()
