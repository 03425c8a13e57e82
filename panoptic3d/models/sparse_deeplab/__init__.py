"""The voxel net slot, filled by BUOL's: a sparse residual trunk and three DeepLab decoders, with heads at stride 2."""
