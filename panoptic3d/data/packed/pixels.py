"""The 2D part of a packed sample: the photo and the labels to the bit, depth within a stated step."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from panoptic3d.data.packed.container import Block, Packed, array_block
from panoptic3d.data.packed.residuals import byte_planes, differences, fold, from_byte_planes, sums, unfold
from panoptic3d.errors import InputError

Blocks = Mapping[str, Block]


def encode_image(image: np.ndarray) -> Block:
    """Lossless WebP of uint8 [3, h, w]: a quarter smaller than PNG and as fast to read."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))).save(
        buffer, "WEBP", lossless=True, quality=80, method=4, exact=True
    )
    return Block(buffer.getvalue(), codec="none")


def decode_image(data: bytes, size: tuple[int, int]) -> Tensor:
    """uint8 [3, h, w] of a picture that must have this (width, height)."""
    image = Image.open(io.BytesIO(data), formats=["WEBP", "JPEG"])
    if image.size != size:  # before its pixels take memory
        raise ValueError(f"a photo of {image.size[0]}x{image.size[1]} pixels for a camera of {size[0]}x{size[1]}")
    pixels = np.asarray(image.convert("RGB"))
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


def encode_depth(depth_m: np.ndarray, steps_per_m: int) -> Block:
    """Depth in whole steps. 0 means not measured, so the smallest depth that was measured is one step."""
    steps = np.rint(depth_m.astype(np.float64) * steps_per_m)
    if steps.max(initial=0) >= 2**31:
        raise InputError(
            f"a depth of {depth_m.max()} m cannot be packed in steps of 1/{steps_per_m} m; check its unit."
        )
    steps = np.where(depth_m > 0, np.maximum(steps, 1), 0).astype(np.int32)
    return Block(byte_planes(fold(differences(steps))).tobytes())


def decode_depth(data: bytes, steps_per_m: int, shape: tuple[int, int]) -> Tensor:
    folded = from_byte_planes(np.frombuffer(data, np.uint8), "uint32", shape)
    steps = sums(unfold(folded))
    return torch.from_numpy((steps / np.float64(steps_per_m)).astype(np.float32))


def encode_pairs(name: str, first: np.ndarray, second: np.ndarray) -> dict[str, Block]:
    """Two label maps of one shape as a palette of the pairs that occur and the number of each place's pair."""
    keys = (first.astype(np.int64).reshape(-1) << 32) | second.astype(np.int64).reshape(-1)
    palette, numbers = np.unique(keys, return_inverse=True)
    pairs = np.stack((palette >> 32, palette & 0xFFFFFFFF), axis=1).astype(np.int32)
    return {
        f"{name}_palette": array_block(pairs),
        f"{name}_numbers": array_block(numbers.astype(_number_type(len(palette)))),
    }


def decode_pairs(packed: Packed, name: str, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """(uint8, int32)."""
    palette = packed.array(f"{name}_palette", "int32", (-1, 2))
    numbers = packed.array(f"{name}_numbers", _number_type(len(palette)), shape)
    if len(palette) and not 0 <= palette[:, 0].min() <= palette[:, 0].max() <= 255:
        raise ValueError(f"classes {palette[:, 0].min()} to {palette[:, 0].max()} in the palette of {name}")
    return palette[:, 0].astype(np.uint8)[numbers], palette[:, 1][numbers]


def decode_label_maps(packed: Packed, facts: Mapping[str, Any]) -> tuple[Tensor, Tensor, Tensor | None]:
    """(class, instance, other room) of every pixel."""
    shape = (facts["height"], facts["width"])
    semantic, instance = decode_pairs(packed, "labels_2d", shape)
    room = decode_pairs(packed, "room_2d", shape)[1] if "room_2d_palette" in packed else None
    return (
        torch.from_numpy(semantic),
        torch.from_numpy(instance),
        None if room is None else torch.from_numpy(room),
    )


def _number_type(num_pairs: int) -> str:
    return "uint8" if num_pairs <= 1 << 8 else "uint16" if num_pairs <= 1 << 16 else "uint32"
