"""The panoptic slot, filled by Panoptic-DeepLab (Cheng et al., CVPR 2020): classes, heat map of centres, offsets to them."""
