"""What ends a search."""


class SearchError(RuntimeError):
    """The search cannot go on."""
