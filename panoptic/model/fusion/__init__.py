"""Fusion between foreground and background."""
