"""Costs of an architecture that need no training."""
