"""PRQ in the middle of a training: every sample on exactly one rank, whole-number sums, so that ranks agree to the bit."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from panoptic3d import distributed
from panoptic3d.data.dataset import FailedSample, SampleDataset
from panoptic3d.data.loader import evaluation_samples
from panoptic3d.data.splits import split_of_keys
from panoptic3d.engine.methods.base import Method, evaluating
from panoptic3d.engine.training.config import ValidationConfig
from panoptic3d.errors import InputError, Panoptic3dError
from panoptic3d.metrics.prq_metric import PanopticReconstructionQuality
from panoptic3d.metrics.tally import Scores
from panoptic3d.randomness import capture_random_state, restore_random_state
from panoptic3d.structures.batch import collate
from panoptic3d.structures.moving import moved
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY


@dataclass(frozen=True, eq=False)
class Validated:
    """Result of a validation, the same on all ranks, except for the scenes, which are those of this rank."""

    scores: Scores
    num_samples: int
    bad_truth: dict[str, str]  # key -> what was wrong; not scored
    shown: tuple[tuple[str, PanopticScene], ...]

    def numbers(self) -> dict[str, float]:
        groups = {"": self.scores.all, "_things": self.scores.things, "_stuff": self.scores.stuff}
        return {f"{name}{group}": getattr(q, name) for group, q in groups.items() for name in ("prq", "rsq", "rrq")}

    def table(self) -> tuple[list[str], list[list[Any]]]:
        """Columns and a row a class."""
        rows = [
            [FRONT3D_TAXONOMY[class_id].name, c.prq, c.rsq, c.rrq, c.tp, c.fp, c.fn, c.n]
            for class_id, c in self.scores.per_class.items()
        ]
        return ["class", "prq", "rsq", "rrq", "tp", "fp", "fn", "n"], rows


def validation_set(dataset: SampleDataset, num_samples: int | None) -> SampleDataset:
    """The same samples every time, spread over the split."""
    keys = dataset.split.keys
    if num_samples is None or num_samples >= len(keys):
        return dataset
    chosen = [keys[number * len(keys) // num_samples] for number in range(num_samples)]
    split = split_of_keys(f"{num_samples} of {dataset.split.name}", chosen)
    return SampleDataset(dataset.root, split, has_voxels=True)


@torch.no_grad()
def validate(
    method: Method,
    dataset: SampleDataset,
    config: ValidationConfig,
    device: torch.device,
    must_stop: Callable[[], bool] = lambda: False,
) -> Validated | None:
    """None where any rank was asked to stop. Leaves the random streams and the modes of the modules as they were."""
    random = capture_random_state()
    metric = PanopticReconstructionQuality(config.protocol, sync_on_compute=False)
    bad: dict[str, str] = {}
    shown: list[tuple[str, PanopticScene]] = []
    try:
        with evaluating(method):
            for item in evaluation_samples(dataset, on_bad="hand on"):
                if must_stop():
                    break
                if isinstance(item, FailedSample):
                    bad[item.key] = str(item.error)
                    continue
                (scene,) = method.scenes(collate([item]).to(device))
                metric.update(scene, item)
                if len(shown) < config.num_scenes_shown and distributed.is_main():
                    shown.append((item.key, moved(replace(scene, photo=item.image), "cpu")))
    finally:
        restore_random_state(random)
    distributed.wait_for_slow_ranks()
    stopped = torch.tensor([bool(must_stop())], dtype=torch.int64)
    if int(distributed.sum_over_ranks(stopped)):
        return None
    metric.sums = distributed.sum_over_ranks(metric.sums)
    bad = {key: message for part in distributed.gather_objects(bad) for key, message in part.items()}
    if metric.num_samples == 0:
        raise Panoptic3dError(f"no validation sample can be read, the first: {next(iter(bad.values()), 'none')}")
    return Validated(metric.scores(), metric.num_samples, bad, tuple(shown))


def check_has_truth(dataset: SampleDataset) -> None:
    if len(dataset) == 0:
        raise InputError(f"the validation split {dataset.split.name!r} is empty; give another, or validation.every 0.")
