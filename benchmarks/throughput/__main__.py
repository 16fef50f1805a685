"""Starts the command line."""

from benchmarks.throughput.cli import app

app()
