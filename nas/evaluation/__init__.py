"""Evaluators: they turn an architecture into metrics."""
