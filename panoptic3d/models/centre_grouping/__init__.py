"""The decode slot, filled by BUOL's: voxels of a class go to the centre in the image at which they point."""
