"""How well is a depth of another photo told from that of the photo itself? The limits of models/depth_agreement.py.

    python -m eval.depth.other_photos --data ROOT [--split LIST] [--num 40] [--checkpoint any-camera]

Each view gets its own depth with the faults of a sensor, and those of all views of other scenes with the same camera size.
"""

import argparse
from typing import Any

import numpy as np
import torch

from panoptic3d.data.roots import open_root
from panoptic3d.data.sensor_faults import SensorFaults
from panoptic3d.data.splits import find_split
from panoptic3d.engine.evaluation.depth_supply import TrueDepth
from panoptic3d.models.checkpoints.find import find_checkpoint
from panoptic3d.models.checkpoints.load import load_network
from panoptic3d.models.depth_agreement import Agreement, agreement
from panoptic3d.models.given_depth import at_map, fitted_depth
from panoptic3d.structures.sample import Sample

_SENSOR = TrueDepth(SensorFaults())


@torch.inference_mode()
def maps_of(sample: Sample, network: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The network's own depth, and the measured one at its pixels."""
    seen = network.see(sample.image[None], (sample.camera,))
    return seen.rays.depth_m[0], at_map(seen, _SENSOR.of(sample))


def compared(own_m: torch.Tensor, given: torch.Tensor) -> Agreement | None:
    fit = fitted_depth(given, own_m, "metric")
    return agreement(fit.depth_m, own_m, fit.is_measured)


def told(found: list[Agreement]) -> str:
    quantiles = np.quantile([one.correlation for one in found], (0.0, 0.05, 0.5, 0.95, 1.0)).round(2)
    refused = np.mean([one.is_of_another_photo for one in found])
    return f"{len(found)} compared, correlation {quantiles.tolist()}, refused {100 * refused:.1f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--split")
    parser.add_argument("--num", type=int, default=40)
    parser.add_argument("--checkpoint", default="any-camera")
    options = parser.parse_args()
    root, network = open_root(options.data), load_network(find_checkpoint(options.checkpoint))
    keys = root.keys() if options.split is None else find_split(options.data, options.split).keys
    samples = [root.read(key, has_voxels=False) for key in list(keys)[: options.num]]
    maps = [maps_of(sample, network) for sample in samples]
    right = [compared(*pair) for pair in maps]
    wrong = [
        compared(own_m, given)
        for one, (own_m, _) in zip(samples, maps, strict=True)
        for other, (_, given) in zip(samples, maps, strict=True)
        if one.scene != other.scene and own_m.shape == given.shape
    ]
    print("of the photo itself:", told([found for found in right if found is not None]))
    print("of another scene:  ", told([found for found in wrong if found is not None]))


if __name__ == "__main__":
    main()
