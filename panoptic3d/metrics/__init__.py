"""Panoptic reconstruction quality and the geometry scores beside it."""
