"""Trials, their history, and what ranks them."""
