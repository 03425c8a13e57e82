"""Our own method: rays say what is there and what is behind, voxels gather it, and seeds in the volume become things."""
