"""Parts of the network that a choice takes by name: those that ship, and those that a user adds."""
