"""The panoptic slot filled by Uni-3D's mask transformer: queries that find a segment and its depth together."""
