"""The switches and thresholds of the decoder."""

from typing import Literal

from pydantic import Field

from panoptic3d.models.pipeline_config import DecodeSlot


class QueryDecodeConfig(DecodeSlot):
    name: Literal["queries"] = "queries"
    # What a surface voxel without a label takes: the segment of its best query if that has one ("best"), or that of the best
    # query that has one ("accepted"), so that no surface stays without.
    fill: Literal["best", "accepted"] = "accepted"
    # Of a thing: that of its "query", or that times the mean "agreement" of its voxels with it.
    score: Literal["query", "agreement"] = "agreement"
    surface_vox: float = Field(default=1.5, gt=0)  # voxels at most this far from the surface get a label at any price
    truncation_vox: float = 3.0
