"""What a search writes down, and how it is read back."""
