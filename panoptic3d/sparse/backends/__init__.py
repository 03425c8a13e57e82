"""Back ends of the sparse engine: one protocol, one file each, one place that chooses."""
