"""Clearview's maps, and what turns their segments into queries."""

from typing import Literal

from pydantic import Field

from panoptic3d.models.clearview.config import PixelConfig


class PixelQueriesConfig(PixelConfig):
    name: Literal["pixel-queries"] = "pixel-queries"
    num_channels: int = Field(default=64, ge=1)  # of a query
    min_pixels: int = Field(default=50, ge=0)  # a segment has more

    @property
    def num_query_channels(self) -> int:
        return self.num_channels
