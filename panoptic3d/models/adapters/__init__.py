"""The panoptic-2D slot, filled by other people's detectors. Their packages stay optional."""
