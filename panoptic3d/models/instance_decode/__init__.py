"""The decode slot, filled by PanoRecon's: an instance channel and a class for each voxel become things and stuff."""
