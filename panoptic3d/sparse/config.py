"""What a user may set of the sparse engine."""

from typing import Any, Literal, get_args

from pydantic import Field, field_validator

from panoptic3d.choices import refuse_strangers
from panoptic3d.config import Config

BackendName = Literal["torch", "triton", "spconv", "spconv-triton", "minkowski", "warpconvnet"]


class SparseConfig(Config):
    """The defaults were chosen by measurement (docs/sparse.md). Memory is bounded by the last three."""

    backend: str = "auto"  # or a built-in name, or package.module:NAME
    # A submanifold convolution of a set that fills this share of its box is computed densely within the mask.
    dense_from_occupancy: float | None = Field(default=0.8, gt=0, le=1)
    # Submanifold convolutions without a gradient may use Winograd's tiles on a CPU: of 2 x 2 cells, which round as a direct
    # convolution does, or up to 4 x 4, which are faster and round five times as much. 0 is never.
    tile: Literal[0, 2, 4] = 2
    # Rows whose partial sums live at one time: about 3 x rows_per_block x channels values of scratch.
    rows_per_block: int = Field(default=32_768, ge=64)
    # Gathered inputs of one matrix product: in the cache, and large enough that two threads seldom wait for each other.
    gather_bytes: int = Field(default=1 << 22, ge=1 << 12)
    # Neighbours are looked up in a dense table of the bounding box up to this size, by binary search beyond it.
    table_bytes: int = Field(default=1 << 29, ge=0)

    @field_validator("backend")
    @classmethod
    def _known(cls, name: str, info: Any) -> str:  # a ValidationInfo, which beartype cannot check
        if name == "auto" or name in get_args(BackendName):
            return name
        if ":" not in name:
            raise ValueError(f"choose from auto, {', '.join(get_args(BackendName))}, or give package.module:NAME")
        if info.context is not None:  # the name comes from a file; a name typed in Python is trusted
            refuse_strangers("sparse back end", name, info.context.get("trust", ()))
        return name


DEFAULT_SPARSE_CONFIG = SparseConfig()
