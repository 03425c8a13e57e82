"""Which segment each pixel of a photo shows, from the voxels around the point that it sees."""

import numpy as np
from jaxtyping import Float, Float32, Int64
from scipy import ndimage

from panoptic3d.export.photo_depth import islands
from panoptic3d.structures.scene import PanopticScene, Segment

_STEPS_VOX = (
    0.0,
    0.75,
    -0.75,
    1.5,
    -1.5,
    2.25,
    -2.25,
    3.0,
)  # along the ray: depth and voxels differ a little
_COST_OF_STEP = 0.4  # voxels of distance to the surface that a step along the ray is worth
_VOTE_STEPS = (-4, -2, 0, 2, 4)  # pixels: the window in which pixels of one colour and depth agree on a segment
_LEAST_ISLAND = 0.0015  # of the picture
_COLOR, _NEARNESS = 0.08, 0.04  # what still is one colour (of 1) and one depth (of its logarithm)


def segment_of_pixels(
    scene: PanopticScene,
    segments: tuple[Segment, ...],
    points_m: Float[np.ndarray, "h w 3"],
    guide: Float32[np.ndarray, "h w 3"],
) -> Int64[np.ndarray, "h w"]:
    """Segment number of every pixel; -1 everywhere in a scene without segments. Borders follow the photo's edges."""
    found = _of_voxels(scene, segments, points_m)
    if not (found >= 0).any():
        return found
    place = ndimage.distance_transform_edt(found < 0, return_distances=False, return_indices=True)
    whole = found[tuple(np.asarray(place))]
    return _agreed(whole, len(segments), np.log(points_m[..., 2]).astype(np.float32), guide)


def _of_voxels(scene: PanopticScene, segments: tuple[Segment, ...], points_m: np.ndarray) -> Int64[np.ndarray, "h w"]:
    """-1 where no voxel along the ray has a label within reach."""
    height, width, _ = points_m.shape
    semantic, instance = scene.semantic.cpu().numpy().ravel(), scene.instance.cpu().numpy().ravel()
    distance = scene.distance_vox.cpu().numpy().ravel()
    size = scene.grid.voxel_size_m
    points = points_m.reshape(-1, 3)
    ray = points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-9)
    best_cost = np.full(len(points), np.inf, np.float32)
    best = np.zeros(len(points), np.int64)
    for step in _STEPS_VOX:
        index = (points + ray * (step * size)) / size + np.array(scene.grid.camera_index)
        at = np.rint(index).astype(np.int64)
        is_inside = ((at >= 0) & (at < np.array(scene.grid.shape))).all(axis=1)
        flat = np.where(
            is_inside, at @ np.array([scene.grid.shape[1] * scene.grid.shape[2], scene.grid.shape[2], 1]), 0
        )
        cost = np.where(is_inside & (semantic[flat] > 0), distance[flat] + _COST_OF_STEP * abs(step), np.inf)
        is_better = cost < best_cost
        best_cost[is_better], best[is_better] = cost[is_better], flat[is_better]
    number = _segment_numbers(segments, semantic[best].astype(np.int64), instance[best].astype(np.int64))
    return np.where(np.isfinite(best_cost), number, -1).reshape(height, width)


def _segment_numbers(segments: tuple[Segment, ...], semantic: np.ndarray, instance: np.ndarray) -> np.ndarray:
    """-1 for labels that are in no segment: those without a surface."""
    of_instance = np.full(int(instance.max(initial=0)) + 1, -1)
    of_class = np.full(int(semantic.max(initial=0)) + 1, -1)
    for number, segment in enumerate(segments):
        table, key = (of_instance, segment.instance_id) if segment.is_thing else (of_class, segment.class_id)
        if key < len(table):
            table[key] = number
    return np.where(instance > 0, of_instance[instance], of_class[semantic])


def _agreed(labels: np.ndarray, num: int, log_depth: np.ndarray, guide: np.ndarray) -> Int64[np.ndarray, "h w"]:
    """Each pixel takes the segment for which the pixels around it that look alike speak most."""
    height, width = labels.shape
    reach = max(_VOTE_STEPS)
    pad = ((reach, reach), (reach, reach))
    first_vote, wide_depth = np.pad(labels * labels.size, pad, mode="edge"), np.pad(log_depth, pad, mode="edge")
    channels = [np.ascontiguousarray(guide[..., k]) for k in range(3)]
    wide_channels = [np.pad(channel, pad, mode="edge") for channel in channels]
    votes = np.zeros(num * labels.size, np.float32)  # a row of pixels for each segment
    pixel = np.arange(height * width)
    for down in _VOTE_STEPS:
        for across in _VOTE_STEPS:
            window = slice(reach + down, reach + down + height), slice(reach + across, reach + across + width)
            red, green, blue = (np.abs(wide[window] - own) for wide, own in zip(wide_channels, channels, strict=True))
            color = red + green + blue
            gap = np.abs(wide_depth[window] - log_depth)
            weight = 1 / (1 + (color / (3 * _COLOR)) ** 2) / (1 + (gap / _NEARNESS) ** 2)
            votes[first_vote[window].ravel() + pixel] += weight.ravel()
    return _without_islands(votes.reshape(num, -1).argmax(axis=0).reshape(height, width), num)


def _without_islands(labels: Int64[np.ndarray, "h w"], num: int) -> Int64[np.ndarray, "h w"]:
    """Specks of a segment take the label of the nearest pixel that is in no speck."""
    is_speck = np.zeros(labels.shape, np.bool_)
    for number in range(num):
        piece = islands(labels == number)
        is_small = np.bincount(piece.ravel()) < _LEAST_ISLAND * labels.size
        is_small[0] = False
        is_speck |= is_small[piece]
    if is_speck.all() or not is_speck.any():
        return labels
    place = ndimage.distance_transform_edt(is_speck, return_distances=False, return_indices=True)
    return labels[tuple(np.asarray(place))]
