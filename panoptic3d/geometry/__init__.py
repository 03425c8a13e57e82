"""Pure functions on tensors. Each signature names frames and units; docs/conventions.md defines them."""
