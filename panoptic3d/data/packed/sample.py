"""A sample to bytes and back."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
import zstandard
from torch import Tensor

from panoptic3d.data.arrays import PathLike
from panoptic3d.data.packed.container import LEVEL, Block, Packed, dump, load, parse
from panoptic3d.data.packed.pixels import (
    decode_depth,
    decode_image,
    decode_label_maps,
    encode_depth,
    encode_image,
    encode_pairs,
)
from panoptic3d.data.packed.voxels import decode_mask, decode_truth, encode_mask, encode_truth
from panoptic3d.data.reasons import bad_file
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.sample import Sample
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY, MATTERPORT_TAXONOMY

MaskReader = Callable[[VoxelGrid], Tensor]  # of the frustum mask that samples without one of their own share
TAXONOMIES = {taxonomy.name: taxonomy for taxonomy in (FRONT3D_TAXONOMY, MATTERPORT_TAXONOMY)}


def encode_sample(
    sample: Sample,
    *,
    depth_steps_per_m: int,
    has_own_mask: bool,
    jpeg: bytes | None = None,
    source: dict[str, int] | None = None,
    level: int = LEVEL,
) -> bytes:
    """`has_own_mask` writes the frustum mask into the file; without it the root's mask serves. `jpeg` is the file that the
    photo came from: it is kept as it is, five times smaller than its pixels without loss. `level` is zstandard's.
    """
    facts: dict[str, Any] = {
        "scene": sample.scene,
        "frame": sample.frame,
        "camera": asdict(sample.camera),
        "taxonomy": sample.taxonomy.name,
        "depth_steps_per_m": depth_steps_per_m,
        "world_from_camera": None if sample.world_from_camera is None else sample.world_from_camera.tolist(),
        "source": source or {},
    }
    blocks = {
        "image": encode_image(sample.image.numpy()) if jpeg is None else Block(jpeg, codec="none"),
        "depth": encode_depth(sample.depth_m.numpy(), depth_steps_per_m),
        **encode_pairs("labels_2d", sample.semantic_2d.numpy(), sample.instance_2d.numpy()),
    }
    if sample.room_2d is not None:
        blocks |= encode_pairs("room_2d", torch.zeros_like(sample.room_2d).numpy(), sample.room_2d.numpy())
    if sample.truth is not None:
        facts["voxels"], voxel_blocks = encode_truth(sample.truth)
        facts["grid"] = asdict(sample.truth.grid)
        blocks |= voxel_blocks
        if has_own_mask:
            blocks["frustum_mask"] = encode_mask(sample.truth.frustum_mask)
    return dump(facts, blocks, level)


def read_packed_file(path: PathLike, shared_mask: MaskReader, has_voxels: bool = True) -> Sample:
    return _decode(load(path), shared_mask, has_voxels)


def decode_sample(data: bytes, shared_mask: MaskReader, path: PathLike = "memory") -> Sample:
    return _decode(parse(data, path), shared_mask, has_voxels=True)


def _decode(packed: Packed, shared_mask: MaskReader, has_voxels: bool) -> Sample:
    try:
        return _decode_parts(packed, shared_mask, has_voxels)
    except (KeyError, ValueError, TypeError, OSError, zstandard.ZstdError) as error:  # past every checksum: not ours
        raise bad_file(packed.path, "corrupt", expected="a packed sample", found=repr(error)) from error


def _decode_parts(packed: Packed, shared_mask: MaskReader, has_voxels: bool) -> Sample:
    facts = packed.facts
    camera = Camera(**facts["camera"])
    semantic_2d, instance_2d, room_2d = decode_label_maps(packed, facts["camera"])
    pose = facts["world_from_camera"]
    truth = None
    if has_voxels and "voxels" in facts:
        grid = _grid(facts["grid"])
        mask = decode_mask(packed, grid.shape) if "frustum_mask" in packed else shared_mask(grid)
        truth = decode_truth(packed, facts["voxels"], grid, mask)
    return Sample(
        scene=facts["scene"],
        frame=facts["frame"],
        image=decode_image(packed.block("image")),
        camera=camera,
        depth_m=decode_depth(packed.block("depth"), facts["depth_steps_per_m"], (camera.height, camera.width)),
        semantic_2d=semantic_2d,
        instance_2d=instance_2d,
        truth=truth,
        world_from_camera=None if pose is None else torch.tensor(pose, dtype=torch.float64),
        room_2d=room_2d,
        taxonomy=TAXONOMIES[facts["taxonomy"]],
    )


def _grid(facts: dict[str, Any]) -> VoxelGrid:
    x, y, z = facts["shape"]
    a, b, c = facts["camera_index"]
    return VoxelGrid((x, y, z), facts["voxel_size_m"], (a, b, c))
