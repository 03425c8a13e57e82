"""How much a confidence in [0, 1] means: whether it tells right from wrong, and whether 0.7 is right in 70 of 100 cases."""

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import rankdata

_NUM_BINS = 15
_NUM_SHARES = 100  # of the sparsification curve


def auroc(confidence: Float[np.ndarray, " n"], is_right: Bool[np.ndarray, " n"]) -> float:
    """The chance that a right case has more confidence than a wrong one; ties count half. NaN without both kinds."""
    num_right = int(is_right.sum())
    num_wrong = len(is_right) - num_right
    if not num_right or not num_wrong:
        return float("nan")
    ranks = rankdata(confidence)
    return float((ranks[is_right].sum() - num_right * (num_right + 1) / 2) / (num_right * num_wrong))


def expected_calibration_error(
    confidence: Float[np.ndarray, " n"], is_right: Bool[np.ndarray, " n"], num_bins: int = _NUM_BINS
) -> float:
    """|mean confidence - share of right cases| in bins of equal width, weighted by their cases (Guo et al., ICML 2017)."""
    at = np.minimum((confidence * num_bins).astype(np.int64), num_bins - 1)
    told = np.bincount(at, confidence, minlength=num_bins)
    right = np.bincount(at, is_right, minlength=num_bins)
    return float(np.abs(told - right).sum() / max(len(confidence), 1))


def sparsification_error(confidence: Float[np.ndarray, " n"], is_right: Bool[np.ndarray, " n"]) -> float:
    """AUSE: how much worse than the best possible order it is to drop cases by ascending confidence. The area between the
    two curves of the error rate of what is kept, over the share that is dropped.
    """
    wrong = ~is_right
    return float(np.mean(_curve(wrong, confidence) - _curve(wrong, is_right.astype(np.float64))))


def _curve(wrong: Bool[np.ndarray, " n"], confidence: Float[np.ndarray, " n"]) -> Float[np.ndarray, " shares"]:
    order = np.argsort(-confidence, kind="stable")
    kept = np.maximum((len(wrong) * (1 - np.arange(_NUM_SHARES) / _NUM_SHARES)).astype(np.int64), 1)
    return np.cumsum(wrong[order])[kept - 1] / kept
