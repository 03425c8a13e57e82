"""Where the CPU waits for a GPU: a training step of each stage and a prediction of the debug configs on the pretended device.

    python -m eval.gpu.host_syncs                       # the four methods, both sparse routes
    python -m eval.gpu.host_syncs clearview/debug --places

A *wait* brings a value back (`item`, `nonzero`, a boolean mask); an *upload* sends a small tensor from memory that is not
pinned, for which CUDA also waits. Counts are of one photo of data/tiny; they hardly depend on what it shows.
"""

import argparse
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from eval.gpu.pretended_device import DEVICE, Kind, PretendedDevice, Route, Sync, pretended_device
from panoptic3d.engine.methods.base import Method
from panoptic3d.engine.methods.table import build_method, load_training_config
from panoptic3d.engine.training.run import training_set
from panoptic3d.engine.training.stages import learnable_names, set_trained_parts
from panoptic3d.structures.batch import Batch, collate

DEBUG = ("panorecon/debug", "buol/debug", "uni3d/debug", "clearview/debug")
SLOTS = ("fit", "trunk", "panoptic", "rays", "lift", "voxel_net", "decode")
_CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def observed(
    method: Method,
    batch: Batch,
    stages: Mapping[str, tuple[str, ...]],
    step: int,
    route: Route = "torch",
    dtype: torch.dtype | None = None,
) -> list[Sync]:
    """A training step of each stage (its parts by name), and a prediction. What CUDA would refuse is raised."""
    learnable = learnable_names(method)
    with pretended_device(route) as device:
        method.to(DEVICE)
        device.ledger.watch({name: getattr(method.network, name) for name in SLOTS})
        here = batch.to(DEVICE)
        device.ledger.syncs.clear()
        for stage, parts in stages.items():
            method.train()
            set_trained_parts(method, parts, learnable)
            _train(device, method, here, stage, step, dtype)
        method.eval()
        with device.ledger.during("predict"):
            network: Any = method.network
            scenes = network.infer(here.image, here.cameras, dtype or torch.float32)
            assert all(device.has(scene.semantic) for scene in scenes)
    return device.ledger.syncs


def _train(
    device: PretendedDevice, method: Method, batch: Batch, stage: str, step: int, dtype: torch.dtype | None
) -> None:
    learning = [parameter for parameter in method.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, 1e-4)
    with device.ledger.during(f"{stage}: forward"), torch.autocast("cuda", dtype, enabled=dtype is not None):
        terms = method(batch, step)
    loss = torch.stack([term.double() for term in terms.values()]).sum()
    with device.ledger.during(f"{stage}: backward"):
        loss.backward()
    with device.ledger.during(f"{stage}: step"):
        torch.nn.utils.clip_grad_norm_(learning, 1.0)
        optimizer.step()


def counts(syncs: Iterable[Sync], kind: Kind) -> Counter[tuple[str, str]]:
    """By phase and stage."""
    return Counter((sync.phase, sync.stage) for sync in syncs if sync.kind == kind)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", nargs="*", default=DEBUG)
    parser.add_argument("--route", choices=("torch", "triton"), action="append")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--places", action="store_true", help="by line of the library, too")
    arguments = parser.parse_args()
    print("| config | sparse route | when | slot | waits | uploads |\n| --- | --- | --- | --- | --- | --- |")
    for name in arguments.config:
        config = load_training_config(_CONFIGS / f"{name}.yaml")
        batch = collate([training_set(config.data)[0]])
        stages = {stage.name: stage.train for stage in config.stages}
        for route in arguments.route or ("torch", "triton"):
            torch.manual_seed(0)
            dtype = torch.bfloat16 if arguments.bf16 else None
            syncs = observed(build_method(config), batch, stages, config.num_steps, route, dtype)
            _print(name, route, syncs, arguments.places)


def _print(name: str, route: str, syncs: Sequence[Sync], has_places: bool) -> None:
    waits, uploads = counts(syncs, "wait"), counts(syncs, "upload")
    for key in dict.fromkeys((sync.phase, sync.stage) for sync in syncs):
        print(f"| {name} | {route} | {key[0]} | {key[1]} | {waits[key]} | {uploads[key]} |", flush=True)
    if has_places:
        for sync, number in Counter(syncs).most_common():
            print(f"{number:6} {sync.kind:6} {sync.operation:20} {sync.phase} {sync.stage} {sync.place}")


if __name__ == "__main__":
    main()
