"""The stages of a panoptic search."""
