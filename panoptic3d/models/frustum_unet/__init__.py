"""The voxel-net slot, filled by PanoRecon's: a sparse U-Net around a dense bottleneck that makes voxels on its way up."""
