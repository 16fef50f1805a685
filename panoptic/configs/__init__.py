"""Runs of the panoptic search as YAML files: those that ship, and how such files are read, checked and written."""
