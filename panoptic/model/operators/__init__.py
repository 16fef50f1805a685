"""The operators that a layer of a head chooses from."""
