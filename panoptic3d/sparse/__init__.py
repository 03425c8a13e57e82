"""Sparse convolution: voxel sets, plans built once, operations, layers, back ends."""
