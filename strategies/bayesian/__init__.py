"""Bayesian optimization."""
