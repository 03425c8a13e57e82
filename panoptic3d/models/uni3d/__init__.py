"""Uni-3D as a config of the pipeline."""
