"""A run in a few small files, to be carried from one short call on a machine to the next.

    python -m eval.gpu.state_files STATE RUN       # makes a run's folder of the files, to go on with, evaluate or ship

Six bytes a parameter: the weights that learn and their average in half floats, of Adam the second moment in bfloat16. The
first moment is left out (ten steps find it again), so a run goes on alike and not to the bit.
"""

import io
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import zstandard
from torch import Tensor

from panoptic3d.engine.training.checkpoint import (
    CONFIG,
    ORIGIN,
    Checkpoint,
    newest_intact,
    point,
    read_training,
    read_weights,
    write_checkpoint,
)
from panoptic3d.errors import BadFileError, InputError
from panoptic3d.files import write_bytes_atomically

PART_BYTES = 15 * 2**20
_RECORDS = ("config.yaml", "run.json", "metrics.jsonl", "train.log")
_HALF_MAX = 65504.0


def pack_run(run: Path, out: Path, further: Mapping[str, Any]) -> list[Path]:
    """The newest checkpoint and the records of a run, and whatever else the caller wants back."""
    checkpoint = newest_intact(run / "checkpoints")
    if checkpoint is None:
        raise InputError(f"{run} has no checkpoint to carry on; train at least one step.")
    small = shrunk(read_checkpoint(checkpoint))
    records = {name: (run / name).read_text() for name in _RECORDS if (run / name).exists()}
    buffer = io.BytesIO()
    torch.save({"checkpoint": vars(small), "records": records, "further": json.dumps(further)}, buffer)
    data = zstandard.ZstdCompressor(level=3).compress(buffer.getvalue())
    parts = [data[start : start + PART_BYTES] for start in range(0, len(data), PART_BYTES)]
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("state.*"):
        old.unlink()
    paths = [out / f"state.{number:02d}-of-{len(parts):02d}" for number in range(len(parts))]
    for path, part in zip(paths, parts, strict=True):
        write_bytes_atomically(path, part)
    return paths


def unpack_run(state: Path, run: Path) -> dict[str, Any]:
    """The run's folder as it was, ready to be resumed; returns what was packed further."""
    paths = sorted(state.glob("state.*"))
    expected = int(paths[0].name.rpartition("-")[2]) if paths else 0
    if not paths or len(paths) != expected:
        raise BadFileError(
            f"{state} holds {len(paths)} of {expected or 'no'} parts of a state; bring all that the last call wrote.",
            path=str(state),
            reason="parts",
        )
    data = zstandard.ZstdDecompressor().decompress(b"".join(path.read_bytes() for path in paths))
    tree = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    folder = run / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    point(folder, "latest", write_checkpoint(folder, grown(Checkpoint(**tree["checkpoint"]))))
    for name, text in tree["records"].items():
        (run / name).write_text(text)
    return json.loads(tree["further"])


def read_checkpoint(path: Path) -> Checkpoint:
    training = read_training(path)
    config, origin = (json.loads((path / name).read_text()) for name in (CONFIG, ORIGIN))
    return Checkpoint(training["step"], read_weights(path), config, origin, training)


def shrunk(checkpoint: Checkpoint) -> Checkpoint:
    training = dict(checkpoint.training)
    if training["network"] is not None:
        training["network"] = _halved(training["network"])
    optimizer = training["optimizer"]
    states = {key: _without_momentum(state) for key, state in optimizer["state"].items()}
    training["optimizer"] = {**optimizer, "state": states}
    return replace(checkpoint, weights=_halved(checkpoint.weights), training=training)


def grown(checkpoint: Checkpoint) -> Checkpoint:
    """What a trainer restores: full floats, a first moment that begins anew."""
    training = dict(checkpoint.training)
    if training["network"] is not None:
        training["network"] = _whole(training["network"])
    states = {}
    for key, state in training["optimizer"]["state"].items():
        states[key] = _whole(state)
        if "exp_avg_sq" in state:
            states[key]["exp_avg"] = torch.zeros_like(states[key]["exp_avg_sq"])
    training["optimizer"] = {**training["optimizer"], "state": states}
    return replace(checkpoint, weights=_whole(checkpoint.weights), training=training)


def product_weights(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """To predict with, in half floats."""
    return _halved(weights)


def _halved(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    def half(name: str, tensor: Tensor) -> Tensor:
        if not tensor.is_floating_point():
            return tensor
        if float(tensor.abs().amax() if tensor.numel() else 0.0) > _HALF_MAX:
            raise InputError(f"the weight {name} does not fit a half float; this network cannot be packed.")
        return tensor.half()

    return {name: half(name, tensor).contiguous() for name, tensor in tensors.items()}


def _without_momentum(state: Mapping[str, Any]) -> dict[str, Any]:
    """`step` counts, and stays exact."""
    if "exp_avg_sq" not in state:
        return dict(state)
    return {"step": state["step"], "exp_avg_sq": state["exp_avg_sq"].bfloat16()}


def _whole(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v.float() if isinstance(v, Tensor) and v.is_floating_point() else v for k, v in values.items()}


if __name__ == "__main__":
    print(json.dumps(unpack_run(Path(sys.argv[1]), Path(sys.argv[2])), indent=1))
