"""Capture and restore everything that a run needs to resume to the bit."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from panoptic3d import distributed
from panoptic3d.config import canonical_json, fingerprint
from panoptic3d.data.order import Position, num_training_steps
from panoptic3d.engine.training.checkpoint import TRAINING, Checkpoint, read_training, read_weights
from panoptic3d.engine.training.config import TrainingConfig
from panoptic3d.engine.training.faults import FaultBook
from panoptic3d.engine.training.stages import Stage
from panoptic3d.engine.training.trainer import Trainer
from panoptic3d.errors import InputError, reading
from panoptic3d.machine import describe_machine
from panoptic3d.models.methods import METHODS
from panoptic3d.randomness import capture_random_state, restore_random_state, seed_everything

_LOG = logging.getLogger(__name__)
_NETWORK = "network."  # prefix of the weights that are stored in model.safetensors
FORMAT = 1


@dataclass
class Standing:
    """State of a run that is not in the trainer: best PRQ, last validation, and earlier starts."""

    validated_step: int = -1  # the last one with a PRQ
    best_prq: float = -1.0
    best: str | None = None  # name of the checkpoint
    resumed: list[int] = field(default_factory=list)  # steps from which the run went on


def capture(trainer: Trainer, standing: Standing) -> Checkpoint:
    """Called by every rank (their random streams are gathered); the main one writes what it gets."""
    method, position = trainer.method, trainer.position
    state = method.state_dict()
    training = {
        "format": FORMAT,
        "step": trainer.step,
        "stage": trainer.stage.name,
        "position": {"epoch": position.epoch, "step": position.step},
        "num_samples": len(trainer.dataset),
        "batch_size": trainer.config.loader.batch_size,
        "random": distributed.gather_objects(capture_random_state()),
        "optimizer": trainer.optimizer.state_dict(),
        "scaler": trainer.scaler.state_dict(),
        "network": None if trainer.average is None else method.network.state_dict(),
        "beside_network": {name: t for name, t in state.items() if not name.startswith(_NETWORK)},
        "faults": trainer.faults.state_dict(),
        "standing": vars(standing).copy(),
        "config": canonical_json(trainer.config),
    }
    weights = method.network.state_dict() if trainer.average is None else trainer.average.state_dict()
    origin = {
        "family": trainer.config.method,
        "stages": "2d and 3d",
        "run": trainer.folder.path.name,
        "step": trainer.step,
        "stage": trainer.stage.name,
        "trained_parts": list(trainer.stage.config.train or method.parts()),
        "fingerprint": fingerprint(trainer.config),
        "is_average": trainer.average is not None,
        "commit": describe_machine()["commit"],
    }
    network_config = json.loads(canonical_json(method.network_config))
    if trainer.config.method not in METHODS:  # so that who loads the checkpoint finds the stranger's method again
        network_config["method"] = trainer.config.method
    return Checkpoint(trainer.step, weights, network_config, origin, training)


def restore(trainer: Trainer, path: Path, stages: tuple[Stage, ...]) -> Standing:
    """Load a checkpoint into a trainer before its first step."""
    training, weights = read_training(path), read_weights(path)
    _check_format(training, path)
    advice = "go on from a checkpoint of this run"
    with reading(path / TRAINING, "the state of a training", advice=advice, passing=InputError):
        return _restored(trainer, training, weights, path, stages)


def _restored(
    trainer: Trainer, training: dict[str, Any], weights: dict[str, Tensor], path: Path, stages: tuple[Stage, ...]
) -> Standing:
    _say_what_changed(trainer.config, training["config"])
    network = weights if training["network"] is None else training["network"]
    load_weights(trainer, network, training["beside_network"], path)
    if trainer.average is not None:
        trainer.average.load_state_dict(weights)
    trainer.step, trainer.position = training["step"], _position(trainer, training)
    trainer.faults = FaultBook.from_state_dict(training["faults"])
    trainer.scaler.load_state_dict(training["scaler"])
    stage = next((stage for stage in stages if trainer.step < stage.end), stages[-1])
    trainer.enter(stage)
    if training["stage"] == stage.name and trainer.step < stage.end:
        _restore_optimizer(trainer, training["optimizer"], path)
    _restore_random(trainer, training["random"])
    return Standing(**training["standing"])


def _restore_optimizer(trainer: Trainer, state: dict[str, Any], path: Path) -> None:
    """torch takes the settings of another kind of optimizer and misses its own at the next step."""
    try:
        own, theirs = trainer.optimizer.state_dict()["param_groups"], state["param_groups"]
        if (lacking := set(own[0]) - set(theirs[0])) != set():
            raise ValueError(f"it has no {', '.join(sorted(lacking))}")
        trainer.optimizer.load_state_dict(state)
    except (ValueError, KeyError) as error:
        raise InputError(
            f"{path} does not fit the optimizer of stage {trainer.stage.name!r} ({error}); go on with the run's own config, "
            "or start anew with --resume never and --start_from."
        ) from None


def load_weights(trainer: Trainer, network: Mapping[str, Tensor], beside: Mapping[str, Tensor], path: Path) -> None:
    state = {f"{_NETWORK}{name}": tensor for name, tensor in network.items()} | dict(beside)
    try:
        trainer.method.load_state_dict(state)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise InputError(
            f"the weights in {path} do not fit the config: {first} Go on with the run's own config."
        ) from None


def _position(trainer: Trainer, training: Mapping[str, Any]) -> Position:
    """Where to continue in the epoch. If the number of samples per step changed, it is rounded down and logged."""
    saved = Position(**training["position"])
    batch_size, world = trainer.config.loader.batch_size, distributed.world_size()
    old_world = len(training["random"])
    old, new = training["batch_size"] * old_world, batch_size * world
    if training["num_samples"] != len(trainer.dataset):
        _LOG.warning(
            "the split has %d samples where the run had %d: this epoch's order is another one",
            len(trainer.dataset),
            training["num_samples"],
        )
        return Position(saved.epoch)
    if old == new:
        return saved
    step = saved.step * old // new
    _LOG.warning(
        "goes on with %d ranks x %d samples where the run had %d x %d: the order of the samples is the same, a step takes "
        "%d of them in place of %d, and %d of epoch %d are seen a second time",
        world,
        batch_size,
        old_world,
        training["batch_size"],
        new,
        old,
        saved.step * old - step * new,
        saved.epoch,
    )
    if step >= num_training_steps(len(trainer.dataset), batch_size, world):
        return Position(saved.epoch + 1)
    return Position(saved.epoch, step)


def _restore_random(trainer: Trainer, states: list[dict[str, Any]]) -> None:
    rank = distributed.rank()
    if rank < len(states):
        restore_random_state(states[rank])
    else:
        seed_everything(trainer.config.seed, "rank", rank, trainer.step)


def _say_what_changed(config: TrainingConfig, saved: str) -> None:
    old, new = _flat(json.loads(saved)), _flat(json.loads(canonical_json(config)))
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            _LOG.warning("goes on with another config: %s was %r and is %r", key, old.get(key), new.get(key))


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {prefix[:-1]: tree}
    return {key: value for name, item in tree.items() for key, value in _flat(item, f"{prefix}{name}.").items()}


def _check_format(training: Mapping[str, Any], path: Path) -> None:
    step = training.get("step")
    if not isinstance(step, int) or step < 0:
        raise InputError(f"{path} says to be of step {step!r}; give a checkpoint that training has made.")
    if training.get("format") != FORMAT:
        raise InputError(f"{path} has format {training.get('format')!r} and this version knows {FORMAT}.")
