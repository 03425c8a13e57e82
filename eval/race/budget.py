"""What a checkpoint has cost, from the records of its run and of the runs that it started from."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from panoptic3d.config import read_yaml_tree
from panoptic3d.errors import InputError
from panoptic3d.models.checkpoints.find import shipped_checkpoints
from panoptic3d.tracking.json_lines import read_json_lines


def checkpoint_of(path: Path) -> Path:
    """A folder with weights, or the newest one of a run."""
    for folder in (path, path / "checkpoints" / "latest"):
        if (folder / "config.json").is_file():
            return folder.resolve()
    raise InputError(f"{path} is neither a checkpoint nor a run with one; give a folder that training has made.")


def budget_of(checkpoint: Path) -> dict[str, Any] | None:
    """Samples seen and seconds up to this checkpoint, summed over the chain of `start_from`; what was shipped says so itself;
    None without any records.

    Seconds are those in which steps were made: without validation, saving and starting. `cpu_s` leaves out loader workers and
    is None where an older version kept no such record. Rank 0 keeps the records; the others work as long as it does.
    """
    run = run_of(checkpoint)
    if run is None:
        origin = checkpoint / "origin.json"
        return json.loads(origin.read_text()).get("budget") if origin.is_file() else None
    chain = _chain(checkpoint, run)
    cpu = [part["cpu_s"] for part in chain]
    return {
        "samples_seen": sum(part["samples_seen"] for part in chain),
        "wall_s": round(sum(part["wall_s"] for part in chain), 1),
        "cpu_s": None if None in cpu else round(sum(cpu), 1),
        "hardware": sorted({part["hardware"] for part in chain}),
        "runs": chain,
    }


def run_of(checkpoint: Path) -> Path | None:
    run = checkpoint.parent.parent
    is_of_run = checkpoint.parent.name == "checkpoints" and (run / "run.json").is_file()
    return run if is_of_run else None


def samples_a_step(run: Path) -> int:
    """Over all ranks."""
    config, start = read_yaml_tree(run / "config.yaml"), json.loads((run / "run.json").read_text())["starts"][-1]
    return config["loader"]["batch_size"] * config["accumulation"] * start["num_ranks"]


def _chain(checkpoint: Path, run: Path) -> list[dict[str, Any]]:
    config = read_yaml_tree(run / "config.yaml")
    own = _of_run(checkpoint, run)
    start = config.get("start_from")
    if start is None:
        return [own]
    before = _started_from(Path(start), run)
    earlier = budget_of(before)
    if earlier is None:
        raise InputError(f"{run} started from {start}, which has no records of its training; its budget is unknown.")
    return [*earlier["runs"], own]


def _started_from(path: Path, run: Path) -> Path:
    """A shipped name, or given relative to where the training was started: here, or beside the run."""
    if str(path) in shipped_checkpoints():
        return shipped_checkpoints()[str(path)]
    for base in (Path(), run.parent, run.parent.parent):
        if (base / path).exists():
            return checkpoint_of(base / path)
    raise InputError(f"{run} started from {path}, which is not there any more; its budget is unknown.")


def _of_run(checkpoint: Path, run: Path) -> dict[str, Any]:
    step = json.loads((checkpoint / "origin.json").read_text())["step"]
    start = json.loads((run / "run.json").read_text())["starts"][-1]
    a_step = samples_a_step(run)
    records = [r for r in read_json_lines(run / "metrics.jsonl") if "speed/samples_per_s" in r and r["step"] <= step]
    spans = _steps_of(records)
    has_cpu = bool(records) and all("speed/cpu_s" in record for record in records)
    return {
        "run": run.name,
        "steps": step,
        "samples_seen": step * a_step,
        "wall_s": sum(n * a_step / r["speed/samples_per_s"] for n, r in zip(spans, records, strict=True)),
        "cpu_s": start["num_ranks"] * sum(n * r["speed/cpu_s"] for n, r in zip(spans, records, strict=True))
        if has_cpu
        else None,
        "hardware": start["hardware"],
        "num_threads": start["num_threads"],
        "commit": start["commit"],
        "seed": read_yaml_tree(run / "config.yaml")["seed"],
        "data": start["data"]["split"],
    }


def _steps_of(records: Sequence[Mapping[str, Any]]) -> list[int]:
    """How many steps each record speaks of."""
    ends = [record["step"] for record in records]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]
