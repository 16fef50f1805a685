"""Supernets: one network that holds every option's weights, its paths and its training."""
