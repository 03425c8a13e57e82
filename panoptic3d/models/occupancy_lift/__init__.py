"""The lift slot, filled by BUOL's: voxels between what a pixel shows and the stuff behind it, with the pixel's classes."""
