"""Explain running out of memory in terms of voxels and settings."""

from collections.abc import Iterator
from contextlib import contextmanager

from panoptic3d.errors import Panoptic3dError
from panoptic3d.machine import is_out_of_memory
from panoptic3d.sparse.config import SparseConfig


@contextmanager
def explained_memory(work: str, num_voxels: int, config: SparseConfig) -> Iterator[None]:
    """Turns an allocator's complaint into one that names the work, the number of voxels and the setting to lower."""
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise Panoptic3dError(
            f"{work} over {num_voxels} voxels ran out of memory; lower sparse.rows_per_block (now "
            f"{config.rows_per_block}) or sparse.table_bytes (now {config.table_bytes}), or give fewer voxels."
        ) from error
