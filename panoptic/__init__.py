"""Panoptic segmentation: data, networks, training, merging, quality, and their joint search."""
