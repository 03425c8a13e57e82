"""What each switch of the decoder loses: PRQ (`strict`) of the truth itself, read at 6 cm and grouped by true centers.

    python eval/buol/grouping.py --data ROOT [--split FILE] [--stride 1]

No network that answers at 6 cm is meant to do much better, whatever it learns. One switch at a time goes from `corrected` to
`faithful`; the last row has all of them. `--stride 1`: read at 3 cm.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from panoptic3d.data.centre_targets import centre_targets
from panoptic3d.data.dataset import open_dataset
from panoptic3d.engine.methods.buol.truth import nearest
from panoptic3d.metrics.prq_metric import PanopticReconstructionQuality
from panoptic3d.models.buol.config import FAITHFUL
from panoptic3d.models.centre_grouping.config import CentreGroupingConfig
from panoptic3d.models.centre_grouping.decoder import CentreGrouping
from panoptic3d.sparse import voxels_of_mask
from panoptic3d.structures.instances import Instances2D
from panoptic3d.structures.prediction import CentreLevel, Levels, Prediction
from panoptic3d.structures.sample import DISTANCE_TRUNCATION_VOX, Sample

_SIZE = (120, 160)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--split", type=Path)
    parser.add_argument("--stride", type=int, choices=(1, 2), default=2)
    arguments = parser.parse_args()
    dataset = open_dataset(arguments.data, arguments.split)
    samples = [dataset[number] for number in range(len(dataset))]
    predictions = [perfect(sample, arguments.stride) for sample in samples]
    switches: dict[str, Mapping[str, str]] = {"corrected": {}}
    switches |= {f"{name}: {value}": {name: value} for name, value in FAITHFUL["decode"].items()}
    switches["faithful"] = FAITHFUL["decode"]
    for name, changes in switches.items():
        decode = CentreGrouping(CentreGroupingConfig.model_validate(changes), samples[0].taxonomy)
        metric = PanopticReconstructionQuality("strict")
        for sample, prediction in zip(samples, predictions, strict=True):
            metric.update(decode(prediction)[0], sample)
        print(f"{name:28} {float(metric.compute()['prq']):.4f}", flush=True)


def perfect(sample: Sample, stride: int = 2) -> Prediction:
    """Cells with any voxel near a surface: mean distance, the most frequent label, offsets of nothing."""
    truth, camera = sample.truth, sample.camera.resized(_SIZE[1], _SIZE[0])
    assert truth is not None
    near = truth.dense(truth.distance_vox.abs().clamp(max=DISTANCE_TRUNCATION_VOX), DISTANCE_TRUNCATION_VOX)
    distance = F.avg_pool3d(near[None, None], stride)[0, 0]
    voxels = voxels_of_mask((distance < DISTANCE_TRUNCATION_VOX)[None], stride)
    i, j, k = voxels.coords[:, 1:].long().unbind(1)
    votes = F.one_hot(_cells(truth.dense_semantic().long(), stride)[i, j, k], len(sample.taxonomy)).sum(dim=1).float()
    votes[:, 0] *= 0.1  # labels end at one voxel from the surface, and a cell at it has some without
    level = CentreLevel(
        candidates=voxels,
        occupancy_logit=torch.where(distance[i, j, k] < 2.5, 1.0, -1.0),
        voxels=voxels,
        is_kept=torch.ones(len(voxels), dtype=torch.bool),
        semantic_logits=votes,
        distance_vox=distance[i, j, k],
        centre_offsets=torch.zeros(len(voxels), 3),
    )
    seen = centre_targets(nearest(sample.semantic_2d, _SIZE), nearest(sample.instance_2d, _SIZE), sample.taxonomy, 1.0)
    count = len(seen.ids)
    found = Instances2D(
        camera=camera,
        boxes_px=torch.zeros(count, 4),
        class_ids=torch.tensor(seen.class_ids, dtype=torch.int64),
        scores=torch.ones(count),
        masks=torch.zeros(count, *_SIZE),
        is_confident=torch.ones(count, dtype=torch.bool),
        centres_px=seen.centres.flip(1).float(),
    )
    depth_m = nearest(sample.depth_m, _SIZE)[None]
    return Prediction((camera,), (truth.grid,), depth_m, (found,), Levels((), level))


def _cells(volume: Tensor, stride: int) -> Tensor:
    """The values of every cell of stride^3 voxels beside each other."""
    pairs = volume.unflatten(0, (-1, stride)).unflatten(2, (-1, stride)).unflatten(4, (-1, stride))
    return pairs.permute(0, 2, 4, 1, 3, 5).flatten(3)


if __name__ == "__main__":
    main()
