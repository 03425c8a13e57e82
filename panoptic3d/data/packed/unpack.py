"""From the packed form back to the released 3D-Front layout, for programs that read nothing else.

To the bit: photo, 2D and 3D labels, weights, frustum mask, pose. Approximate: distances (1/68 voxel below 3 voxels, 1/32
beyond, on the same side of 1.0, 1.5, 2.0 and 3.0) and depth (0.1 mm). Lost: `room_id` of the pose file (written as 0); its
intrinsics are the right ones instead of the released ones. The coarse occupancy of a level, which the packed form keeps as
it was, follows from the distances again and may differ in a few cells.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from panoptic3d.data.arrays import PathLike
from panoptic3d.data.front3d import Front3dFiles, read_frustum_mask
from panoptic3d.data.front3d_writer import write_front3d_sample, write_frustum_mask
from panoptic3d.data.roots import DataRoot, check_manifest
from panoptic3d.errors import InputError


def unpack_root(
    source: DataRoot,
    out: PathLike,
    keys: Sequence[str],
    watch: Callable[[Iterator[str], int], Iterator[str]] = lambda keys, total: keys,
) -> list[Front3dFiles]:
    """Write the samples of a packed root as released files; a sample whose last file is there is left alone."""
    if source.layout != "packed" or check_manifest(source.path)["layout"] != "front3d":
        raise InputError(f"{source.path} is no packed 3D-Front data; only that can be written back.")
    out = Path(out)
    written = []
    for number, key in enumerate(watch(iter(keys), len(keys))):
        sample = source.read(key)
        assert sample.truth is not None
        if number == 0:
            write_frustum_mask(out, read_frustum_mask(source.path / "frustum_mask.npz", sample.truth.grid))
        files = Front3dFiles(out, sample.scene, sample.frame)
        if not files.weighting.exists():  # the last one to be written
            write_front3d_sample(out, sample)
        written.append(files)
    return written
