"""The answers in short, at the top of the page."""
