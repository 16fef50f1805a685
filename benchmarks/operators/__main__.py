"""Starts the command line."""

from benchmarks.operators.cli import app

app()
