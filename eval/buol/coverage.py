"""What each switch of the lift loses: the share of labelled voxels about which the voxel net may speak, given true maps.

    python eval/buol/coverage.py --data ROOT [--split FILE]

A voxel outside of that region cannot be found by any network behind the lift. One switch at a time goes from `corrected` to
`faithful`; the last row has all of them. "rows" are the voxels that go into the network, in thousands.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import torch

from panoptic3d.data.centre_targets import centre_targets
from panoptic3d.data.dataset import open_dataset
from panoptic3d.engine.methods.buol.truth import class_logits, nearest
from panoptic3d.models.buol.config import FAITHFUL
from panoptic3d.models.occupancy_lift.config import OccupancyLiftConfig
from panoptic3d.models.occupancy_lift.lift import OccupancyLift
from panoptic3d.models.slots import Panoptic2D, RayEstimate
from panoptic3d.models.sparse_deeplab.masks import region_around
from panoptic3d.structures.sample import Sample

_SIZE = (120, 160)
_MARGIN_VOX = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--split", type=Path)
    arguments = parser.parse_args()
    dataset = open_dataset(arguments.data, arguments.split)
    samples = [dataset[number] for number in range(len(dataset))]
    switches: dict[str, Mapping[str, str]] = {"corrected": {}}
    switches |= {f"{name}: {value}": {name: value} for name, value in FAITHFUL["lift"].items() if name != "frame"}
    switches["faithful"] = FAITHFUL["lift"]
    print(f"{'switch':28} {'share':>7} {'rows':>6}")
    for name, changes in switches.items():
        found = [_covered(sample, OccupancyLiftConfig.model_validate(changes)) for sample in samples]
        inside, labelled, rows = (sum(column) for column in zip(*found, strict=True))
        print(f"{name:28} {inside / labelled:7.4f} {rows / len(samples) / 1000:6.0f}", flush=True)


@torch.inference_mode()
def _covered(sample: Sample, config: OccupancyLiftConfig) -> tuple[int, int, int]:
    """Labelled voxels in the region, all of them, and rows of the network."""
    assert sample.truth is not None
    camera, truth = sample.camera.resized(_SIZE[1], _SIZE[0]), sample.truth
    seen = centre_targets(nearest(sample.semantic_2d, _SIZE), nearest(sample.instance_2d, _SIZE), sample.taxonomy, 1.0)
    logits = class_logits(seen, len(sample.taxonomy))[None]
    rays = RayEstimate(
        cameras=(camera,),
        depth_m=nearest(sample.depth_m, _SIZE)[None],
        features=torch.zeros(1, 1, *_SIZE),
        occupancy_logits=torch.zeros(1, 100, *_SIZE),
        plane_spacing_m=0.06,
    )
    lifted = OccupancyLift(config, sample.taxonomy)(rays, Panoptic2D((), {"semantic_logits": logits}))
    region = region_around(lifted.voxels, lifted.frustum, _MARGIN_VOX)
    cells = truth.coords[truth.semantic > 0]
    cells = torch.cat((cells.new_zeros(len(cells), 1), cells), dim=1)
    return int(region.holds(cells).sum()), len(cells), len(lifted.voxels)


if __name__ == "__main__":
    main()
