"""Pure functions on tensors. Frames and units stand in each signature; docs/conventions.md says them first."""
