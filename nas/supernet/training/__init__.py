"""Training a supernet: what a pass does, and the switches of the papers."""
