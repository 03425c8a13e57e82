"""The training objective of clearview: maps, volume, and seeds against the ground truth, sample by sample."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from panoptic3d.backbones.feature_pyramid import FeaturePyramid
from panoptic3d.backbones.pyramid import PretrainedTrunk, Trunk
from panoptic3d.data.sensor_faults import with_sensor_faults
from panoptic3d.engine.methods.base import Method
from panoptic3d.engine.methods.clearview.config import ClearviewTrainingConfig
from panoptic3d.engine.methods.clearview.finest import FinestMember, finest_members
from panoptic3d.engine.methods.clearview.given import (
    with_true_classes,
    with_true_depth,
    with_true_stance,
    with_true_votes,
)
from panoptic3d.engine.methods.clearview.near_truth import TruthTable, near_surfaces
from panoptic3d.engine.methods.clearview.targets import (
    BAND_VOX,
    StanceTruth,
    ThingTruth,
    heat_of,
    layout_depth,
    plane_truth,
    spread_groups,
    stance_truth,
    thing_truth,
    vote_truth,
)
from panoptic3d.geometry.normals import have_normals, normals_of
from panoptic3d.losses import cue_terms, ray_terms, seed_terms, stance_terms
from panoptic3d.models.clearview.build import ClearviewPipeline, build_clearview
from panoptic3d.models.clearview.config import RayConfig
from panoptic3d.models.clearview.maps import VOTE_SPREAD, VOTES, ClassMaps, LayeredEstimate
from panoptic3d.models.clearview.seeds import Places, belonging, strongest
from panoptic3d.models.clearview.voxel_net import ClearviewNet, Refined
from panoptic3d.models.pipeline import needed
from panoptic3d.models.slots import Seen
from panoptic3d.randomness import torch_generator
from panoptic3d.sparse.row_ops import pick
from panoptic3d.structures.batch import Batch
from panoptic3d.structures.sample import VoxelTruth
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.structures.sparse_voxels import SparseVoxels
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY, Taxonomy

_BLOCK_VOX = 8  # the side of the blocks in which the finest level is drawn
_PLANE_PIXEL = 2  # the planes of every second pixel of every second row are judged: neighbours say the same


ClearviewSeen = Seen[ClassMaps, LayeredEstimate]


class ClearviewMethod(Method):
    settings_kind = ClearviewTrainingConfig
    network: ClearviewPipeline

    def __init__(self, config: ClearviewTrainingConfig, taxonomy: Taxonomy = FRONT3D_TAXONOMY) -> None:
        super().__init__()
        self.config, self.taxonomy = config, taxonomy
        self.network, self.network_config = build_clearview(config.network), config.network
        if config.imagenet:
            needed(self._trunk, PretrainedTrunk).load_pretrained(config.imagenet_file)

    def parts(self) -> Mapping[str, Sequence[nn.Module]]:
        """The trunk's own layers, `trunk`, are also a part of `2d`: they came trained and need a lower rate."""
        network = self.network
        flat = (network.trunk, network.panoptic, network.rays)
        return {
            "trunk": [needed(self._trunk, nn.Module)],
            "2d": [needed(filling, nn.Module) for filling in flat],
            "3d": [needed(network.voxel_net, nn.Module)],
        }

    @property
    def _trunk(self) -> Trunk:
        """Without its neck."""
        trunk = self.network.trunk
        return trunk.trunk if isinstance(trunk, FeaturePyramid) else trunk

    @property
    def _net(self) -> ClearviewNet:
        return needed(self.network.voxel_net, ClearviewNet)

    def scenes(self, batch: Batch) -> Sequence[PanopticScene]:
        return self.network.infer(batch.image, batch.cameras)

    def forward(self, batch: Batch, step: int) -> Mapping[str, Tensor]:
        """Everything is batched but the terms, which are the means over samples of each sample's own."""
        network, trains_maps = self.network, self.trains("2d")
        keeps_norms = self.config.imagenet if self.config.keeps_norms is None else self.config.keeps_norms
        if keeps_norms:  # the statistics of a million photos are better than those of a small batch
            needed(self._trunk, nn.Module).eval()
        with torch.set_grad_enabled(torch.is_grad_enabled() and trains_maps):
            seen = network.see(batch.image, batch.cameras)
        batch = replace(batch, truths=tuple(near_surfaces(truth, self._reach_vox(truth)) for truth in batch.truths))
        things = [thing_truth(truth, self.taxonomy) for truth in batch.truths]
        terms = self._map_terms(batch, seen.panoptic, seen.rays, things) if trains_maps else []
        if self.trains("3d"):
            seen, table = self._supplied(batch, step, seen, things), TruthTable.of(batch.truths)
            refined, thing_of_seed = self._refined(batch, step, seen, things, table)
            terms += self._volume_terms(batch, refined, things, table, thing_of_seed)
        weights = self.config.weights.model_dump()
        total: dict[str, Tensor] = {}
        for name, value in terms:
            total[name] = total.get(name, 0.0) + weights[name] * value / len(batch)
        return total

    def _reach_vox(self, truth: VoxelTruth) -> float:
        """Distance from a surface beyond which no loss term distinguishes voxels."""
        planes = needed(self.config.network.rays, RayConfig).plane_spacing_m / truth.grid.voxel_size_m / 2
        return max(self._net.config.truncation_vox, BAND_VOX, planes)

    def _volume_step(self, step: int) -> int:
        """Counted from where the volume begins to learn."""
        return max(step - self.first_steps.get("3d", 0), 0)

    def _map_terms(
        self, batch: Batch, panoptic: ClassMaps, rays: LayeredEstimate, things: list[ThingTruth]
    ) -> list[tuple[str, Tensor]]:
        """At the resolution of the maps, which is what voxels read."""
        true = _true_maps(batch, rays.depth_m)
        logits = panoptic.semantic_logits
        terms = []
        for number, truth in enumerate(batch.truths):
            depth, true_depth = rays.depth_m[number], true.depth_m[number]
            terms += [  # the spread learns from the error, and the depth from the error alone: no pixel is given up
                ("depth", ray_terms.log_depth_term(depth.detach(), rays.log_spread[number], true_depth)),
                ("depth_error", ray_terms.depth_error_term(depth, true_depth)),
                ("slope", ray_terms.slope_term(depth, true_depth)),
                ("pixel_classes", ray_terms.pixel_class_term(logits[number], true.semantic[number])),
                *self._cue_terms(batch, rays, number),
                *self._hidden_terms(truth, rays, number),
                *self._stance_terms(batch, rays, number, true),
            ]
            if VOTES in panoptic.maps:
                offset_m, thing = vote_truth(
                    truth, things[number], true_depth, true.instance[number], rays.cameras[number]
                )
                votes_m, spread = panoptic.maps[VOTES][number], panoptic.maps[VOTE_SPREAD][number]
                terms += [
                    ("pixel_votes", stance_terms.pixel_vote_term(votes_m, offset_m, thing, len(things[number].ids))),
                    ("vote_spread", stance_terms.vote_spread_term(votes_m, spread, offset_m, thing > 0)),
                ]
        return terms

    def _cue_terms(self, batch: Batch, rays: LayeredEstimate, number: int) -> list[tuple[str, Tensor]]:
        """Loss terms of depth without a metric scale, and of normals."""
        kind, depth = batch.depth_kind(number), rays.depth_m[number]
        if kind == "metric" and self.config.weights.normals == 0:
            return []
        cue = nearest_pixels(batch.depth_m[number : number + 1], rays.depth_m)[0]
        is_known, terms = cue > 0, []
        if kind != "metric":
            error = cue_terms.cue_error(depth, cue, is_known, kind)
            terms += [
                ("cue", cue_terms.cue_term(error, is_known)),
                ("cue_slope", cue_terms.cue_slope_term(error, is_known)),
            ]
        if kind in ("metric", "scale") and self.config.weights.normals > 0:
            intrinsics = rays.cameras[number].intrinsics.to(depth)
            own, true = normals_of(depth, intrinsics), normals_of(torch.where(is_known, cue, 1.0), intrinsics)
            terms.append(("normals", cue_terms.normal_term(own, true, have_normals(is_known))))
        return terms

    def _stance_truth(self, batch: Batch, true: "TrueMaps", number: int, rays: LayeredEstimate) -> StanceTruth | None:
        return stance_truth(
            batch.world_from_camera[number],
            true.depth_m[number],
            true.semantic[number],
            rays.cameras[number],
            self._ceiling_id,
        )

    def _stance_terms(
        self, batch: Batch, rays: LayeredEstimate, number: int, true: "TrueMaps"
    ) -> list[tuple[str, Tensor]]:
        stance = rays.stance
        truth = None if stance is None else self._stance_truth(batch, true, number, rays)
        if stance is None or truth is None:
            return []
        stands = stance_terms.stance_term(stance.down[number], stance.floor_m[number], truth.down, truth.floor_m)
        return [("stance", stands), ("ceiling", stance_terms.ceiling_term(stance.ceiling_m[number], truth.ceilings_m))]

    @property
    def _ceiling_id(self) -> int | None:
        return next((c.id for c in self.taxonomy.classes if c.name == "ceiling"), None)

    def _hidden_terms(self, truth: VoxelTruth, rays: LayeredEstimate, number: int) -> list[tuple[str, Tensor]]:
        terms, camera = [], rays.cameras[number]
        if rays.layout_m is not None:
            layout = layout_depth(truth, self.taxonomy, camera)
            terms.append(("layout", ray_terms.depth_error_term(rays.layout_m[number], layout)))
        if rays.occupancy_logits is not None and rays.plane_spacing_m is not None:
            logits = rays.occupancy_logits[number, :, ::_PLANE_PIXEL, ::_PLANE_PIXEL]
            said = plane_truth(truth, camera, len(logits), rays.plane_spacing_m, _PLANE_PIXEL)
            terms.append(("planes", ray_terms.plane_term(logits, *said)))
        return terms

    def _supplied(self, batch: Batch, step: int, seen: ClearviewSeen, things: list[ThingTruth]) -> ClearviewSeen:
        """With the grids of the truth, and for some samples with its maps."""
        panoptic, rays = seen.panoptic, seen.rays
        layout = None if rays.layout_m is None else rays.layout_m.detach()
        stance = None if rays.stance is None else rays.stance.detached()
        rays = replace(
            rays, depth_m=rays.depth_m.detach(), log_spread=rays.log_spread.detach(), layout_m=layout, stance=stance
        )
        true = _true_maps(batch, rays.depth_m)
        for number, key in enumerate(batch.keys):
            scale = self._help(step, key)
            if scale is None:
                continue
            rays = with_true_depth(rays, number, self._sensed(true.depth_m[number], step, key), scale)
            if self.config.helps_with_things:
                panoptic = with_true_classes(panoptic, number, true.semantic[number])
                panoptic = with_true_votes(
                    panoptic,
                    rays,
                    number,
                    batch.truths[number],
                    things[number],
                    true.depth_m[number],
                    true.instance[number],
                )
                rays = with_true_stance(rays, number, self._stance_truth(batch, true, number, rays))
        return replace(seen, panoptic=panoptic, rays=rays, grids=tuple(truth.grid for truth in batch.truths))

    def _sensed(self, depth_m: Float[Tensor, "h w"], step: int, key: str) -> Float[Tensor, "h w"]:
        """Depth with the faults of a sensor, if the config has them."""
        faults = self.config.sensor
        if faults is None:
            return depth_m
        return with_sensor_faults(depth_m, faults, torch_generator(self.config.seed, "sensor", step, key))

    def _help(self, step: int, key: str) -> float | None:
        """Factor of the true depth that a sample's voxels read; None if they read the network's own maps."""
        config = self.config
        first, last = config.true_depth
        share = first + (last - first) * min(self._volume_step(step) / config.true_depth_steps, 1.0)
        draw = torch_generator(self.config.seed, "true depth", step, key)
        if float(torch.rand((), generator=draw)) >= share:
            return None
        return 1 + config.depth_jitter * float(torch.randn((), generator=draw))

    def _refined(
        self, batch: Batch, step: int, seen: ClearviewSeen, things: list[ThingTruth], table: TruthTable
    ) -> tuple[Refined, Int64[Tensor, " s"]]:
        """The net's answer where its beliefs or the truth ask for one, and the number of the thing of every seed."""
        numbers: list[Tensor] = []

        def keep(voxels: SparseVoxels, logit: Tensor) -> Bool[Tensor, " n"]:
            kept = kept_in_training(logit, table.is_band(voxels), self.config.spare)
            if voxels.stride == 2 and self.config.finest_share < 1:
                kept &= self._is_drawn(batch, step, voxels)
            return kept

        def seed(heat_logit: Tensor, cells: SparseVoxels) -> Places:
            places, number = self._places(batch, step, heat_logit, cells, things)
            numbers.append(number)
            return places

        until = 4 if self._volume_step(step) < self.config.steps_64 else 1
        net = partial(self._net.run, up_to_stride=until, keep=keep, seed=seed)
        refined = self.network.complete(seen, voxel_net=net).levels
        return refined, numbers[0] if numbers else torch.zeros(0, dtype=torch.int64)

    def _is_drawn(self, batch: Batch, step: int, voxels: SparseVoxels) -> Bool[Tensor, " n"]:
        """Whether voxels lie in blocks whose finest voxels this step judges."""
        blocks = [-(-n * voxels.stride // _BLOCK_VOX) for n in voxels.shape]
        drawn = [
            torch.rand(blocks, generator=torch_generator(self.config.seed, "finest", step, key))
            < self.config.finest_share
            for key in batch.keys
        ]
        i, j, k = (voxels.coords[:, 1:].long() * voxels.stride // _BLOCK_VOX).unbind(dim=1)
        return torch.stack(drawn).to(voxels.device)[voxels.coords[:, 0].long(), i, j, k]

    def _places(
        self, batch: Batch, step: int, heat_logit: Tensor, cells: SparseVoxels, things: list[ThingTruth]
    ) -> tuple[Places, Int64[Tensor, " s"]]:
        """A cell near the centre of each thing, and strong places where nothing is (number 0)."""
        rows, numbers = [], []
        peaks = strongest(heat_logit.detach(), cells, self._net.config.seeds)
        for number, truth in enumerate(things):
            own = cells.rows_of(number).nonzero()[:, 0]
            middle = (truth.centre_vox - 1.5) / 4
            places = cells.coords[own, 1:].float()
            if len(own) == 0:
                continue
            draw = torch_generator(self.config.seed, "seeds", step, batch.keys[number])
            jitter = self.config.seed_jitter_cells * torch.randn(middle.shape, generator=draw)
            if len(middle):
                rows.append(own[torch.cdist(middle + jitter.to(middle.device), places).argmin(dim=1)])
                numbers.append(torch.arange(1, len(middle) + 1, device=own.device))
            extra = peaks.rows[cells.coords[peaks.rows, 0] == number]
            gap = torch.cdist(cells.coords[extra, 1:].float(), middle).amin(dim=1) if len(middle) else None
            extra = (extra if gap is None else extra[gap > 3])[: self.config.extra_seeds]
            rows.append(extra)
            numbers.append(torch.zeros_like(extra))
        chosen = torch.cat(rows) if rows else torch.zeros(0, dtype=torch.int64, device=heat_logit.device)
        number = torch.cat(numbers) if numbers else torch.zeros_like(chosen)
        return Places(chosen, heat_logit.detach().sigmoid()[chosen]), number

    def _volume_terms(
        self,
        batch: Batch,
        refined: Refined,
        things: list[ThingTruth],
        table: TruthTable,
        thing_of_seed: Int64[Tensor, " s"],
    ) -> list[tuple[str, Tensor]]:
        terms = []
        counts, cells = refined.cells.counts, refined.cells.coords[:, 1:].float()
        for logit, own, truth in zip(refined.heat_logit.split(counts), cells.split(counts), things, strict=True):
            heat = heat_of(own, (truth.centre_vox - 1.5) / 4)
            terms.append(("heat", seed_terms.heat_term(logit, heat, len(truth.ids))))
        for level in refined:
            name, counts = f"occupancy_{256 // level.candidates.stride}", level.candidates.counts
            targets = table.is_band(level.candidates).split(counts)
            for logit, target in zip(level.occupancy_logit.split(counts), targets, strict=True):
                terms.append((name, seed_terms.occupied_term(logit, target)))
        if refined.last is not None:
            truths = table.at(refined.last.voxels, self._net.config.truncation_vox)
            finest = finest_members(refined.last, truths)
            for number, own in enumerate(finest):
                terms += self._finest_terms(own, things[number], thing_of_seed[own.seed_rows])
        return terms

    def _finest_terms(
        self, own: FinestMember, things: ThingTruth, thing_of_seed: Int64[Tensor, " s"]
    ) -> list[tuple[str, Tensor]]:
        truth, thing = own.truth, things.number(own.truth.instance)
        labelled = (truth.semantic > 0).nonzero()[:, 0]
        classes = torch.cat((things.class_ids.new_zeros(1), things.class_ids))[thing_of_seed]
        votes, order, target = own.votes.of(labelled), *_by_thing(thing_of_seed, thing[labelled])
        logits = belonging(votes, own.seeds.of(order), self._net.config.seeds)
        group = torch.where(thing > 0, thing + len(self.taxonomy), truth.semantic)
        group = spread_groups(own.coords, group)
        class_logits = pick(own.semantic_logits, labelled)
        seeds = F.cross_entropy(own.seeds.class_logits, classes, reduction="sum") / max(len(classes), 1)
        return [
            ("distance", seed_terms.weighted_distance_term(own.distance_vox.clamp(max=3.0), truth.distance_vox)),
            ("shell", seed_terms.shell_term(own.distance_vox, truth.distance_vox, group)),
            ("classes", self._class_term(class_logits, truth.semantic[labelled])),
            ("votes", seed_terms.vote_term(votes.centre_vox, things.centre_vox, thing[labelled])),
            ("membership", seed_terms.membership_term(logits, target)),
            ("seed_classes", seeds),
        ]

    def _class_term(self, logits: Float[Tensor, "n classes"], labels: Int64[Tensor, " n"]) -> Tensor:
        """Every class of the sample counts alike, half of it by its voxels."""
        error = seed_terms.cross_entropy_by_rows(logits, labels)
        return (seed_terms.mean_of_groups(error, labels, logits.shape[1]) + error.sum() / max(len(error), 1)) / 2


@dataclass(frozen=True, eq=False)
class TrueMaps:
    """True classes, depth, and instances of the pixels, at the resolution of the maps; 0 where unknown."""

    depth_m: Float[Tensor, "b h w"]
    semantic: Int64[Tensor, "b h w"]
    instance: Int64[Tensor, "b h w"]


def _true_maps(batch: Batch, like: Float[Tensor, "b h w"]) -> TrueMaps:
    """Resized with nearest neighbours. Ids go through float64, which is exact. Non-metric depth does not count as truth."""
    depth_m = nearest_pixels(batch.depth_m, like)
    for number in range(len(batch)):
        if batch.depth_kind(number) != "metric":
            depth_m[number] = 0
    semantic, instance = (nearest_pixels(v, like).long() for v in (batch.semantic_2d, batch.instance_2d.double()))
    return TrueMaps(depth_m, semantic, instance)


def nearest_pixels(values: Tensor, like: Float[Tensor, "b h w"]) -> Tensor:
    return F.interpolate(values[:, None], size=like.shape[1:], mode="nearest-exact")[:, 0]


def kept_in_training(logit: Float[Tensor, " n"], is_band: Bool[Tensor, " n"], spare: float) -> Bool[Tensor, " n"]:
    """All band voxels, plus the most confident false positives: at most `spare` per band voxel."""
    wrong = torch.where(is_band, -torch.inf, logit.detach())
    num_band, num_wrong = torch.stack((is_band.sum(), (wrong > 0).sum())).tolist()
    count = min(int(spare * num_band), num_wrong)
    kept = is_band.clone()
    if count:
        kept[wrong.topk(count).indices] = True
    return kept


def _by_thing(
    thing_of_seed: Int64[Tensor, " s"], thing: Int64[Tensor, " n"]
) -> tuple[Int64[Tensor, " s"], Int64[Tensor, " n"]]:
    """The seeds of one image, things first and in order, and the column where each voxel belongs; the first is "no thing"."""
    order = torch.where(thing_of_seed > 0, thing_of_seed, len(thing_of_seed) + 1).argsort(stable=True)
    num_things = int((thing_of_seed > 0).sum())
    return order, torch.where(thing <= num_things, thing, 0)
