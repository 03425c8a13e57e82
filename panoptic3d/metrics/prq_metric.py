"""PRQ as a torchmetrics metric: one tensor of whole-number sums, so that ranks need one all-reduce and agree to the bit."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torchmetrics import Metric

from panoptic3d.errors import Panoptic3dError
from panoptic3d.metrics.evaluation_mask import Frustum
from panoptic3d.metrics.labelled import NUM_CLASSES, LabelledVoxels
from panoptic3d.metrics.panoptic_quality import SampleScore, Truth, score_sample
from panoptic3d.metrics.protocol import Protocol, load_protocol
from panoptic3d.metrics.tally import Scores, Tally, scores_of
from panoptic3d.structures.sample import Sample
from panoptic3d.structures.scene import PanopticScene

_NUM_SUMS = NUM_CLASSES * 5


class PanopticReconstructionQuality(Metric):
    """PRQ, RSQ and RRQ under a protocol, by its name, its YAML file or the object itself.

    `update` takes predicted scenes and samples with ground truth, one or a batch of each. A prediction of None is a method
    that failed: scored as nothing predicted, and counted.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    sums: Tensor

    def __init__(self, protocol: str | Protocol = "strict", **torchmetrics_options: Any) -> None:
        torchmetrics_options.setdefault("dist_sync_fn", _sum_over_ranks)
        super().__init__(**torchmetrics_options)
        self.protocol = protocol if isinstance(protocol, Protocol) else load_protocol(protocol)
        # Per class the columns of a tally, then: samples, failed ones, skipped ones.
        self.add_state("sums", default=torch.zeros(_NUM_SUMS + 3, dtype=torch.int64), dist_reduce_fx="sum")
        self._frustum: Frustum | None = None

    def update(
        self,
        prediction: PanopticScene | LabelledVoxels | Sequence[PanopticScene | LabelledVoxels | None] | None,
        truth: Sample | Truth | Sequence[Sample | Truth],
    ) -> None:
        if isinstance(truth, (Sample, Truth)):
            self._add(prediction, truth)  # type: ignore[arg-type]
            return
        assert isinstance(prediction, Sequence)
        for one_prediction, one_truth in zip(prediction, truth, strict=True):
            self._add(one_prediction, one_truth)

    def add_score(self, score: SampleScore, has_failed: bool = False) -> None:
        """Add a sample that is scored already, such as a record read back."""
        counts = torch.tensor([1, has_failed, score.is_skipped], dtype=torch.int64)
        addend = torch.cat((torch.from_numpy(score.tally.sums).flatten(), counts))
        self.sums += addend.to(self.sums.device)

    def compute(self) -> dict[str, Tensor]:
        scores = self.scores()
        groups = {"": scores.all, "_things": scores.things, "_stuff": scores.stuff}
        values = {f"{key}{name}": getattr(q, key) for name, q in groups.items() for key in ("prq", "rsq", "rrq")}
        return {key: torch.tensor(value, dtype=torch.float64) for key, value in values.items()}

    def scores(self) -> Scores:
        """The full table of what this process has summed; inside of `sync_context`, of all ranks."""
        if self.num_samples == 0:
            raise Panoptic3dError("PRQ of no sample is undefined; update the metric before asking for its value.")
        return scores_of(self.tally, self.protocol.mean_over)

    @property
    def tally(self) -> Tally:
        return Tally(self.sums[:_NUM_SUMS].view(NUM_CLASSES, 5).cpu().numpy())

    @property
    def num_samples(self) -> int:
        return int(self.sums[_NUM_SUMS])

    @property
    def num_failed(self) -> int:
        return int(self.sums[_NUM_SUMS + 1])

    @property
    def num_skipped(self) -> int:
        return int(self.sums[_NUM_SUMS + 2])

    def _add(self, prediction: PanopticScene | LabelledVoxels | None, sample: Sample | Truth) -> None:
        truth = sample if isinstance(sample, Truth) else Truth.from_sample(sample, self._frustum)
        self._frustum = truth.frustum  # the same for every image of a data set, and dearer to pack than to score
        if isinstance(prediction, PanopticScene):
            voxels = LabelledVoxels.from_scene(prediction)
        else:
            voxels = prediction if prediction is not None else LabelledVoxels.nothing(truth.voxels.shape)
        self.add_score(score_sample(voxels, truth, self.protocol), has_failed=prediction is None)


def _sum_over_ranks(tensor: Tensor, group: Any = None) -> list[Tensor]:
    """torchmetrics would gather every rank's state and add; one all-reduce does."""
    total = tensor.clone()
    dist.all_reduce(total, op=dist.ReduceOp.SUM, group=group)
    return [total]
