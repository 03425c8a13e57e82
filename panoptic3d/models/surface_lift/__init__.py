"""The lift slot, filled by PanoRecon's: each pixel's features go to seven voxels around the surface that it sees."""
