"""Truth of a view: labels and depth of pixels, distances and labels of voxels."""
