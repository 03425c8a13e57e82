"""Pictures and per-pixel maps of a scene."""

import io
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from PIL import Image
from torch import Tensor

from panoptic3d.data.front3d_writer import exr_bytes
from panoptic3d.export.facts import unsure_below
from panoptic3d.export.maps import PhotoMaps, at_photo, coco_json, coco_png, points_ply
from panoptic3d.predictor.built_scene import BuiltScene
from panoptic3d.viewer.draw import Drawable
from panoptic3d.viewer.png import png_bytes
from panoptic3d.viewer.preview import PlanLabel, preview_sheet


def _face_colors(built: BuiltScene, of_node: list[Tensor]) -> UInt8[Tensor, "f 3"]:
    parts = [c[node.part.mesh.faces[:, 0]] for node, c in zip(built.nodes, of_node, strict=True)]
    return torch.cat([torch.zeros(0, 3, dtype=torch.uint8), *parts])


def _panoptic_colors(built: BuiltScene) -> UInt8[Tensor, "f 3"]:
    one = [torch.tensor(n.extras["instance_color"], dtype=torch.uint8) for n in built.nodes]
    return _face_colors(built, [c.expand(len(n.part.normals), 3) for c, n in zip(one, built.nodes, strict=True)])


def class_picture(built: BuiltScene) -> UInt8[Tensor, "3 h w"]:
    """Replacement for a missing photo: the scene from its camera, in the colours of the segments."""
    colors = _panoptic_colors(built)
    height, width = built.seen.face.shape
    picture = torch.full((height, width, 3), 60, dtype=torch.uint8)
    hit = built.seen.face >= 0
    picture[hit] = colors[built.seen.face[hit]]
    return picture.permute(2, 0, 1).contiguous()


def preview(built: BuiltScene, picture: UInt8[Tensor, "3 h w"]) -> Image.Image:
    depth_m, label_color = _as_seen(built)
    nodes = sorted(built.nodes, key=lambda node: -node.extras["num_voxels"])
    legend = [(node.part.name, tuple(node.extras["instance_color"])) for node in nodes]
    mesh = drawable(built, picture)
    x, y, z = built.facts["up"]
    return preview_sheet(mesh, depth_m, label_color, (x, y, z), _plan_labels(built), legend, _unsure(built))


def _unsure(built: BuiltScene) -> set[str]:
    """Names of the segments of which the network is not sure."""
    least = unsure_below(built.facts["segments"])
    return {n.part.name for n in built.nodes if n.extras["score"] is not None and n.extras["score"] < least}


def _as_seen(built: BuiltScene) -> tuple[Float32[Tensor, "h w"], UInt8[Tensor, "h w 3"]]:
    """Depth and colours of segments as the photo's camera has them; without a photo, from the meshes."""
    if built.sight is None:
        seen = built.seen
        return seen.depth_m, class_picture(built).permute(1, 2, 0)
    table = torch.tensor([node.extras["instance_color"] for node in built.nodes] or [(0, 0, 0)], dtype=torch.uint8)
    number = torch.from_numpy(built.sight.segment)
    color = table[number.clamp(min=0)]
    return torch.from_numpy(built.sight.depth_m).float(), torch.where((number >= 0)[..., None], color, 60).to(
        torch.uint8
    )


def drawable(built: BuiltScene, picture: UInt8[Tensor, "3 h w"]) -> Drawable:
    def each(values: list[Any], dtype: torch.dtype) -> Tensor:
        rows = [torch.tensor(v, dtype=dtype) for v in values]
        counts = [len(node.part.mesh.faces) for node in built.nodes]
        return torch.cat(
            [torch.zeros(0, *rows[0].shape, dtype=dtype) if rows else torch.zeros(0, dtype=dtype)]
            + [row.expand(n, *row.shape) for row, n in zip(rows, counts, strict=True)]
        )

    parts = [node.part for node in built.nodes]
    is_seen = [torch.arange(len(p.mesh.faces)) < p.num_seen_faces for p in parts]
    names = [node.extras["class"] for node in built.nodes]
    is_seen = torch.cat([torch.zeros(0, dtype=torch.bool), *is_seen])
    unsure = _unsure(built)
    return Drawable(
        vertices_m=built.vertices_m,
        normals=torch.cat([torch.zeros(0, 3), *(part.normals for part in parts)]),
        colors=torch.cat([torch.zeros(0, 3, dtype=torch.uint8), *(node.colors.color for node in built.nodes)]),
        faces=built.faces,
        is_seen=is_seen,
        is_stuff=each([not node.extras["is_thing"] for node in built.nodes], torch.bool),
        is_ceiling=each([name == "ceiling" for name in names], torch.bool),
        is_doubtful=each([part.name in unsure for part in parts], torch.bool) & ~is_seen,
        photo=picture,
        camera=built.scene.camera,
    )


def _plan_labels(built: BuiltScene) -> list[PlanLabel]:
    """Things of which the network is sure, the larger ones first."""
    labels, unsure = [], _unsure(built)
    for node in sorted(built.nodes, key=lambda node: -node.extras["num_voxels"]):
        extras = node.extras
        if extras["is_thing"] and extras["size_m"] and node.part.name not in unsure:
            low, high = extras["box_min_m"], extras["box_max_m"]
            x, y, z = ((a + b) / 2 for a, b in zip(low, high, strict=True))
            labels.append(PlanLabel(extras["class"], (x, y, z), (extras["size_m"][0], extras["size_m"][2])))
    return labels


def jpeg_bytes(picture: UInt8[Tensor, "3 h w"], quality: int) -> bytes:
    return jpeg_of_image(Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy()), quality)


def jpeg_of_image(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def map_files(built: BuiltScene, picture: UInt8[Tensor, "3 h w"]) -> dict[str, bytes]:
    """depth.exr, panoptic.png with panoptic.json, points.ply: at the size of the photo as it was read, at most 1,280 px."""
    maps = _maps(built)
    segments = built.facts["segments"]
    file = built.scene.provenance.get("photo", {}).get("file") or "photo"
    return {
        "depth.exr": exr_bytes(maps.depth_m),
        "panoptic.png": png_bytes(coco_png(maps)),
        "panoptic.json": coco_json(maps, segments, built.scene.taxonomy, file),
        "points.ply": points_ply(maps, picture.permute(1, 2, 0).contiguous().numpy(), segments),
    }


def _maps(built: BuiltScene) -> PhotoMaps:
    if built.sight is not None:
        return at_photo(built.sight.depth_m, built.sight.segment, built.scene.camera)
    owner = [-1 if n.part.segment is None else number for number, n in enumerate(built.nodes)]
    of_face = np.repeat(np.array(owner, np.int64), [len(node.part.mesh.faces) for node in built.nodes])
    face = built.seen.face.numpy()
    segment = np.where(face >= 0, of_face[face.clip(0)], -1) if len(of_face) else face
    return at_photo(built.seen.depth_m.numpy(), segment, built.scene.camera)
