"""Fitting the judge of predicted things."""

import numpy as np
import torch

from eval.race.judge import JudgedThings, figures, fitted
from panoptic3d.metrics.calibration import auroc
from panoptic3d.models.clearview.judge import FEATURES, chance_of


def test_the_fit_finds_what_matters_and_is_calibrated() -> None:
    random = np.random.default_rng(0)
    evidence = random.normal(3.0, 2.0, (20_000, len(FEATURES)))
    logit = 1.5 * (evidence[:, 2] - 3) - 0.8 * (evidence[:, 5] - 3) - 1
    is_right = random.random(len(logit)) < 1 / (1 + np.exp(-logit))
    judge = fitted(JudgedThings(evidence, is_right))
    weights = np.array(judge.weights)
    assert weights[2] > 1.3  # 1.5, less what the ridge takes
    assert weights[5] < -0.65
    assert np.abs(np.delete(weights, [2, 5])).max() < 0.02
    chance = chance_of(torch.from_numpy(evidence), judge).numpy()
    assert abs(chance.mean() - is_right.mean()) < 1e-3
    assert auroc(chance, is_right) > auroc(logit, is_right) - 0.002
    found = figures(JudgedThings(evidence, is_right), judge)
    assert found["auroc"] > found["auroc_of_seeds"] + 0.1
    assert found["calibration_error"] < 0.03 < found["calibration_error_of_seeds"]
