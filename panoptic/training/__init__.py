"""Training panoptic networks and supernets by Lightning."""
