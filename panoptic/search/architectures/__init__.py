"""The bridge from panoptic networks to the search."""
