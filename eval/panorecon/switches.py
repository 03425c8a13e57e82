"""What each switch from `corrected` to `faithful` costs, with true depth and masks in place of the 2D stage.

    python eval/panorecon/switches.py runs/panorecon-overfit/checkpoints/latest --config configs/panorecon/overfit.yaml
        --data ROOT --split FILE [--json FILE]

The weights stay as they were trained, under `corrected`: a row says what the quirk does to them, not what a network would
make of it that was trained under the quirk. Where nothing that reaches the voxel net changes, it is not run again.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from panoptic3d.config import read_yaml_tree
from panoptic3d.data.dataset import open_dataset
from panoptic3d.engine.methods.panorecon import PanoReconMethod
from panoptic3d.engine.methods.panorecon_settings import PanoReconSettings
from panoptic3d.files import write_text_atomically
from panoptic3d.metrics.prq_metric import PanopticReconstructionQuality
from panoptic3d.models.panorecon.config import FAITHFUL
from panoptic3d.models.slots import Lifted
from panoptic3d.structures.batch import collate
from panoptic3d.structures.prediction import LevelPrediction, Prediction
from panoptic3d.structures.sample import Sample

# These change what the weights mean: they can be compared by training twice, not by turning them.
NEEDS_TRAINING = ("voxel_net.even_kernels", "trunk.norm", "rays.norm", "panoptic.rois.norm")


@dataclass(frozen=True)
class Row:
    switch: str
    value: str
    prq: float
    prq_things: float
    prq_stuff: float
    num_frames_changed: int  # frames for which the voxel net was given anything else


class Judge:
    """Keeps what the voxel net said of each frame, so that a switch that does not reach it costs no second run."""

    def __init__(self, settings: PanoReconSettings, weights: Mapping[str, Any], samples: list[Sample]) -> None:
        self.settings, self.weights, self.samples = settings, weights, samples
        self.known: dict[str, tuple[Lifted, tuple[LevelPrediction, ...]]] = {}

    @torch.inference_mode()
    def row(self, name: str, value: str, changes: Mapping[str, Any]) -> Row:
        network = _merged(self.settings.network.model_dump(), changes)
        method = PanoReconMethod(PanoReconSettings.model_validate({**self.settings.model_dump(), "network": network}))
        method.network.load_state_dict(self.weights)
        method.eval()
        metric, num_changed = PanopticReconstructionQuality("strict"), 0
        reaches_inside = "voxel_net" in changes
        for sample in self.samples:
            batch = collate([sample])
            given = method.given_image_truth(batch)
            before = self.known.get(sample.key)
            if before is not None and _same(before[0], given.lifted) and not reaches_inside:
                levels = before[1]
            else:
                levels, num_changed = method.network.voxel_net(given.lifted), num_changed + 1
            if before is None:
                self.known[sample.key] = (given.lifted, levels)
            said = Prediction(given.cameras, given.lifted.grids, given.depth_m, given.instances, levels)
            metric.update(method.network.decode(said)[0], sample)
        values = {key: float(number) for key, number in metric.compute().items()}
        return Row(name, value, values["prq"], values["prq_things"], values["prq_stuff"], num_changed)


def switches() -> list[tuple[str, str, dict[str, Any]]]:
    """Name, faithful value, and the change of the network's config."""
    found = []
    for slot, parts in FAITHFUL.items():
        for key, value in parts.items():
            if f"{slot}.{key}" not in NEEDS_TRAINING:
                found.append((f"{slot}.{key}", str(value), {slot: {key: value}}))
    return found


def measure(judge: Judge) -> list[Row]:
    rows = [judge.row("none (corrected)", "", {})]
    _print(rows[0], rows[0])
    every: dict[str, Any] = {}
    for name, value, changes in switches():
        every = _merged(every, changes)
        rows.append(judge.row(name, value, changes))
        _print(rows[-1], rows[0])
    rows.append(judge.row("all of them", "", every))
    _print(rows[-1], rows[0])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a checkpoint")
    parser.add_argument("--config", required=True, help="of its run")
    parser.add_argument("--data", required=True)
    parser.add_argument("--split")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    settings = PanoReconSettings.model_validate(read_yaml_tree(arguments.config)["settings"])
    dataset = open_dataset(arguments.data, arguments.split)
    samples = [dataset[number] for number in range(len(dataset))]
    rows = measure(Judge(settings, load_file(arguments.folder / "model.safetensors"), samples))
    if arguments.json is not None:
        write_text_atomically(arguments.json, json.dumps([vars(row) for row in rows], indent=1) + "\n")


def _print(row: Row, first: Row) -> None:
    numbers = f"{row.prq:.3f} | {row.prq - first.prq:+.3f} | {row.prq_things:.3f} | {row.prq_stuff:.3f}"
    print(f"| {row.switch} | {row.value} | {numbers} | {row.num_frames_changed} |", flush=True)


def _same(first: Lifted, second: Lifted) -> bool:
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
