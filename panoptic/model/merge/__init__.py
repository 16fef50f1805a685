"""Merging instances and semantics into one panoptic map."""
