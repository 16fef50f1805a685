"""Training by several processes, and on parts of a batch."""
