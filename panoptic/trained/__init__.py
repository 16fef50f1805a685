"""Trained networks: found on disk, measured on any data set, and used on any image."""
