"""How well the scale of poses is found from predicted depth: each room's poses times a random s in [0.2, 5].

python -m eval.fusion.scale --data ROOT --rooms 20 [--checkpoint tiny [--predictions DIR] | --truth]
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from eval.fusion.predicted import PredictedViews
from panoptic3d.data.roots import open_root
from panoptic3d.models.checkpoints.find import find_checkpoint
from panoptic3d.models.checkpoints.load import load_network
from panoptic3d.models.pipeline import Pipeline
from panoptic3d.predictor.poses.posed_photos import PosedPhoto
from panoptic3d.predictor.poses.scale import found_scale
from panoptic3d.structures.pixel_map import DepthMap, PixelMap
from panoptic3d.structures.sample import Sample


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--rooms", type=int, default=20)
    parser.add_argument("--views", type=int, default=8)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--checkpoint")
    source.add_argument("--truth", action="store_true", help="with true depth")
    parser.add_argument("--predictions", type=Path, metavar="DIR", help="scenes that `eval.fusion.table` has kept")
    arguments = parser.parse_args()
    data = open_root(arguments.data)
    depth_of = _depth_source(arguments)
    keys = data.split(None).keys
    errors = []
    for number, room in enumerate(sorted({key.partition("/")[0] for key in keys})[: arguments.rooms]):
        own = [key for key in keys if key.startswith(f"{room}/")][: arguments.views]
        samples = [data.read(key, has_voxels=False) for key in own]
        true = float(np.exp(np.random.default_rng(number).uniform(np.log(0.2), np.log(5))))
        poses = [_shrunk(sample, true) for sample in samples]
        found = found_scale([depth_of(s) for s in samples], [s.camera for s in samples], poses)
        errors.append(abs(np.log(found.factor / true)))
        print(f"{room}: s {true:.3f}, found {found.factor:.3f} ({found.factor / true - 1:+.1%})", flush=True)
    within = sum(error < np.log(1.1) for error in errors)
    print(f"median error {np.exp(np.median(errors)) - 1:.1%}; {within} of {len(errors)} within 10 %")


def _shrunk(sample: Sample, scale: float) -> PosedPhoto:
    assert sample.world_from_camera is not None
    pose = sample.world_from_camera.numpy().copy()
    pose[:3, 3] /= scale
    return PosedPhoto(sample.frame, pose)


def _depth_source(arguments: argparse.Namespace) -> Callable[[Sample], DepthMap]:
    if arguments.truth:
        return lambda sample: DepthMap(sample.depth_m, PixelMap((1.0, 1.0), (0.0, 0.0)))
    checkpoint = find_checkpoint(arguments.checkpoint)
    if arguments.predictions is not None:
        return partial(_kept_depth, views=PredictedViews(checkpoint, arguments.predictions))
    return partial(_predicted_depth, network=load_network(checkpoint))


def _kept_depth(sample: Sample, views: PredictedViews) -> DepthMap:
    depth_map = views.scene(sample).depth_map
    assert depth_map is not None, "our networks have one"
    return depth_map


@torch.inference_mode()
def _predicted_depth(sample: Sample, network: Pipeline) -> DepthMap:
    seen = network.see(sample.image[None], (sample.camera,))
    to_map = PixelMap.between(seen.fitted.cameras[0], seen.rays.cameras[0])
    return DepthMap(seen.rays.depth_m[0], seen.fitted.from_photo.then(to_map))


if __name__ == "__main__":
    main()
