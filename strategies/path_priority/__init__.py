"""Path priority (Auto-Panoptic, NeurIPS 2020)."""
