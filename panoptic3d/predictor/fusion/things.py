"""The things of one view as rows of the candidates, for association."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64

from panoptic3d.predictor.fusion.views import ViewVotes


@dataclass(frozen=True, eq=False)
class ViewThings:
    """Arrays `*_at` are over all candidates."""

    num_candidates: int
    rows: Int64[np.ndarray, " m"]  # candidates of which the view has a labelled surface within reach
    weight: Float32[np.ndarray, " m"]
    weight_at: Float32[np.ndarray, " n"]
    local_at: Int64[np.ndarray, " n"]  # the number of the thing, -1 for stuff and where nothing is
    is_known_at: Bool[np.ndarray, " n"]  # lies in the view's frustum
    thing_rows: Int64[np.ndarray, " t"]  # candidates with a thing
    thing_local: Int64[np.ndarray, " t"]
    instance_id: Int64[np.ndarray, " k"]  # as the view's scene has them
    class_id: Int64[np.ndarray, " k"]

    @property
    def mass(self) -> Float32[np.ndarray, " k"]:
        """The summed weight of the voxels of each thing."""
        weight = self.weight_at[self.thing_rows]
        return np.bincount(self.thing_local, weight, minlength=len(self.class_id)).astype(np.float32)

    @classmethod
    def of(cls, votes: ViewVotes, num_candidates: int) -> "ViewThings":
        is_labelled = votes.is_near & (votes.semantic > 0)
        rows, weight = votes.rows[is_labelled], votes.weight[is_labelled]
        instance, semantic = votes.instance[is_labelled], votes.semantic[is_labelled]
        is_thing = instance > 0
        instance_id, local = np.unique(instance[is_thing], return_inverse=True)
        counts = np.zeros((len(instance_id), 256), np.int64)
        np.add.at(counts, (local, semantic[is_thing]), 1)
        local_at = np.full(num_candidates, -1, np.int64)
        local_at[rows[is_thing]] = local
        weight_at = np.zeros(num_candidates, np.float32)
        weight_at[rows] = weight
        is_known_at = np.zeros(num_candidates, np.bool_)
        is_known_at[votes.rows] = True
        return cls(
            num_candidates,
            rows,
            weight,
            weight_at,
            local_at,
            is_known_at,
            rows[is_thing],
            local.astype(np.int64),
            instance_id.astype(np.int64),
            counts.argmax(axis=1) if len(counts) else np.zeros(0, np.int64),
        )
