"""The panoptic slot, filled by Panoptic-DeepLab (Cheng et al., CVPR 2020): semantics, a centre heat map, offsets to centres."""
