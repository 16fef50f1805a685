"""The sections of the page, each made from the rows of its part that are there."""
