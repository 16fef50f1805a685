"""Strategies on published tables of neural architectures; run as ``python -m benchmarks.strategies COMMAND``."""
