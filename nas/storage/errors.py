"""What is wrong with a journal."""


class JournalError(RuntimeError):
    """The journal's file is damaged, in use by another search, cannot be written, or belongs to another search."""
