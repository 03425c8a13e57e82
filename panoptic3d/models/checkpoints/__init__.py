"""Checkpoint folders: find them, read config and weights, build the network."""
