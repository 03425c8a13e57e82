"""Truth that the releases lack: normals, albedo, whole outlines of half-hidden things, and the room behind them."""

import io

import numpy as np
from jaxtyping import Bool

from panoptic3d.rooms.meshes.soup import TriangleSoup
from panoptic3d.rooms.render.light import facing_normals
from panoptic3d.rooms.render.raycast import Caster, pixel_rays
from panoptic3d.rooms.render.textures import albedo
from panoptic3d.rooms.scene import View
from panoptic3d.rooms.truth.pixels import PixelTruth

_NORMAL_SCALE = 127


def extra_truth_bytes(
    soup: TriangleSoup, view: View, pixels: PixelTruth, transient: Bool[np.ndarray, "h w"] | None = None
) -> bytes:
    """An npz file:

    - `normal` int8 [h, w, 3]: camera frame, towards the camera, times 127; 0 where nothing is seen
    - `albedo` uint8 [h, w, 3]: sRGB
    - `layout_depth_m` float16 [h, w]: of walls, floor and ceiling alone
    - `amodal_ids` int32 [n], `amodal` uint8 [n, h, w / 8]: the whole outline of each visible thing, as packed bits
    - `transient` uint8 [h, w / 8], packed bits, where rooms have transients: pixels that show what the truth does not have
    """
    buffer = io.BytesIO()
    amodal = _amodal(soup, view, pixels)
    np.savez_compressed(
        buffer,
        normal=_normals(soup, view, pixels),
        albedo=_albedo(soup, view, pixels),
        layout_depth_m=_layout_depth(soup, view),
        amodal_ids=amodal["amodal_ids"],
        amodal=amodal["amodal"],
        **({} if transient is None else {"transient": np.packbits(transient, axis=1)}),  # pyright: ignore[reportArgumentType]
    )
    return buffer.getvalue()


def _normals(soup: TriangleSoup, view: View, pixels: PixelTruth) -> np.ndarray:
    _, directions = pixel_rays(view)
    world = facing_normals(soup.normals[pixels.hits.triangle], directions) * pixels.hits.is_hit[:, None]
    own = world @ view.world_from_camera[:3, :3]
    return np.rint(own * _NORMAL_SCALE).astype(np.int8).reshape(*pixels.depth_m.shape, 3)


def _albedo(soup: TriangleSoup, view: View, pixels: PixelTruth) -> np.ndarray:
    hits = pixels.hits
    uv = np.einsum("nk,nkc->nc", hits.weights, soup.uv_m[hits.triangle])
    footprint = np.where(hits.is_hit, hits.distance, 1) / view.camera.fx_px
    linear = albedo(soup.materials, soup.material_of[hits.triangle], uv, footprint) * hits.is_hit[:, None]
    return np.rint(255 * np.clip(linear, 0, 1) ** (1 / 2.2)).astype(np.uint8).reshape(*pixels.depth_m.shape, 3)


def _layout_depth(soup: TriangleSoup, view: View) -> np.ndarray:
    hits = Caster(soup, ~soup.is_thing).cast(*pixel_rays(view))
    depth = np.where(hits.is_hit, hits.distance, 0)
    return depth.reshape(view.camera.height, view.camera.width).astype(np.float16)


def _amodal(soup: TriangleSoup, view: View, pixels: PixelTruth) -> dict[str, np.ndarray]:
    part = soup.part_of[pixels.hits.triangle]
    visible = np.unique(part[pixels.hits.is_hit])
    things = visible[soup.is_thing_part[visible]]
    origins, directions = pixel_rays(view)
    size = (view.camera.height, view.camera.width)
    masks = [Caster(soup, soup.part_of == thing).cast(origins, directions).is_hit.reshape(size) for thing in things]
    outlines = np.array(masks, np.bool_).reshape(len(things), *size)
    return {"amodal_ids": soup.instance_of_part[things], "amodal": np.packbits(outlines, axis=2)}
