"""Convert a sample to the bytes of a packed file, and back."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from panoptic3d.data.arrays import PathLike
from panoptic3d.data.packed.container import LEVEL, Block, Packed, dump, load, parse
from panoptic3d.data.packed.content import check_packed
from panoptic3d.data.packed.pixels import (
    decode_depth,
    decode_image,
    decode_label_maps,
    encode_depth,
    encode_image,
    encode_pairs,
)
from panoptic3d.data.packed.voxels import decode_mask, decode_truth, encode_mask, encode_truth
from panoptic3d.errors import reading
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.given_depth import DEPTH_KINDS, DepthKind
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.sample import Sample
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY, MATTERPORT_TAXONOMY

_MAX_PIXELS, _MAX_VOXELS = 1 << 26, 1 << 27  # four times and eight times as many as the releases have
_MAX_VOXEL_M, _MAX_STEPS_PER_M = 10.0, 1_000_000
_MOST_SIDES = 100  # of the picture, in a focal length: views from half a degree to 179 degrees wide
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
    if sample.depth_kind != "metric":  # files of metric depth keep the bytes that they always had
        facts["depth_kind"] = sample.depth_kind
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
    """Checksums tell that a file is as it was written, and not who wrote what into it."""
    with reading(packed.path, "a packed sample"):
        sample = _decode_parts(packed, shared_mask, has_voxels)
        check_packed(packed.path, sample)
        return sample


def _decode_parts(packed: Packed, shared_mask: MaskReader, has_voxels: bool) -> Sample:
    facts = packed.facts
    camera = _camera(facts["camera"])
    if not _is_number(facts["depth_steps_per_m"]) or not 0 < facts["depth_steps_per_m"] <= _MAX_STEPS_PER_M:
        raise ValueError(f"depth in steps of 1/{facts['depth_steps_per_m']} m")
    semantic_2d, instance_2d, room_2d = decode_label_maps(packed, facts["camera"])
    pose = facts["world_from_camera"]
    truth = None
    if has_voxels and "voxels" in facts:
        grid = _grid(facts["grid"])
        mask = decode_mask(packed, grid.shape) if "frustum_mask" in packed else shared_mask(grid)
        truth = decode_truth(packed, facts["voxels"], grid, mask)
    return Sample(
        scene=str(facts["scene"]),
        frame=str(facts["frame"]),
        image=decode_image(packed.block("image"), (camera.width, camera.height)),
        camera=camera,
        depth_m=decode_depth(packed.block("depth"), facts["depth_steps_per_m"], (camera.height, camera.width)),
        semantic_2d=semantic_2d,
        instance_2d=instance_2d,
        truth=truth,
        world_from_camera=None if pose is None else torch.tensor(pose, dtype=torch.float64).reshape(4, 4),
        room_2d=room_2d,
        taxonomy=TAXONOMIES[facts["taxonomy"]],
        depth_kind=_depth_kind(facts.get("depth_kind", "metric")),
    )


def _depth_kind(word: object) -> DepthKind:
    if word not in DEPTH_KINDS:
        raise ValueError(f"a depth of kind {word!r}")
    return next(kind for kind in DEPTH_KINDS if kind == word)


def _camera(facts: dict[str, Any]) -> Camera:
    camera = Camera(**facts)
    if camera.width * camera.height > _MAX_PIXELS:
        raise ValueError(f"an image of {camera.width}x{camera.height} pixels")
    side, lengths = max(camera.width, camera.height), (camera.fx_px, camera.fy_px)
    if not all(map(_is_number, facts.values())) or not all(
        side / _MOST_SIDES < f < side * _MOST_SIDES for f in lengths
    ):
        raise ValueError(f"a camera that no lens has: {facts}")
    if max(abs(camera.cx_px), abs(camera.cy_px)) > side * _MOST_SIDES:
        raise ValueError(f"a principal point at {camera.cx_px:g}, {camera.cy_px:g} px")
    return camera


def _is_number(value: object) -> bool:
    """JSON's true would count as 1."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _grid(facts: dict[str, Any]) -> VoxelGrid:
    x, y, z = facts["shape"]
    a, b, c = facts["camera_index"]
    if (
        not _is_number(facts["voxel_size_m"])
        or min(x, y, z) < 1
        or x * y * z > _MAX_VOXELS
        or not 0 < facts["voxel_size_m"] <= _MAX_VOXEL_M
    ):
        raise ValueError(f"a grid of {x}x{y}x{z} voxels of {facts['voxel_size_m']} m")
    return VoxelGrid((int(x), int(y), int(z)), float(facts["voxel_size_m"]), (float(a), float(b), float(c)))
