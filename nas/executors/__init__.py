"""Executors run evaluators and hand their results back."""
