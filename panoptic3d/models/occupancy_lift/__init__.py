"""The lift slot, filled by BUOL's: all voxels between what a pixel shows and the stuff behind it, with the pixel's classes."""
