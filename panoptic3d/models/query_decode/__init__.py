"""The decode slot for voxels that belong to queries of the image: Uni-3D's."""
