"""BUOL as a method that trains: its 2D stage, its 3D stage on a frozen 2D stage, or both at once."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from panoptic3d.config import Config
from panoptic3d.data.centre_targets import centres_at
from panoptic3d.engine.methods.base import evaluating
from panoptic3d.engine.methods.buol.config import BuolSettings
from panoptic3d.engine.methods.buol.planes import PlaneTargets, plane_targets
from panoptic3d.engine.methods.buol.truth import TRUE_LOGIT, PhotoTruth, class_logits, photo_truth
from panoptic3d.engine.methods.buol.voxels import centres_in_space, voxel_terms
from panoptic3d.engine.methods.two_stages import TwoStages, add_terms, mean_terms, no_panoptic
from panoptic3d.errors import InputError
from panoptic3d.losses.centre_terms import heat_term, offset_term, plane_term, weighted_class_term
from panoptic3d.losses.depth_terms import depth_terms
from panoptic3d.models.buol.build import BuolPipeline, build_buol
from panoptic3d.models.buol.config import BuolConfig
from panoptic3d.models.centre_grouping.config import CentreGroupingConfig
from panoptic3d.models.centre_grouping.decoder import pixels_of
from panoptic3d.models.centre_offsets.stage import HEAT, OFFSETS, SEMANTIC, CentreOffsets, maps_at
from panoptic3d.models.occupancy_lift.config import OccupancyLiftConfig
from panoptic3d.models.occupancy_lift.lift import grid_of
from panoptic3d.models.occupancy_lift.projection import voxel_pixels
from panoptic3d.models.pipeline import needed
from panoptic3d.models.slots import OccupancyLifted, Panoptic2D, RayEstimate, Seen
from panoptic3d.models.sparse_deeplab.net import SparseDeepLab
from panoptic3d.models.up_projection.decoder import UpProjectionConfig
from panoptic3d.structures.batch import Batch
from panoptic3d.structures.prediction import CentreLevel, LevelPrediction, Levels
from panoptic3d.structures.scene import PanopticScene

Maps = Seen[Panoptic2D, RayEstimate]


class BuolMethod(TwoStages):
    settings_kind: ClassVar[type[Config]] = BuolSettings
    network: BuolPipeline
    network_config: BuolConfig

    def __init__(self, settings: BuolSettings) -> None:
        super().__init__()
        self.settings = settings
        self.network = build_buol(settings.network)
        self.network_config = settings.network
        self.taxonomy = settings.network.classes
        self.train()

    def forward(self, batch: Batch, step: int) -> Mapping[str, Tensor]:
        if not batch.truths:
            raise InputError(
                "BUOL's planes and voxels learn from volumes, and these samples have none; read them with."
            )
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.trains("2d")):
            maps = self.network.see(batch.image, batch.cameras)
        size = (maps.fitted.pixels.shape[2], maps.fitted.pixels.shape[3])
        truths = self._photo_truths(batch, size, maps.rays)
        is_given = self.settings.supply.maps == "truth"
        planes: list[PlaneTargets] = []
        if self.trains("2d") or is_given:
            planes = [self._plane_targets(batch, member, maps.rays, truth) for member, truth in enumerate(truths)]
        samples: list[dict[str, Tensor]] = [{} for _ in truths]
        if self.trains("2d"):
            add_terms(samples, self._image_terms(maps, size, truths, planes))
        if self.trains("3d"):
            given = self._true_maps(maps, truths, planes) if is_given else maps
            add_terms(samples, self._voxel_terms(batch, given, truths))
        return mean_terms(samples)

    @torch.inference_mode()
    def scenes_given_image_truth(self, batch: Batch) -> Sequence[PanopticScene]:
        """With true maps in place of the 2D stage: what the 3D stage is worth by itself."""
        with evaluating(self):
            seen = self.network.see(batch.image, batch.cameras, panoptic=no_panoptic)
            size = (seen.fitted.pixels.shape[2], seen.fitted.pixels.shape[3])
            truths = self._photo_truths(batch, size, seen.rays)
            planes = [self._plane_targets(batch, member, seen.rays, truth) for member, truth in enumerate(truths)]
            given = self._true_maps(seen, truths, planes)
            scenes = self.network.decode(self.network.complete(given))
        return tuple(replace(scene, camera=camera) for scene, camera in zip(scenes, batch.cameras, strict=True))

    def _photo_truths(self, batch: Batch, size: tuple[int, int], rays: RayEstimate) -> tuple[PhotoTruth, ...]:
        small = (rays.depth_m.shape[1], rays.depth_m.shape[2])
        return tuple(
            photo_truth(batch, member, size, small, self.taxonomy, self.settings.terms) for member in range(len(batch))
        )

    def _plane_targets(self, batch: Batch, member: int, rays: RayEstimate, truth: PhotoTruth) -> PlaneTargets:
        lift = needed(self.settings.network.lift, OccupancyLiftConfig)
        config = needed(self.settings.network.rays, UpProjectionConfig)
        table = voxel_pixels(rays.cameras[member], grid_of(rays.cameras[member], lift), lift)
        target = self.settings.terms.plane_target
        return plane_targets(
            batch.truths[member], table, truth.depth_m, config.num_planes, config.plane_spacing_m, target
        )

    def _image_terms(
        self, maps: Maps, size: tuple[int, int], truths: Sequence[PhotoTruth], planes: Sequence[PlaneTargets]
    ) -> list[dict[str, Tensor]]:
        """Classes, heat and offsets at the size of the image, depth and planes at that of the lifted maps."""
        config, large, rays = self.settings.terms, maps_at(maps.panoptic.maps, size), maps.rays
        samples = []
        for member, (truth, plane) in enumerate(zip(truths, planes, strict=True)):
            seen = truth.large
            classes = weighted_class_term(large[SEMANTIC][member], seen.semantic, seen.semantic_weight)
            heat = heat_term(large[HEAT][member, 0], seen.heat, seen.is_heat_asked)
            offsets = offset_term(large[OFFSETS][member], seen.offsets, seen.is_thing)
            depth = depth_terms(rays.depth_m[member][None], truth.depth_m[None])
            # ln 2 is what the logarithms give at no error.
            shift = math.log(2) * bool(truth.has_depth.any())
            occupancy = plane_term(rays.planes.logits[member], plane.is_occupied, plane.is_asked, truth.has_depth)
            samples.append(
                {
                    "semantic_2d": config.semantic_2d_weight * classes,
                    "centre_2d": config.centre_2d_weight * heat,
                    "offset_2d": config.offset_2d_weight * offsets,
                    "depth": config.depth_weight * (depth["depth"] + shift),
                    "depth_normal": config.depth_weight * depth["depth_normal"],
                    "depth_gradient": config.depth_weight * (depth["depth_gradient"] + 2 * shift),
                    "planes": config.planes_weight * occupancy,
                }
            )
        return samples

    def _voxel_terms(self, batch: Batch, given: Maps, truths: Sequence[PhotoTruth]) -> list[dict[str, Tensor]]:
        network, decode = needed(self.network.voxel_net, SparseDeepLab), self._decode
        asked: list[Tensor] = []

        def net(lifted: OccupancyLifted) -> Levels[LevelPrediction, CentreLevel]:
            asked.append(network.asked_cells(lifted))
            return network(lifted)

        prediction = self.network.complete(given, voxel_net=net)
        level, (cells,) = prediction.levels.finest, asked
        terms = []
        for member, (truth, photo) in enumerate(zip(batch.truths, truths, strict=True)):
            camera, large = given.rays.cameras[member], photo.large
            size = (large.semantic.shape[0], large.semantic.shape[1])
            centres = centres_at(large.centres, size, (camera.height, camera.width), self.settings.terms.centres)
            pixels = pixels_of(truth.coords.long(), camera, prediction.grids[member], decode).float()
            wanted = centres_in_space(truth, pixels, large.ids, centres.float())
            own = cells[cells[:, 0] == member].clone()
            own[:, 0] = 0
            terms.append(voxel_terms(level.of_member(member), own, truth, wanted, decode.resample, self.settings.terms))
        return terms

    @property
    def _decode(self) -> CentreGroupingConfig:
        return needed(self.settings.network.decode, CentreGroupingConfig)

    def _true_maps(self, seen: Maps, truths: Sequence[PhotoTruth], planes: Sequence[PlaneTargets]) -> Maps:
        """As the 2D stage would say them, at the size at which they are lifted."""
        stage, rays = needed(self.network.panoptic, CentreOffsets), seen.rays
        maps = {
            SEMANTIC: torch.stack([class_logits(truth.small, stage.config.num_classes) for truth in truths]),
            HEAT: torch.stack([truth.small.heat[None] for truth in truths]),
            OFFSETS: torch.stack([truth.small.offsets for truth in truths]),
        }
        occupied = torch.stack([plane.is_occupied for plane in planes])
        true_rays = replace(
            rays,
            depth_m=torch.stack([truth.depth_m for truth in truths]),
            occupancy_logits=torch.where(occupied, TRUE_LOGIT, -TRUE_LOGIT),
        )
        return replace(seen, panoptic=Panoptic2D(stage.instances(maps, rays.cameras), maps), rays=true_rays)
