"""The panoptic-2D slot, filled by a single-level Mask R-CNN in plain torch.

It is the C4 variant of maskrcnn-benchmark as PanoRecon uses it (section 3.3): features of stride 16 only, boxes with
inclusive corners (a box from x1 to x2 is `x2 - x1 + 1` wide), RoIAlign without the half-pixel shift.
"""
