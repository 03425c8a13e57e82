"""Running a plan: rooms in parallel, a journal to go on from after any interruption, and the root's own files."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from panoptic3d.data.front3d_writer import write_frustum_mask
from panoptic3d.data.packed.pack import manifest_of_layout
from panoptic3d.data.roots import MANIFEST as PACKED_MANIFEST
from panoptic3d.engine.generation.page import write_statistics
from panoptic3d.engine.generation.plan import GenerationPlan, RoomJob, Shard
from panoptic3d.engine.generation.room import digest, has_own_mask, make_room_samples
from panoptic3d.errors import InputError, reading
from panoptic3d.files import sweep_partial_files, write_text_atomically
from panoptic3d.resumable import Journal, Workers, resumable_map

PLAN_FILE, MANIFEST, RECORDS = "generation.json", "manifest.json", "records"

Record = dict[str, Any]
Watch = Callable[[Iterator[list[Record]], int], Iterator[list[Record]]]


def run_plan(
    plan: GenerationPlan,
    out: Path,
    shard: Shard = Shard(0, 1),  # noqa: B008 - frozen
    num_workers: int = 1,
    watch: Watch = lambda rooms, total: rooms,
) -> dict[str, int]:
    """Make the missing samples of a shard. The process that completes the last shard writes manifest and statistics.

    Returns how many samples were made, how many were there, and how many of the whole plan are there now.
    """
    _prepare(plan, out)
    known = read_records(out)
    jobs = list(plan.rooms(shard))
    num_made = 0
    (out / RECORDS).mkdir(exist_ok=True)
    journal = Journal(partial(_recalled, known, out), _lines, out / RECORDS / f"{shard.name}.jsonl")
    make = partial(make_room_samples, out, config=plan.config)
    rooms = resumable_map(make, jobs, journal, Workers(num_workers))
    for records in watch((records for _, records in rooms.fresh), len(rooms.todo)):
        known |= {record["key"]: record for record in records}
        num_made += len(records)
    num_asked = sum(job.num_views for job in jobs)
    all_keys = [key for keys in plan.splits().values() for key in keys]
    if shard.count > 1:
        known = read_records(out)  # what the others did meanwhile
    num_there = sum(key in known for key in all_keys)
    if num_there == len(all_keys):
        finish(plan, out, known)
    return {"made": num_made, "there": num_asked - num_made, "of_plan": num_there}


def read_records(out: Path) -> dict[str, Record]:
    """Records of all shards' journals; foreign lines and incomplete lines of a killed run are skipped."""
    records: dict[str, Record] = {}
    for path in sorted((out / RECORDS).glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            record = _record(line)
            if record is not None:
                records[record["key"]] = record
    return records


def _record(line: str) -> Record | None:
    try:
        record = json.loads(line)
        is_ours = isinstance(record["key"], str) and isinstance(record["files"], dict)
        return record if is_ours and isinstance(record["facts"], dict) else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def finish(plan: GenerationPlan, out: Path, records: dict[str, Record]) -> None:
    keys = sorted(key for keys in plan.splits().values() for key in keys)
    manifest = {**plan.describe(), "samples": {key: digest(records[key]) for key in keys}}
    write_text_atomically(out / MANIFEST, json.dumps(manifest, indent=1) + "\n")
    write_statistics(out, [records[key] for key in keys], plan)


def _prepare(plan: GenerationPlan, out: Path) -> None:
    """The files of the root; refuses a folder that holds something else."""
    out.mkdir(parents=True, exist_ok=True)
    _check_same(plan, out)
    write_text_atomically(out / PLAN_FILE, json.dumps(plan.describe(), indent=1) + "\n")
    (out / "splits").mkdir(exist_ok=True)
    for name, keys in plan.splits().items():
        write_text_atomically(out / "splits" / f"{name}.txt", "".join(f"{key}\n" for key in keys))
    if plan.config.format == "packed":
        text = json.dumps(manifest_of_layout("front3d"), indent=2) + "\n"
        write_text_atomically(out / PACKED_MANIFEST, text)
    if not has_own_mask(plan.config) and not (out / "frustum_mask.npz").exists():
        from panoptic3d.rooms.truth.field import frustum_slots
        from panoptic3d.structures.camera import FRONT3D_CAMERA
        from panoptic3d.structures.grid import FRONT3D_GRID

        write_frustum_mask(out, frustum_slots(FRONT3D_CAMERA, FRONT3D_GRID).mask)
    for folder in (out, *(path for path in out.iterdir() if path.is_dir())):
        sweep_partial_files(folder)


def _check_same(plan: GenerationPlan, out: Path) -> None:
    """A folder goes on with the plan that it was begun with; only the number of samples may grow."""
    path = out / PLAN_FILE
    if not path.exists():
        if any(not entry.name.startswith(".") for entry in out.iterdir()):
            raise InputError(f"{out} is not empty and no generated data set; generate into a new folder.")
        return
    now = plan.describe()
    with reading(path, "the plan of a generated data set", advice="generate into a new folder"):
        before = json.loads(path.read_bytes())
        if before["format"] != now["format"] or not isinstance(before["num"], int):
            raise ValueError("another file of this name")
        before = {key: before[key] for key in now}
    for key in ("fingerprint", "first_seed", "split"):
        if before[key] != now[key]:
            raise InputError(
                f"{out} was begun with another {'configuration' if key == 'fingerprint' else key} ({path} says which); "
                f"give the same options, or a new folder."
            )
    if before["num"] > plan.num:
        raise InputError(
            f"{out} holds {before['num']} samples, {plan.num} were asked for; give a new folder for fewer."
        )


def _recalled(known: dict[str, Record], out: Path, job: RoomJob) -> list[Record] | None:
    """The records of a room whose files are all there."""
    records = [known[key] for key in job.keys if key in known]
    is_whole = len(records) == len(job.keys)
    return records if is_whole and all((out / name).exists() for r in records for name in r["files"]) else None


def _lines(job: RoomJob, records: list[Record]) -> list[str]:
    return [json.dumps(record, separators=(",", ":")) for record in records]
