"""What a search has found: tables, plots, exports."""
