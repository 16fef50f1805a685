"""Which components a network has where they are choices, as in the space published."""
