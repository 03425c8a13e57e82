"""What BUOL's 3D stage is worth by itself: PRQ with true maps in place of the 2D stage.

    python eval/buol/given_truth.py --config configs/buol/overfit.yaml --data ROOT [--split FILE] --weights RUN

Without weights: with what torch draws, which is what chance gets.
"""

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import load_file

from panoptic3d.data.dataset import open_dataset
from panoptic3d.engine.methods.buol.config import BuolSettings
from panoptic3d.engine.methods.buol.method import BuolMethod
from panoptic3d.engine.methods.table import load_training_config
from panoptic3d.metrics.prq_metric import PanopticReconstructionQuality
from panoptic3d.structures.batch import collate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True, type=Path)
    parser.add_argument("--data", required=True)
    parser.add_argument("--split")
    parser.add_argument("--weights", type=Path, help="a folder with a checkpoint of training")
    parser.add_argument(
        "overrides", nargs="*", help="KEY=VALUE of the config, such as settings.network.decode.fill=first"
    )
    arguments = parser.parse_args()
    torch.manual_seed(0)
    overrides = [f"--{override}" for override in arguments.overrides]
    settings = load_training_config(arguments.config, overrides).settings
    assert isinstance(settings, BuolSettings)
    method = BuolMethod(settings)
    if arguments.weights:
        method.network.load_state_dict(load_file(arguments.weights / "model.safetensors"))
    metric = PanopticReconstructionQuality("strict")
    dataset = open_dataset(arguments.data, arguments.split)
    for number in range(len(dataset)):
        sample = dataset[number]
        (scene,) = method.scenes_given_image_truth(collate([sample]))
        metric.update(scene, sample)
    print(json.dumps({name: round(float(value), 4) for name, value in metric.compute().items()}))


if __name__ == "__main__":
    main()
