"""Proposals, boxes, masks and semantics."""
