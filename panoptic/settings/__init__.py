"""Everything that fixes a run of the panoptic search, as values."""
