"""Search spaces: choices, architectures, symmetries, constraints, size."""
