"""`panoptic3d.fuse`: the scenes of several photos and their poses -> one scene."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int64
from torch import Tensor

from panoptic3d.errors import InputError
from panoptic3d.predictor.fusion.config import FusionConfig
from panoptic3d.predictor.fusion.gathered import GatheredViews
from panoptic3d.predictor.fusion.ids import associated, unassociated
from panoptic3d.predictor.fusion.photo_weights import beta_facts, learned_beta, weighted
from panoptic3d.predictor.fusion.things import ViewThings
from panoptic3d.predictor.fusion.views import PosedScene, ViewVotes, candidates_of, in_frustum, votes_of
from panoptic3d.predictor.fusion.volume import FusedLabels, FusedSurface, fused_labels, fused_surface
from panoptic3d.structures.grid import MAX_POINTS, VoxelGrid
from panoptic3d.structures.sample import DISTANCE_TRUNCATION_VOX
from panoptic3d.structures.scene import PanopticScene, View
from panoptic3d.structures.scene_check import check_scene

_LABELLED_VOX = 1.5  # voxels so near to the surface get a label
_FARTHEST_M = 1000.0  # between two cameras of a room
_KNOWN_STEP = 4  # voxels: what the frusta hold is looked at in such steps
_RIGID_TOLERANCE = 1e-3


def fuse(
    scenes: Sequence[PanopticScene],
    world_from_camera: Sequence[Tensor] | Float64[Tensor, "k 4 4"],
    config: FusionConfig | None = None,
    features: Sequence[Float32[Tensor, "h w c"]] | None = None,
) -> PanopticScene:
    """One scene of all photos, with one id for each thing.

    `world_from_camera` are rigid motions in metres, of cameras with x right, y down and z forward, one a scene. The fused
    scene lies in the frame of the camera whose scene is the surest, which is its `camera`; `views` lists all cameras in
    the order given. The order of the scenes and the names of their ids change nothing. `features` of each photo
    (`trunk_features`) are for learned weights of its pixels.
    """
    chosen = config or FusionConfig()
    gathered = gathered_views(scenes, world_from_camera, chosen)
    if chosen.photo_weights == "equal":
        return fused_scene(gathered, chosen)
    if features is None or len(features) != len(scenes):
        raise InputError("learned weights need the features of each photo; give trunk_features of every scene.")
    beta = learned_beta(gathered, [features[place] for place in gathered.place_given], chosen)
    fused = fused_scene(weighted(gathered, beta, chosen.beta), chosen)
    facts = beta_facts([beta[row] for row in np.argsort(gathered.place_given)], chosen.beta)
    return replace(fused, provenance={**fused.provenance, "fusion": {"beta": facts}})


def gathered_views(
    scenes: Sequence[PanopticScene],
    world_from_camera: Sequence[Tensor] | Float64[Tensor, "k 4 4"],
    config: FusionConfig,
) -> GatheredViews:
    for what, given in (("scenes", scenes), ("poses", world_from_camera)):
        if not isinstance(given, Sequence | Tensor | np.ndarray):
            raise InputError(f"several {what} come in a list, not in {type(given).__name__}.")
    for scene in scenes:
        check_scene(scene)
    poses = [_checked_pose(number, pose) for number, pose in enumerate(world_from_camera)]
    if not scenes or len(scenes) != len(poses):
        raise InputError(f"{len(scenes)} scenes come with {len(poses)} poses; give one pose for each scene.")
    _refuse_mixture(scenes)
    order = _order(scenes, poses)
    anchor = scenes[order[0]]
    inverse = np.linalg.inv(poses[order[0]])
    views = [PosedScene(scenes[n], inverse @ poses[n]) for n in order]
    _refuse_far_apart(views)
    candidates = candidates_of(views, anchor.grid, config.reach_vox)
    grid, low = _grid(anchor.grid, candidates)
    candidates = candidates - low
    votes = tuple(votes_of(view, candidates, grid, config) for view in views)
    things = tuple(ViewThings.of(view, len(candidates)) for view in votes)
    return GatheredViews(tuple(views), tuple(order), grid, candidates, votes, things)


def fused_scene(gathered: GatheredViews, config: FusionConfig) -> PanopticScene:
    views, grid, candidates = gathered.views, gathered.grid, gathered.candidates
    votes, things, anchor = gathered.votes, gathered.things, gathered.views[0].scene
    ids = associated(things, config) if config.association == "assignment" else unassociated(things)
    surface = fused_surface(candidates, votes, config)
    is_labelled = surface.distance_vox < _LABELLED_VOX
    labels = fused_labels(votes, things, ids, is_labelled, anchor.taxonomy, config.kept_above)
    number_of = _numbers(labels, surface)
    scores, class_scores = _scores(views, things, ids, number_of)
    back = np.argsort(gathered.place_given)
    return PanopticScene(
        distance_vox=torch.from_numpy(_dense(grid, candidates, surface.distance_vox, DISTANCE_TRUNCATION_VOX)),
        semantic=torch.from_numpy(_dense(grid, candidates, labels.semantic, 0)),
        instance=torch.from_numpy(_dense(grid, candidates, number_of[labels.number].astype(np.int32), 0)),
        camera=anchor.camera,
        grid=grid,
        taxonomy=anchor.taxonomy,
        scores=scores,
        class_scores=class_scores,
        provenance=_provenance(anchor),
        photo=anchor.photo,
        depth_map=anchor.depth_map,
        views=tuple(_view(views[row]) for row in back),
        known=torch.from_numpy(_known(views, grid, candidates, surface.weight > 0, config)),
        confidence=torch.from_numpy(_dense(grid, candidates, _confidence(votes, labels, len(candidates)), 0.0)),
    )


def _checked_pose(number: int, pose: Tensor) -> Float64[np.ndarray, "4 4"]:
    if not isinstance(pose, Tensor | np.ndarray):
        raise InputError(f"pose {number} is a tensor of 4x4 numbers, not {type(pose).__name__}.")
    matrix = torch.as_tensor(pose).double().cpu().numpy()
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        raise InputError(f"pose {number} is no matrix of 4x4 finite numbers; give world_from_camera.")
    rotation = matrix[:3, :3]
    is_rigid = np.allclose(rotation @ rotation.T, np.eye(3), atol=_RIGID_TOLERANCE) and np.linalg.det(rotation) > 0
    if not is_rigid or not np.allclose(matrix[3], [0, 0, 0, 1], atol=1e-9):
        raise InputError(f"pose {number} is no rotation and translation; give rigid motions, without scale or mirror.")
    return matrix


def _refuse_mixture(scenes: Sequence[PanopticScene]) -> None:
    sizes = {scene.grid.voxel_size_m for scene in scenes}
    names = {scene.taxonomy.name for scene in scenes}
    if len(sizes) > 1 or len(names) > 1:
        raise InputError(
            f"the scenes have voxels of {', '.join(f'{size:g} m' for size in sorted(sizes))} and classes of "
            f"{', '.join(sorted(names))}; fuse scenes of one kind."
        )


def _refuse_far_apart(views: Sequence[PosedScene]) -> None:
    """Before any voxel is counted: indices of places so far away would not fit into whole numbers."""
    away_m = max(float(np.abs(view.scene_from_camera[:3, 3]).max()) for view in views)
    if away_m > _FARTHEST_M:
        raise InputError(
            f"the cameras stand up to {away_m:.3g} m apart; check the scale of the poses, which are in metres."
        )


def _order(scenes: Sequence[PanopticScene], poses: Sequence[np.ndarray]) -> list[int]:
    """The surest scene first; of equals the one whose pose comes first. So the order in which they were given has no say."""

    def key(number: int) -> tuple:
        scene = scenes[number]
        near = scene.distance_vox < 1
        sure = near.sum() if scene.confidence is None else scene.confidence[near].double().sum()
        return (-float(sure), *poses[number].ravel().tolist())

    return sorted(range(len(scenes)), key=key)


def _grid(own: VoxelGrid, candidates: Int64[np.ndarray, "n 3"]) -> tuple[VoxelGrid, Int64[np.ndarray, "3"]]:
    """The box around the candidates, on the lattice of the first view: its voxels stay where they were."""
    low = candidates.min(axis=0) - 1 if len(candidates) else np.zeros(3, np.int64)
    high = candidates.max(axis=0) + 2 if len(candidates) else np.ones(3, np.int64)
    x, y, z = (high - low).tolist()
    if x * y * z > MAX_POINTS:  # a saved scene would not be read again
        size = " x ".join(f"{n * own.voxel_size_m:.0f}" for n in (x, y, z))
        raise InputError(f"the photos' scenes reach over {size} m; check the scale of the poses, which are in metres.")
    a, b, c = (float(i) - float(n) for i, n in zip(own.camera_index, low, strict=True))
    return VoxelGrid((x, y, z), own.voxel_size_m, (a, b, c)), low


def _numbers(labels: FusedLabels, surface: FusedSurface) -> Int64[np.ndarray, " ids"]:
    """Ids from 1 on, the largest thing first; ids that no voxel of the surface has got are left out."""
    size = np.bincount(labels.number[surface.is_surface], minlength=int(labels.number.max(initial=0)) + 1)
    size[0] = 0
    first = np.full(len(size), len(labels.number))
    np.minimum.at(first, labels.number, np.arange(len(labels.number)))
    order = sorted(np.flatnonzero(size).tolist(), key=lambda number: (-size[number], first[number]))
    numbers = np.zeros(len(size), np.int64)
    numbers[order] = np.arange(1, len(order) + 1)
    return numbers


def _scores(
    views: Sequence[PosedScene], things: Sequence[ViewThings], ids: Sequence[np.ndarray], numbers: np.ndarray
) -> tuple[dict[int, float], dict[int, float]]:
    """Score of a thing: mean score of the views that see it, weighted by how much of it they see."""
    total: dict[int, float] = {}
    mass: dict[int, float] = {}
    for view, own, own_ids in zip(views, things, ids, strict=True):
        for instance, number, weight in zip(own.instance_id.tolist(), own_ids + 1, own.mass, strict=True):
            score = view.scene.scores.get(instance)
            if score is not None and number < len(numbers) and numbers[number]:
                name = int(numbers[number])
                total[name] = total.get(name, 0.0) + score * float(weight)
                mass[name] = mass.get(name, 0.0) + float(weight)
    stuff: dict[int, list[float]] = {}
    for view in views:
        for class_id, score in view.scene.class_scores.items():
            stuff.setdefault(class_id, []).append(score)
    scores = {name: total[name] / mass[name] for name in sorted(total) if mass[name] > 0}
    return scores, {class_id: sum(found) / len(found) for class_id, found in sorted(stuff.items())}


def _confidence(votes: Sequence[ViewVotes], labels: FusedLabels, num: int) -> np.ndarray:
    """That of one view where only it looks; it grows with the views that look, and falls where they name other labels."""
    unsure = np.ones(num, np.float32)
    for view in votes:
        sure = np.where(view.is_near, view.weight, 0.0)
        unsure[view.rows] *= 1 - np.clip(sure, 0, 1)
    return (labels.share * (1 - unsure)).astype(np.float32)


def _dense(grid: VoxelGrid, candidates: np.ndarray, values: np.ndarray, fill: float | int) -> np.ndarray:
    volume = np.full(grid.shape, fill, values.dtype)
    volume[tuple(candidates.T)] = values
    return volume


def _known(
    views: Sequence[PosedScene],
    grid: VoxelGrid,
    candidates: np.ndarray,
    is_known: Bool[np.ndarray, " n"],
    config: FusionConfig,
) -> Bool[np.ndarray, "x y z"]:
    """Voxels in the frustum of any view: cells of `_KNOWN_STEP` by their middle, those around surfaces by themselves."""
    cells = [np.arange(-(-size // _KNOWN_STEP)) for size in grid.shape]
    middle = np.stack(np.meshgrid(*cells, indexing="ij"), axis=-1).reshape(-1, 3) * _KNOWN_STEP + (_KNOWN_STEP - 1) / 2
    seen = np.zeros(len(middle), np.bool_)
    for view in views:
        seen |= in_frustum(view.points_m(middle, grid), view.scene.camera, config)
    coarse = seen.reshape(tuple(len(axis) for axis in cells))
    known = coarse.repeat(_KNOWN_STEP, 0).repeat(_KNOWN_STEP, 1).repeat(_KNOWN_STEP, 2)
    known = np.ascontiguousarray(known[tuple(slice(size) for size in grid.shape)])
    known[tuple(candidates.T)] = is_known
    return known


def _view(view: PosedScene) -> View:
    return View(view.scene.camera, torch.from_numpy(view.scene_from_camera.copy()), view.scene.photo)


def _provenance(anchor: PanopticScene) -> dict[str, Any]:
    kept = ("checkpoint", "camera_source")
    return {key: anchor.provenance[key] for key in kept if key in anchor.provenance}
