"""`panoptic3d data generate / verify / pack / inspect`."""
