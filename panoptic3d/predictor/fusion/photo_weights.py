"""Weights of the pixels of each photo, learned for one scene: photos that show what the others do not are believed less.

A photo's own depth and classes are compared with those of the scene fused without it. From the differences a small MLP on
the frozen trunk's features learns an uncertainty beta for every cell (NeRF On-the-go, CVPR 2024). Fusion weighs the
surfaces that a cell shows by a power of 1 / beta.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float32, Float64
from torch import Tensor, nn

from panoptic3d.losses.beta_terms import beta_loss, structural_error
from panoptic3d.predictor.fusion.config import BetaConfig, FusionConfig
from panoptic3d.predictor.fusion.gathered import GatheredViews
from panoptic3d.predictor.fusion.photo_cells import PhotoCells, first_hit
from panoptic3d.predictor.fusion.things import ViewThings
from panoptic3d.predictor.fusion.views import PosedScene, ViewVotes, in_frustum
from panoptic3d.randomness import numpy_generator

_NUM_HIDDEN = 62  # units, as in the paper
_FLOOR = 0.1  # of beta


def learned_beta(
    gathered: GatheredViews, features: Sequence[Float32[Tensor, "h w c"]], config: FusionConfig
) -> list[Float32[np.ndarray, "h w"]]:
    """Of the cells of each photo; features and results are in the order of the gathered views. Each round fuses with the
    weights of the round before; no gradient reaches the scene.
    """
    beta: list[np.ndarray] = []
    for number in range(config.beta.num_rounds):
        errors = disagreement(weighted(gathered, beta, config.beta) if beta else gathered, config)
        beta = _fitted(errors, features, config.beta, number)
    return beta


def weighted(gathered: GatheredViews, beta: Sequence[Float32[np.ndarray, "h w"]], config: BetaConfig) -> GatheredViews:
    """As if each vote for a surface had been cast with the weight of its cell."""
    return reweighted(gathered, weights_of(beta, config), config.free_share)


def reweighted(
    gathered: GatheredViews, weights: Sequence[Float32[np.ndarray, "h w"]], free_share: float
) -> GatheredViews:
    """Votes for free space keep their weight: what a photo looks through is free whatever stands behind. Of the weight that a
    vote for a surface loses, `free_share` votes for free space, so that a lie that nobody contradicts goes too.
    """
    votes = [_weighted_votes(gathered, number, own, free_share) for number, own in enumerate(weights)]
    things = [ViewThings.of(own, len(gathered.candidates)) for own in votes]
    return replace(gathered, votes=tuple(votes), things=tuple(things))


def weights_of(beta: Sequence[Float32[np.ndarray, "h w"]], config: BetaConfig) -> list[Float32[np.ndarray, "h w"]]:
    """(reference / beta)^power and at most 1, where the reference is a quantile of beta: the scale of the error cancels."""
    reference = float(np.quantile(np.concatenate([own.ravel() for own in beta]), config.reference_quantile))
    return [np.minimum((reference / own) ** config.power, 1.0).astype(np.float32) for own in beta]


def beta_facts(beta: Sequence[Float32[np.ndarray, "h w"]], config: BetaConfig) -> list[dict[str, float]]:
    """Of each photo, for scene.json."""
    return [
        {"median_beta": round(float(np.median(own)), 4), "mean_weight": round(float(weight.mean()), 4)}
        for own, weight in zip(beta, weights_of(beta, config), strict=True)
    ]


@dataclass(frozen=True, eq=False)
class Disagreement:
    """Of the cells of one photo with all others."""

    error: Float64[np.ndarray, "h w"]
    is_known: Bool[np.ndarray, "h w"]  # another photo looks there


def disagreement(gathered: GatheredViews, config: FusionConfig) -> list[Disagreement]:
    sums = _Sums.of(gathered.votes, len(gathered.candidates), len(gathered.views[0].scene.taxonomy))
    return [_disagreement(gathered, sums, number, config) for number in range(len(gathered.views))]


@dataclass(frozen=True, eq=False)
class _Sums:
    """Votes of all views at the candidates, from which those of one can be taken away."""

    total: Float64[np.ndarray, " n"]
    agreeing: Float64[np.ndarray, " n"]
    classes: Float32[np.ndarray, "n c"]

    @classmethod
    def of(cls, votes: Sequence[ViewVotes], num: int, num_classes: int) -> "_Sums":
        sums = cls(np.zeros(num), np.zeros(num), np.zeros((num, num_classes), np.float32))
        for view in votes:
            sums._add(view, 1.0)
        return sums

    def without(self, view: ViewVotes) -> "_Sums":
        rest = _Sums(self.total.copy(), self.agreeing.copy(), self.classes.copy())
        rest._add(view, -1.0)
        return rest

    def _add(self, view: ViewVotes, sign: float) -> None:
        strength = view.weight * view.occupied
        self.total[view.rows] += sign * view.weight
        self.agreeing[view.rows] += sign * strength
        self.classes[view.rows, view.semantic] += sign * strength


def _disagreement(gathered: GatheredViews, sums: _Sums, number: int, config: FusionConfig) -> Disagreement:
    view, grid = gathered.views[number], gathered.grid
    rest = sums.without(gathered.votes[number])
    on = np.flatnonzero(rest.agreeing > config.occupied_above * np.maximum(rest.total, 1e-6))
    is_surface, classes = np.zeros(grid.shape, np.bool_), np.zeros(grid.shape, np.uint8)
    is_surface[tuple(gathered.candidates[on].T)] = True
    rest.classes[on, 0] = 0
    classes[tuple(gathered.candidates[on].T)] = rest.classes[on].argmax(axis=1)
    cells = PhotoCells.of(view.scene.camera)
    rays, size = cells.rays(view.scene.camera), (cells.height, cells.width)
    there_m, index = first_hit(is_surface, grid, view.scene_from_camera, rays, config.near_m, config.far_m)
    there = classes.ravel()[index]
    own_m, own = _own(view, cells, rays, config)
    is_known = np.isfinite(own_m) & np.isfinite(there_m) & _others_look(gathered, number, rays, own_m, config)
    depths = [torch.from_numpy(np.where(is_known, depth_m, 0.0).reshape(size)) for depth_m in (own_m, there_m)]
    shape = structural_error(depths[0], depths[1], torch.from_numpy(is_known.reshape(size)))
    differs = (own > 0) & (there > 0) & (own != there) & is_known
    error = shape.numpy() + config.beta.class_weight * differs.reshape(size)
    return Disagreement(error, is_known.reshape(size))


def _own(
    view: PosedScene, cells: PhotoCells, rays: np.ndarray, config: FusionConfig
) -> tuple[Float64[np.ndarray, " n"], np.ndarray]:
    """Depth and classes as the photo's own scene has them; the depth as it was predicted, where it was."""
    scene = view.scene
    is_surface = (scene.distance_vox < 1).cpu().numpy()
    depth_m, index = first_hit(is_surface, scene.grid, np.eye(4), rays, config.near_m, config.far_m)
    classes = np.where(np.isfinite(depth_m), scene.semantic.cpu().numpy().ravel()[index], 0)
    if scene.depth_map is not None:
        way = cells.from_photo.inverse().then(scene.depth_map.from_photo)
        read = way.read(scene.depth_map.depth_m.cpu(), cells.width, cells.height, float("nan"))
        depth_m = read.double().numpy().ravel()
    return depth_m, classes


def _others_look(
    gathered: GatheredViews, number: int, rays: np.ndarray, depth_m: np.ndarray, config: FusionConfig
) -> Bool[np.ndarray, " n"]:
    """Whether the frustum of another view holds what the photo shows."""
    own = gathered.views[number].scene_from_camera
    points = rays * np.where(np.isfinite(depth_m), depth_m, 0)[:, None] @ own[:3, :3].T + own[:3, 3]
    seen = np.zeros(len(rays), np.bool_)
    for other, view in enumerate(gathered.views):
        if other != number:
            there = (points - view.scene_from_camera[:3, 3]) @ view.scene_from_camera[:3, :3]
            seen |= in_frustum(there, view.scene.camera, config)
    return seen


class _Uncertainty(nn.Module):
    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(num_channels, _NUM_HIDDEN), nn.ReLU(), nn.Linear(_NUM_HIDDEN, 1))

    def forward(self, features: Float32[Tensor, "n c"]) -> Float32[Tensor, " n"]:
        return _FLOOR + F.softplus(self.layers(features)[:, 0])


def _fitted(
    errors: Sequence[Disagreement], features: Sequence[Float32[Tensor, "h w c"]], config: BetaConfig, number: int
) -> list[Float32[np.ndarray, "h w"]]:
    """The same for the same errors and features: nothing else is drawn from torch's own stream."""
    known = torch.cat([torch.from_numpy(one.is_known).flatten() for one in errors])
    error = torch.cat([torch.from_numpy(one.error).flatten() for one in errors])[known].float()
    rows = torch.cat([own.flatten(0, 1) for own in features])[known]
    if not len(rows):
        return [np.ones(one.error.shape, np.float32) for one in errors]
    random = numpy_generator(number, "pixels of photos")
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(number)
        network = _Uncertainty(rows.shape[1])
        optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
        for _ in range(config.num_steps):
            chosen = torch.from_numpy(random.integers(0, len(rows), config.batch_size))
            own = rows[chosen]
            loss = beta_loss(error[chosen], network(own), own, config.log_weight, config.variance_weight)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return [network(own.flatten(0, 1)).view(own.shape[:2]).numpy() for own in features]


def _weighted_votes(
    gathered: GatheredViews, number: int, weight: Float32[np.ndarray, "h w"], free_share: float
) -> ViewVotes:
    view, votes = gathered.views[number], gathered.votes[number]
    points = view.points_m(gathered.candidates[votes.rows].astype(np.float64), gathered.grid)
    cell = PhotoCells.of(view.scene.camera).cell_of(points, view.scene.camera)
    trust = np.where(votes.is_near, weight.ravel()[cell], np.float32(1))
    left = trust + np.float32(free_share) * (1 - trust)
    kept = left > 0  # drop votes of weight 0, as if the cell lay outside of the frustum
    occupied = votes.occupied * trust / np.maximum(left, np.float32(1e-9))
    return ViewVotes(
        votes.rows[kept],
        (votes.weight * left)[kept],
        votes.is_near[kept],
        occupied[kept],
        votes.offset_vox[kept],
        votes.semantic[kept],
        votes.instance[kept],
    )
