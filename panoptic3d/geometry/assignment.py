"""Linear assignment with a gate: pairs of least cost, and what stays unpaired."""

import numpy as np
from jaxtyping import Bool, Float, Int64
from scipy.optimize import linear_sum_assignment


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
    rows, columns = linear_sum_assignment(gated)
    is_made = gated[rows, columns] < 0
    return np.stack((rows[is_made], columns[is_made]), axis=1).astype(np.int64)
