"""Uni-3D's published weights: read safely, turned into ours, turned back."""
