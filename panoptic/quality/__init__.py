"""Panoptic quality (PQ), exact."""
