"""`panoptic3d data generate / verify / pack / assets / inspect`."""
