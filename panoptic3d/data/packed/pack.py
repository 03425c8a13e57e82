"""Packing a data root: sample by sample, whole files only, in as many processes as wanted, again after any interruption.

A sample that is packed already and whole is skipped. Several packers may work on one folder at once: every file is
renamed into place, and each packer takes the open samples in an order of its own, so that they seldom meet.
"""

import contextlib
import fcntl
import json
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any, Literal

import torch

from panoptic3d.data.arrays import PathLike
from panoptic3d.data.front3d import read_frustum_mask
from panoptic3d.data.front3d_writer import write_frustum_mask
from panoptic3d.data.packed.container import VERSION, load
from panoptic3d.data.packed.promise import broken_promises, tolerances
from panoptic3d.data.packed.sample import decode_sample, encode_sample
from panoptic3d.data.pictures import MATTERPORT_DEPTH_PER_M
from panoptic3d.data.roots import MANIFEST, PACKED_FORMAT, DataRoot, check_manifest
from panoptic3d.data.splits import split_names
from panoptic3d.errors import InputError, Panoptic3dError
from panoptic3d.files import sweep_partial_files, write_bytes_atomically, write_text_atomically
from panoptic3d.resumable import Workers, resumable_map

# Steps of the stored depth: 0.2 mm for floating point depths, and what the file itself has for Matterport3D.
DEPTH_STEPS_PER_M = {"front3d": 5000, "matterport": int(MATTERPORT_DEPTH_PER_M)}
_LOCK = ".lock"
_WORKER_SHARE = contextlib.ExitStack()  # held until the process ends


@dataclass(frozen=True)
class Outcome:
    """The result of packing one sample."""

    key: str
    state: Literal["packed", "already packed", "checked", "failed"]
    released_bytes: int = 0
    packed_bytes: int = 0
    path: str = ""
    reason: str = ""
    message: str = ""


@dataclass(frozen=True)
class PackReport:
    outcomes: Sequence[Outcome]
    seconds: float
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def failed(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.state == "failed"]

    def to_json(self) -> dict[str, Any]:
        done = [outcome for outcome in self.outcomes if outcome.state != "failed"]
        released, packed = (sum(getattr(o, name) for o in done) for name in ("released_bytes", "packed_bytes"))
        states = [outcome.state for outcome in self.outcomes]
        return {
            "num_samples": len(self.outcomes),
            "num_by_state": {state: states.count(state) for state in sorted(set(states))},
            "released_bytes": released,
            "packed_bytes": packed,
            "packed_share": packed / released if released else None,
            "seconds": round(self.seconds, 3),
            **self.settings,
            "failed": [asdict(outcome) for outcome in self.failed],
        }


def pack_root(
    source: DataRoot,
    out: PathLike,
    keys: Sequence[str],
    *,
    num_jobs: int = 1,
    is_check: bool = False,
    watch: Callable[[Iterator[Outcome], int], Iterator[Outcome]] = lambda outcomes, total: outcomes,
) -> PackReport:
    """Pack the samples of `keys`, or with `is_check` compare those that are packed with their source.

    A sample that cannot be packed is reported with its reason and leaves nothing behind; the others go on. `watch` passes
    the outcomes on and may show how far the work is.
    """
    if source.layout == "packed":
        raise InputError(f"{source.path} is packed already; give a root in a released layout.")
    out, start = Path(out), time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    with _shared_folder(out):
        _prepare(source, out)
        work = partial(_attempt, _check_one if is_check else _pack_one, source, out)
        shuffled = random.Random(os.urandom(8)).sample(list(keys), len(keys))
        workers = Workers[str, Outcome](num_jobs, "--jobs", begin=partial(_take_share, out))
        packed = resumable_map(work, shuffled, workers=workers)  # what is packed tells by itself that it is
        outcomes = list(watch((outcome for _, outcome in packed.fresh), len(keys)))
    order = {key: number for number, key in enumerate(keys)}
    outcomes.sort(key=lambda outcome: order[outcome.key])
    return PackReport(outcomes, time.monotonic() - start, {"tolerances": _manifest(source)["tolerances"]})


def copy_splits(source: DataRoot, out: PathLike, names_or_paths: Sequence[str] | None = None) -> list[Path]:
    """Put the lists into OUT/splits byte by byte, so that their checksums stay (default: every list that the root has)."""
    names = split_names(source.path) if names_or_paths is None else names_or_paths
    copies = []
    for split in (source.split(name) for name in names):
        assert split.path is not None
        target = Path(out) / "splits" / f"{split.name}.txt"
        target.parent.mkdir(parents=True, exist_ok=True)
        write_bytes_atomically(target, split.path.read_bytes())
        copies.append(target)
    return copies


def _prepare(source: DataRoot, out: Path) -> None:
    """The manifest and what samples share; refuses a folder that was packed from something else."""
    manifest = _manifest(source)
    # asked before the manifest, which another packer writes first
    is_used = any(not path.name.startswith(".") for path in out.iterdir())
    if (out / MANIFEST).exists():
        if check_manifest(out) != manifest:
            raise InputError(
                f"{out} was packed from another kind of data or by another version; pack into a new folder."
            )
    elif is_used:
        raise InputError(f"{out} is no packed data set and not empty; pack into a new folder.")
    else:  # first, so that a second packer recognises the folder
        write_text_atomically(out / MANIFEST, json.dumps(manifest, indent=2) + "\n")
    if source.layout == "front3d":
        mask = read_frustum_mask(source.path / "frustum_mask.npz", source.shared_grid)
        if not (out / "frustum_mask.npz").exists():
            write_frustum_mask(out, mask)
        elif not torch.equal(read_frustum_mask(out / "frustum_mask.npz", source.shared_grid), mask):
            raise InputError(f"{out} was packed with another frustum mask; pack into a new folder.")


def _manifest(source: DataRoot) -> dict[str, Any]:
    return manifest_of_layout(source.layout)


def manifest_of_layout(layout: str) -> dict[str, Any]:
    """Content of `packed.json` for samples of a released layout."""
    steps = DEPTH_STEPS_PER_M[layout]
    return {
        "format": PACKED_FORMAT,
        "version": VERSION,
        "layout": layout,
        "depth_steps_per_m": steps,
        "tolerances": tolerances(steps, is_signed=layout == "matterport"),
    }


def _pack_one(source: DataRoot, out: Path, key: str) -> Outcome:
    target = DataRoot(out, "packed").packed_file(key)
    sizes = {path.name: path.stat().st_size for path in source.files(key)}
    done = Outcome(key, "packed", sum(sizes.values()), path=str(target))
    if _is_packed(target, sizes):
        return Outcome(key, "already packed", done.released_bytes, target.stat().st_size, str(target))
    sample = source.read(key)
    steps = DEPTH_STEPS_PER_M[source.layout]
    data = encode_sample(sample, depth_steps_per_m=steps, has_own_mask=source.layout == "matterport", source=sizes)
    assert sample.truth is not None
    mask = sample.truth.frustum_mask
    broken = broken_promises(sample, decode_sample(data, lambda grid: mask, target), steps)
    if broken:
        raise Panoptic3dError(f"{key} does not survive packing ({'; '.join(broken)}); please report it.")
    target.parent.mkdir(parents=True, exist_ok=True)
    write_bytes_atomically(target, data)
    return Outcome(key, "packed", done.released_bytes, len(data), str(target))


def _check_one(source: DataRoot, out: Path, key: str) -> Outcome:
    packed_root = DataRoot(out, "packed")
    packed, original = packed_root.read(key), source.read(key)
    broken = broken_promises(original, packed, DEPTH_STEPS_PER_M[source.layout])
    if broken:
        raise Panoptic3dError(f"{packed_root.packed_file(key)} is not what {key} is: {'; '.join(broken)}; delete it.")
    released = sum(path.stat().st_size for path in source.files(key))
    path = packed_root.packed_file(key)
    return Outcome(key, "checked", released, path.stat().st_size, str(path))


def _is_packed(path: Path, source_sizes: dict[str, int]) -> bool:
    """Whether it is there, whole, and made of the files as they are now (by their names and sizes)."""
    if not path.exists():
        return False
    try:
        packed = load(path)
        packed.check_all()
    except Panoptic3dError:  # broken after it was written, by a disk or a copy: pack it again
        return False
    return packed.facts["source"] == source_sizes


def _attempt(work: Callable[[DataRoot, Path, str], Outcome], source: DataRoot, out: Path, key: str) -> Outcome:
    try:
        return work(source, out, key)
    except Panoptic3dError as error:
        path, reason = getattr(error, "path", ""), getattr(error, "reason", "refused")
        return Outcome(key, "failed", path=path, reason=reason, message=str(error))


def _take_share(out: Path) -> None:
    _WORKER_SHARE.enter_context(_shared_folder(out))


@contextlib.contextmanager
def _shared_folder(out: Path) -> Iterator[None]:
    """Hold a shared lock on the folder. A packer that is alone first deletes partial files of killed packers."""
    with open(out / _LOCK, "w") as lock:
        _sweep_if_alone(out, lock)
        with contextlib.suppress(OSError):  # a file system without locks: leave partial files alone
            fcntl.flock(lock, fcntl.LOCK_SH)
        yield
        _sweep_if_alone(out, lock)


def _sweep_if_alone(out: Path, lock: IO[str]) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return
    for folder in (out, *(path for path in out.iterdir() if path.is_dir())):
        sweep_partial_files(folder)
