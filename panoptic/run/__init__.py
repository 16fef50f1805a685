"""A run: its folder, and its stages, each of which goes on where the folder says."""
