"""Meshes and files of a panoptic scene."""
