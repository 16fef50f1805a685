"""What each layer of an architecture costs: counted once, or measured on a device, for the options that decide it."""
