"""Where does a network put its own floor? What decides over --camera-height-m: validation views with a true camera height.

    python -m eval.depth.heights --data ROOT [--num 40] [--checkpoint any-camera] [--json FILE]

AbsRel after the depth was scaled by true height / own height, where the own height is: `planes`, the lowest level plane of
the floor's pixels and of the lower half of the picture; `stance`, what the network predicts; `floor pixels`, their median
height below the camera along the stance's down; and after the best single scale. `within_1_3` is the share of the views that
show their floor where the error is at most 1.3 times that of the best single scale.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from panoptic3d.data.roots import open_root
from panoptic3d.engine.methods.clearview.method import nearest_pixels
from panoptic3d.engine.methods.clearview.targets import stance_truth
from panoptic3d.errors import InputError
from panoptic3d.files import write_text_atomically
from panoptic3d.machine import describe_machine
from panoptic3d.models.checkpoints.find import find_checkpoint
from panoptic3d.models.checkpoints.load import load_network
from panoptic3d.models.known_height import with_camera_height
from panoptic3d.models.seen_floor import pixels_of_floor, points_of
from panoptic3d.models.slots import Seen
from panoptic3d.structures.sample import Sample

_FLOOR_SHOWS = 0.03  # of the picture
_SCALES = np.exp(np.linspace(-1.5, 1.5, 601))


def own_heights(seen: Seen) -> dict[str, float]:
    stance, is_floor = seen.rays.stance, pixels_of_floor(seen).cpu()
    below = points_of(seen)[is_floor] @ stance.down[0].double().cpu()
    without = replace(seen, rays=replace(seen.rays, stance=None))
    own_m = float(stance.floor_m[0])
    try:
        planes = with_camera_height(without, 1.0)[1]["own_height_m"]
    except InputError:  # no plane at all: what is left is the stance
        planes = own_m
    return {"planes": planes, "stance": own_m, "floor pixels": float(below.median()) if len(below) else own_m}


@torch.inference_mode()
def measured(sample: Sample, network: Any) -> dict[str, Any] | None:
    """Of one view; None where nobody knows how high its camera was."""
    if sample.world_from_camera is None:
        return None
    seen = network.see(sample.image[None], (sample.camera,))
    depth_m = seen.rays.depth_m
    truth_m = nearest_pixels(sample.depth_m[None], depth_m)[0]
    labels = nearest_pixels(sample.semantic_2d[None].float(), depth_m)[0].long()
    ceiling, floor = sample.taxonomy.id_of("ceiling"), sample.taxonomy.id_of("floor")
    true = stance_truth(sample.world_from_camera, truth_m, labels, seen.rays.cameras[0], ceiling)
    if true is None:
        return None
    height_m, is_known = float(true.floor_m), truth_m > 0
    ratio = (depth_m[0][is_known] / truth_m[is_known]).double().numpy()
    best = min(_abs_rel(ratio, scale) for scale in _SCALES)
    errors = {name: _abs_rel(ratio, height_m / own) for name, own in own_heights(seen).items()}
    return {"shows_floor": _share(labels == floor) > _FLOOR_SHOWS, "errors": {**errors, "best scale": best}}


def _abs_rel(ratio: np.ndarray, scale: float) -> float:
    return float(np.abs(scale * ratio - 1).mean())


def _share(mask: Tensor) -> float:
    return float(mask.float().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--num", type=int, default=40)
    parser.add_argument("--checkpoint", default="any-camera")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    root, network = open_root(options.data), load_network(find_checkpoint(options.checkpoint))
    found = (measured(root.read(key, has_voxels=False), network) for key in list(root.keys())[: options.num])
    rows = [row for row in found if row is not None]
    table = {}
    for name in rows[0]["errors"]:
        ratios = [row["errors"][name] / row["errors"]["best scale"] for row in rows if row["shows_floor"]]
        table[name] = {
            "abs_rel": float(np.mean([row["errors"][name] for row in rows])),
            "mean_ratio": float(np.mean(ratios)),
            "within_1_3": float(np.mean(np.array(ratios) < 1.3)),
        }
        print(f"{name:14}", *(f"{key} {value:.3f}" for key, value in table[name].items()))
    if options.json is not None:
        told = {"machine": describe_machine(), "num_views": len(rows), "own_height": table}
        write_text_atomically(options.json, json.dumps(told, indent=1, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
