"""Stopping rules: when to end a trial early."""
