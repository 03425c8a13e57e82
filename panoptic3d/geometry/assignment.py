"""Linear assignment: pairs of least cost, and with a gate what stays unpaired."""

import numpy as np
from jaxtyping import Bool, Float, Int64
from scipy.optimize import linear_sum_assignment


def pairs_of_all(cost: Float[np.ndarray, "rows columns"]) -> Int64[np.ndarray, "m 2"]:
    """Pairs (row, column) whose summed cost is least, by ascending row: as many as the shorter side has members."""
    return np.stack(linear_sum_assignment(cost), axis=1).astype(np.int64)


def assigned_pairs(
    cost: Float[np.ndarray, "rows columns"], is_allowed: Bool[np.ndarray, "rows columns"] | None = None
) -> Int64[np.ndarray, "m 2"]:
    """Pairs (row, column) of the matching whose summed cost is least, by ascending row; pairs that are not allowed are never
    made. A row may stay alone, and does where its every allowed column costs more than 0: being alone costs 0.

    Equal costs are decided by the order of rows and columns, so the answer is the same on every machine.
    """
    if not np.isfinite(cost).all():
        raise ValueError("costs must be finite; use `is_allowed` for pairs that must not be made")
    if not cost.size:
        return np.zeros((0, 2), np.int64)
    gated = np.minimum(cost, 0.0) if is_allowed is None else np.where(is_allowed, np.minimum(cost, 0.0), 0.0)
    pairs = pairs_of_all(gated)
    return pairs[gated[pairs[:, 0], pairs[:, 1]] < 0]
