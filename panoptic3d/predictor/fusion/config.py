"""The thresholds of fusion. `accepted_above`, `kept_above` and `free_weight` were chosen on validation rooms
(docs/experiments/2026-12-01-fusion.md); the others are those of the prototype.
"""

from typing import Literal

from pydantic import Field

from panoptic3d.config import Config


class BetaConfig(Config):
    """Of the uncertainty that is learned for the pixels of each photo."""

    num_rounds: int = Field(default=2, ge=1)
    class_weight: float = Field(default=0.05, ge=0)  # of a pixel whose class the other photos do not confirm
    log_weight: float = Field(default=0.05, gt=0)  # lambda: beta settles at sqrt(error / lambda)
    variance_weight: float = Field(default=0.1, ge=0)
    # The weight of a cell is (reference / beta)^power, and at most 1.
    reference_quantile: float = Field(default=0.9, ge=0, le=1)
    power: float = Field(default=4.0, gt=0)
    free_share: float = Field(
        default=0.5, ge=0, le=1
    )  # of the weight that a vote for a surface loses: it votes for free space
    num_steps: int = Field(default=300, ge=1)
    batch_size: int = Field(default=1024, ge=1)
    learning_rate: float = Field(default=3e-3, gt=0)


class FusionConfig(Config):
    occupied_above: float = Field(default=0.5, gt=0, lt=1)  # share of the views' weight that makes a voxel surface
    softness_vox: float = Field(default=0.25, gt=0)  # of a view's opinion around one voxel from its surface
    behind: float = Field(default=0.3, ge=0, le=1)  # weight of a view's votes behind its own visible surface
    # Near its surfaces a predicted view weighs as much as the voxel's confidence, the chance that it is right. Where it has
    # no surface near, it is right more often than the spread of the ray says: its weight is multiplied by this.
    free_weight: float = Field(default=4.0, gt=0)
    behind_margin_m: float = Field(default=0.09, ge=0)
    reach_vox: float = Field(default=2.5, gt=1, le=3)  # voxels so near to any view's surface are looked at
    # "none" is a control: every thing of every view keeps an id of its own.
    association: Literal["assignment", "none"] = "assignment"
    accepted_above: float = Field(default=0.1, ge=0, lt=1)  # mean vote share that an id must have of a thing's voxels
    # Above this fraction of votes, parts are one thing even if the views disagree on the class; 1 requires one class.
    accepted_of_any_class_above: float = Field(default=1.0, ge=0, le=1)
    min_known_share: float = Field(default=0.1, ge=0, le=1)  # of a thing's voxels that other views tell of
    merged_above: float = Field(default=0.5, ge=0, le=1)  # overlap over union of two ids where both could be seen
    # A thing that wins less than this share of the voxels that name it is dropped: other views say otherwise there.
    kept_above: float = Field(default=0.4, ge=0, le=1)
    max_rounds: int = Field(default=3, ge=0)
    # "learned": photos that show what the others do not are believed less there (photo_weights.py).
    photo_weights: Literal["equal", "learned"] = "equal"
    beta: BetaConfig = BetaConfig()
    near_m: float = Field(default=0.4, ge=0)
    far_m: float = Field(default=6.0, gt=0)
