"""What each switch from `corrected` to `faithful` costs, with true depth and masks in place of the 2D stage.

    python eval/panorecon/switches.py --config configs/panorecon/overfit.yaml --data ROOT [--split FILE]
        [--weights runs/panorecon-overfit/checkpoints/latest] [--json FILE]

Without weights: behind a voxel net that answers its targets exactly wherever the real one can reach (`perfect_net.py`): what
a row loses, no training wins back. With weights, which stay as they were trained under `corrected`: what the quirk does to
them, not what a network would make of it that was trained under the quirk.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from perfect_net import PerfectNet
from safetensors.torch import load_file

from panoptic3d.config import read_yaml_tree
from panoptic3d.data.dataset import open_dataset
from panoptic3d.data.targets import instances_2d
from panoptic3d.engine.methods.panorecon.config import PanoReconSettings
from panoptic3d.engine.methods.panorecon.method import PanoReconMethod
from panoptic3d.engine.methods.panorecon.voxels import voxel_targets
from panoptic3d.files import write_text_atomically
from panoptic3d.metrics.prq_metric import PanopticReconstructionQuality
from panoptic3d.models.frustum_unet.config import FrustumUNetConfig
from panoptic3d.models.panorecon.config import FAITHFUL
from panoptic3d.models.pipeline import needed
from panoptic3d.models.slots import SurfaceLifted
from panoptic3d.structures.batch import collate
from panoptic3d.structures.prediction import LabelledLevel, Levels, SurfaceLevel
from panoptic3d.structures.sample import Sample

SurfaceLevels = Levels[LabelledLevel, SurfaceLevel]

# This changes what weights mean: it can be compared by training twice, not by turning it.
NEEDS_TRAINING = ("voxel_net.even_kernels",)


@dataclass(frozen=True)
class Row:
    switch: str
    value: str
    prq: float
    prq_things: float
    prq_stuff: float
    num_frames_changed: int  # frames for which the voxel net was given anything else


class Judge:
    """Keeps what was said of each frame, so that a switch that does not reach the voxel net costs no second run."""

    def __init__(self, settings: PanoReconSettings, weights: Mapping[str, Any] | None, samples: list[Sample]) -> None:
        self.settings, self.weights, self.samples = settings, weights, samples
        self.known: dict[str, tuple[SurfaceLifted, SurfaceLevels]] = {}

    @torch.inference_mode()
    def row(self, name: str, value: str, changes: Mapping[str, Any]) -> Row:
        network = _merged(self.settings.network.model_dump(), changes)
        torch.manual_seed(0)  # what is not loaded is the same for every row
        method = PanoReconMethod(PanoReconSettings.model_validate({**self.settings.model_dump(), "network": network}))
        if self.weights is not None:
            method.network.load_state_dict(self.weights)
        method.eval()
        metric, num_changed = PanopticReconstructionQuality("strict"), 0
        for sample in self.samples:
            answered: list[tuple[SurfaceLifted, SurfaceLevels]] = []

            def answer(
                lifted: SurfaceLifted, key: str = sample.key, sample: Sample = sample, answered: list = answered
            ) -> SurfaceLevels:
                known = self.known.get(key)
                if known is not None and "voxel_net" not in changes and _same(known[0], lifted):
                    return known[1]
                answered.append((lifted, self._answer(method, sample, lifted)))
                return answered[0][1]

            said = method.network.complete(method.given_image_truth(collate([sample])), voxel_net=answer)
            num_changed += len(answered)
            if answered:
                self.known.setdefault(sample.key, answered[0])
            metric.update(method.network.decode(said)[0], sample)
        values = {key: float(number) for key, number in metric.compute().items()}
        return Row(name, value, values["prq"], values["prq_things"], values["prq_stuff"], num_changed)

    def _answer(self, method: PanoReconMethod, sample: Sample, lifted: SurfaceLifted) -> SurfaceLevels:
        if self.weights is not None:
            return method.network.voxel_net(lifted)
        assert sample.truth is not None
        supply = self.settings.supply
        things = instances_2d(sample, supply.min_pixels, supply.max_instances or len(sample.instance_2d))
        targets = voxel_targets(sample.truth, things.numbers(), (4, 2, 1))
        return PerfectNet(needed(method.settings.network.voxel_net, FrustumUNetConfig), targets)(lifted)


def switches(has_weights: bool) -> list[tuple[str, str, dict[str, Any]]]:
    """Name, faithful value, and the change of the network's config."""
    every = [(slot, key, value) for slot, parts in FAITHFUL.items() for key, value in parts.items()]
    found = [(f"{slot}.{key}", str(value), {slot: {key: value}}) for slot, key, value in every]
    return [row for row in found if not (has_weights and row[0] in NEEDS_TRAINING)]


def measure(judge: Judge) -> list[Row]:
    rows = [judge.row("none (corrected)", "", {})]
    _print(rows[0], rows[0])
    every: dict[str, Any] = {}
    for name, value, changes in switches(judge.weights is not None):
        every = _merged(every, changes)
        rows.append(judge.row(name, value, changes))
        _print(rows[-1], rows[0])
    rows.append(judge.row("all of them", "", every))
    _print(rows[-1], rows[0])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="a checkpoint")
    parser.add_argument("--config", required=True, help="of its run")
    parser.add_argument("--data", required=True)
    parser.add_argument("--split")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    settings = PanoReconSettings.model_validate(read_yaml_tree(arguments.config)["settings"])
    dataset = open_dataset(arguments.data, arguments.split)
    samples = [dataset[number] for number in range(len(dataset))]
    weights = None if arguments.weights is None else load_file(arguments.weights / "model.safetensors")
    rows = measure(Judge(settings, weights, samples))
    if arguments.json is not None:
        write_text_atomically(arguments.json, json.dumps([vars(row) for row in rows], indent=1) + "\n")


def _print(row: Row, first: Row) -> None:
    numbers = f"{row.prq:.3f} | {row.prq - first.prq:+.3f} | {row.prq_things:.3f} | {row.prq_stuff:.3f}"
    print(f"| {row.switch} | {row.value} | {numbers} | {row.num_frames_changed} |", flush=True)


def _same(first: SurfaceLifted, second: SurfaceLifted) -> bool:
    pairs = (
        (first.voxels.coords, second.voxels.coords),
        (first.features, second.features),
        (first.is_in_frustum, second.is_in_frustum),
    )
    return all(torch.equal(a, b) for a, b in pairs)


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    nested = {
        k: _merged(under[k], v) for k, v in over.items() if isinstance(v, dict) and isinstance(under.get(k), dict)
    }
    return {**under, **over, **nested}


if __name__ == "__main__":
    main()
