"""Prediction to scenes."""

from typing import ClassVar

import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor

from panoptic3d.geometry.voxels import linear_index
from panoptic3d.models.pipeline_config import PipelineConfig
from panoptic3d.models.query_decode.config import QueryDecodeConfig
from panoptic3d.models.query_decode.labels import QueryLabels, query_labels
from panoptic3d.structures.instances import Instances2D
from panoptic3d.structures.prediction import InstanceSurface, LevelPrediction, Levels, Prediction
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY, Taxonomy


class QueryDecode:
    """Without weights: a function with its thresholds. Which queries count was decided in 2D."""

    config_kind: ClassVar = QueryDecodeConfig

    @classmethod
    def built(cls, config: QueryDecodeConfig, method: PipelineConfig) -> "QueryDecode":
        return cls(config, method.classes)

    def __init__(self, config: QueryDecodeConfig, taxonomy: Taxonomy = FRONT3D_TAXONOMY) -> None:
        self.config, self.taxonomy = config, taxonomy

    def __call__(self, prediction: Prediction[Levels[LevelPrediction, InstanceSurface]]) -> tuple[PanopticScene, ...]:
        finest = prediction.levels.finest
        return tuple(self._scene(prediction, finest, member) for member in range(len(prediction.cameras)))

    def _scene(self, prediction: Prediction, finest: InstanceSurface, member: int) -> PanopticScene:
        instances = prediction.instances[member]
        rows = finest.voxels.rows_of(member)
        coords, distance = finest.voxels.coords[rows, 1:], finest.distance_vox[rows]
        logits = finest.instance_logits[rows, : len(instances)]
        labels = query_labels(logits, distance, instances.class_ids, instances.scores, self.taxonomy, self.config)
        return self._dense(prediction, member, coords, distance, labels, *self._scores(labels, logits, instances))

    def _dense(
        self,
        prediction: Prediction,
        member: int,
        coords: Int[Tensor, "n 3"],
        distance: Float[Tensor, " n"],
        labels: QueryLabels,
        scores: dict[int, float],
        class_scores: dict[int, float],
    ) -> PanopticScene:
        grid, device = prediction.grids[member], distance.device
        cells = linear_index(coords, grid.shape)
        class_of = torch.tensor(labels.class_of_segment, dtype=torch.uint8, device=device)
        thing_of = torch.tensor(self._thing_numbers(labels), dtype=torch.int32, device=device)
        field = distance.new_full((grid.num_points,), self.config.truncation_vox)
        semantic = torch.zeros(grid.num_points, dtype=torch.uint8, device=device)
        instance = torch.zeros(grid.num_points, dtype=torch.int32, device=device)
        return PanopticScene(
            distance_vox=field.index_copy_(0, cells, distance).view(grid.shape),
            semantic=semantic.index_copy_(0, cells, class_of[labels.segment]).view(grid.shape),
            instance=instance.index_copy_(0, cells, thing_of[labels.segment]).view(grid.shape),
            camera=prediction.cameras[member],
            grid=grid,
            taxonomy=self.taxonomy,
            scores=scores,
            class_scores=class_scores,
        )

    def _thing_numbers(self, labels: QueryLabels) -> list[int]:
        """The instance id of each segment: things count from 1 in the order of the segments, stuff is 0."""
        numbers, count = [], 0
        for class_id in labels.class_of_segment:
            count += self.taxonomy.is_thing(class_id)
            numbers.append(count if self.taxonomy.is_thing(class_id) else 0)
        return numbers

    def _scores(
        self, labels: QueryLabels, logits: Float[Tensor, "n q"], instances: Instances2D
    ) -> tuple[dict[int, float], dict[int, float]]:
        """Scores of things by number and of stuff by class; stuff from several queries takes the best score."""
        numbers, things, stuff = self._thing_numbers(labels), {}, {}
        of_query = labels.segment_of_query
        agreement = self._agreement(labels, logits)
        for query, (segment, score) in enumerate(zip(of_query, instances.scores.tolist(), strict=True)):
            if not segment:
                continue
            score = score * agreement[query] if self.config.score == "agreement" else score
            if numbers[segment]:
                things[numbers[segment]] = score
            else:
                class_id = labels.class_of_segment[segment]
                stuff[class_id] = max(score, stuff.get(class_id, 0.0))
        return things, stuff

    def _agreement(self, labels: QueryLabels, logits: Float[Tensor, "n q"]) -> list[float]:
        """Mean mask of each query over the voxels of its segment."""
        of_query: Int64[Tensor, " q"] = torch.tensor(labels.segment_of_query, device=logits.device)
        is_own = (labels.segment[:, None] == of_query) & (of_query > 0)
        return ((logits.sigmoid() * is_own).sum(dim=0) / is_own.sum(dim=0).clamp(min=1)).tolist()
