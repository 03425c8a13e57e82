"""The panoptic slot for dense maps with queries: every segment of the picture asks for its voxels."""
