"""Modules over sparse voxels: convolutions, norms, blocks and a U-Net."""
