"""Layers whose channels and kernel sizes are choices: an architecture's part of the weights is a slice of them."""
