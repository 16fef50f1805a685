"""Panoptic heads without parameters or nearly so: one score per pixel for every stuff class and every instance."""
