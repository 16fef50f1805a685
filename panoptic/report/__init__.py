"""A run as one page of HTML that needs nothing else: what was found, how, and how to use it."""
