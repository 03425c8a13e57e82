"""Operations on vectors as rows, faster than numpy over a last axis of three."""

import numpy as np
from jaxtyping import Float, Int64, Real


def dots(one: Real[np.ndarray, "n k"], other: Real[np.ndarray, "n k"]) -> Float[np.ndarray, " n"]:
    return np.einsum("nk,nk->n", one, other)


def lengths(vectors: Real[np.ndarray, "n k"]) -> Float[np.ndarray, " n"]:
    return np.sqrt(dots(vectors, vectors))


def directions(vectors: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
    """Vectors normalised to length 1; vectors shorter than 1e-9 stay short."""
    return vectors / np.maximum(lengths(vectors), 1e-9)[:, None]


def of_corners(values: Float[np.ndarray, "v k"], corners: Int64[np.ndarray, "f c"]) -> Float[np.ndarray, "f k"]:
    """Sum of a value over the corners of each face."""
    total = values.take(corners[:, 0], axis=0)
    for corner in corners.T[1:]:
        total += values.take(corner, axis=0)
    return total
