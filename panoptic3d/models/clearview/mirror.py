"""A map of the mirror image of a photo, back at the pixels of the photo, and averages with it."""

import torch
from torch import Tensor

_BACK = (-1.0, 1.0, 1.0)  # of vectors in the camera's frame


def at_photo(values: Tensor) -> Tensor:
    return values.flip(-1)


def vectors_at_photo(values: Tensor) -> Tensor:
    """Maps (b 3 h w) of vectors, which are mirrored as well."""
    return values.flip(-1) * values.new_tensor(_BACK)[:, None, None]


def turned_back(vectors: Tensor) -> Tensor:
    """Vectors (b 3) without a place in the image."""
    return vectors * vectors.new_tensor(_BACK)


def geometric_mean(first: Tensor, second: Tensor) -> Tensor:
    return torch.exp((first.log() + second.log()) / 2)
