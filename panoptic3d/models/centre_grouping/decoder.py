"""Prediction to scenes."""

from typing import ClassVar

import torch
from jaxtyping import Float, Int64, Real
from torch import Tensor

from panoptic3d.geometry.voxels import linear_index
from panoptic3d.models.centre_grouping.config import CentreGroupingConfig
from panoptic3d.models.centre_grouping.fields import Fields, fields_of
from panoptic3d.models.centre_grouping.labels import LABEL_DIVISOR, Centres, filled, panoptic_ids, without_small
from panoptic3d.models.pipeline_config import PipelineConfig
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.frustum_box import FrustumBox
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.prediction import CentreLevel, LevelPrediction, Levels, Prediction, SeededLevel, SurfaceLevel
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY, Taxonomy


class CentreGrouping:
    """Without weights: a function with its thresholds."""

    config_kind: ClassVar = CentreGroupingConfig

    @classmethod
    def built(cls, config: CentreGroupingConfig, method: PipelineConfig) -> "CentreGrouping":
        return cls(config, method.classes)

    def __init__(self, config: CentreGroupingConfig, taxonomy: Taxonomy = FRONT3D_TAXONOMY) -> None:
        self.config, self.taxonomy = config, taxonomy

    def __call__(
        self, prediction: Prediction[Levels[LevelPrediction, CentreLevel | SurfaceLevel]]
    ) -> tuple[PanopticScene, ...]:
        """Voxels of a net without offsets go to the centre that is nearest to their own pixel."""
        finest = prediction.levels.finest
        return tuple(self._scene(prediction, finest, member) for member in range(len(prediction.cameras)))

    def _scene(self, prediction: Prediction, finest: CentreLevel | SurfaceLevel, member: int) -> PanopticScene:
        camera, grid = prediction.cameras[member], prediction.grids[member]
        centres = self._centres(prediction, finest, member)
        fields = fields_of(finest, member, self.config)
        ids = self.labelled(fields, centres, camera, grid)
        things = [i for i in torch.unique(ids).tolist() if self.taxonomy.is_thing(i // LABEL_DIVISOR)]
        number_of = torch.zeros(len(self.taxonomy) * LABEL_DIVISOR, dtype=torch.int32, device=ids.device)
        number_of[things] = torch.arange(1, len(things) + 1, dtype=torch.int32, device=ids.device)
        cells = linear_index(fields.coords, grid.shape)
        near = cells[fields.surface]
        distance = fields.distance_vox.abs().clamp(max=self.config.truncation_vox)
        scores, class_scores = self._scores(fields, ids, centres, things)
        return PanopticScene(
            distance_vox=_volume(grid, cells, distance, self.config.truncation_vox),
            semantic=_volume(grid, near, (ids // LABEL_DIVISOR).to(torch.uint8), 0),
            instance=_volume(grid, near, number_of[ids], 0),
            camera=camera,
            grid=grid,
            taxonomy=self.taxonomy,
            scores=scores,
            class_scores=class_scores,
        )

    def _centres(self, prediction: Prediction, finest: CentreLevel | SurfaceLevel, member: int) -> Centres:
        if self.config.centres == "image":
            return Centres.of(prediction.instances[member])
        assert isinstance(finest, SeededLevel), "see `misfit`"
        seeds = finest.seeds.of((finest.seeds.member == member).nonzero()[:, 0])
        pixels = pixels_of(seeds.centre_vox, prediction.cameras[member], prediction.grids[member], self.config)
        things = seeds.class_logits.new_tensor(self.taxonomy.thing_ids, dtype=torch.int64)
        return Centres(pixels, things[seeds.class_logits[:, things].argmax(dim=1)], seeds.scores)

    def labelled(self, fields: Fields, centres: Centres, camera: Camera, grid: VoxelGrid) -> Int64[Tensor, " s"]:
        """A panoptic id for every surface voxel, 0 where none is near."""
        coords = fields.coords[fields.surface]
        semantic = fields.semantic_logits.argmax(dim=1)
        place = coords if fields.voted_vox is None else fields.voted_vox
        pointed_at = pixels_of(place, camera, grid, self.config)
        if fields.centre_offsets is not None:
            pointed_at = pointed_at + fields.centre_offsets[:, [1, 0]].to(pointed_at.dtype)
        ids = panoptic_ids(pointed_at, semantic, centres, self.taxonomy)
        return filled(coords, without_small(ids, self.taxonomy, self.config), self.config)

    def _scores(
        self, fields: Fields, ids: Int64[Tensor, " s"], centres: Centres, things: list[int]
    ) -> tuple[dict[int, float], dict[int, float]]:
        """The mean probability of its class over a segment's voxels; of a thing times the height of its peak."""
        probability = fields.semantic_logits.softmax(dim=1)
        of_own_class = probability.gather(1, (ids // LABEL_DIVISOR)[:, None])[:, 0]
        present, inverse, counts = ids.unique(return_inverse=True, return_counts=True)
        sums = of_own_class.new_zeros(len(present)).index_add(0, inverse, of_own_class)
        means = dict(zip(present.tolist(), (sums / counts).tolist(), strict=True))
        scores = {}
        for number, thing in enumerate(things, start=1):
            of_class = centres.scores[centres.class_ids == thing // LABEL_DIVISOR]
            scores[number] = float(of_class[thing % LABEL_DIVISOR - 1]) * means[thing]
        stuff = {i // LABEL_DIVISOR: mean for i, mean in means.items() if i and i not in things}
        return scores, stuff


def pixels_of(
    coords: Real[Tensor, "n 3"], camera: Camera, grid: VoxelGrid, config: CentreGroupingConfig
) -> Float[Tensor, "n 2"]:
    """(u, v) of each voxel, or place between voxels, in the camera of the depth map. Places before the frustum are taken to
    lie in its first plane.
    """
    origin = grid.camera_index
    if config.registration == "released":
        x, y, z = FrustumBox.of(camera, grid, config.near_m, config.far_m).origin_vox
        origin = (x, y, z + 1)
    i, j, k = (coords.double() - torch.tensor(origin, dtype=torch.float64, device=coords.device)).unbind(1)
    k = k.clamp(min=config.near_m / grid.voxel_size_m) if coords.is_floating_point() else k
    return torch.stack((i / k * camera.fx_px + camera.cx_px, j / k * camera.fy_px + camera.cy_px), dim=1)


def _volume(grid: VoxelGrid, cells: Int64[Tensor, " n"], values: Tensor, fill: float | int) -> Tensor:
    return values.new_full((grid.num_points,), fill).index_copy_(0, cells, values).view(grid.shape)
