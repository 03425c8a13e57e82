"""Check every sample of a data set, file by file and for consistency. Problems are named, and no sample is skipped."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from panoptic3d.data.checks import Limits, Problem, check_mask, check_sample
from panoptic3d.data.roots import DataRoot
from panoptic3d.data.verifiable import Parts, parts_of, shared_mask, shared_parts
from panoptic3d.errors import BadFileError


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. `sample` is empty for a file that serves the whole root."""

    sample: str
    path: str  # relative to the root
    key: str | None
    reason: str
    message: str

    def as_dict(self) -> dict[str, str | None]:
        return dataclasses.asdict(self)


def verify_root(root: DataRoot, limits: Limits) -> list[Finding]:
    """Problems of the files that all samples share."""
    parts = shared_parts(root)
    findings = list(_read_parts(root, "", parts))
    if findings or (shared := shared_mask(root)) is None:
        return findings
    return [_from_problem(root, "", problem, parts) for problem in check_mask(*shared, limits)]


def verify_sample(root: DataRoot, key: str, limits: Limits, are_shared_files_sound: bool) -> list[Finding]:
    """All that is wrong with one sample: its files, and if those are sound, what must hold between them."""
    parts = parts_of(root, key)
    try:
        sample = root.read(key)
    except BadFileError as error:
        findings = list(_read_parts(root, key, parts))
        if findings or not are_shared_files_sound:
            return findings
        return [_from_error(root, key, error)]
    if sample.key != key:
        return [_from_problem(root, key, Problem("", "bad_name", f"it says to be the sample {sample.key}"), parts)]
    problems = list(check_sample(sample, limits, is_mask_sound=are_shared_files_sound))
    if not shared_parts(root) and sample.truth is not None:
        problems += check_mask(sample.truth.frustum_mask, sample.truth.grid, sample.camera, limits)
    return [_from_problem(root, key, problem, parts) for problem in problems]


def _read_parts(root: DataRoot, key: str, parts: Parts) -> Iterator[Finding]:
    for _, read in parts.values():
        try:
            read()
        except BadFileError as error:
            yield _from_error(root, key, error)


def _from_error(root: DataRoot, key: str, error: BadFileError) -> Finding:
    return Finding(key, _relative(root, Path(error.path)), error.key, error.reason, str(error))


def _from_problem(root: DataRoot, key: str, problem: Problem, parts: Parts) -> Finding:
    """A packed sample is one file, whatever part of it is wrong."""
    path, _ = parts.get(problem.part) or next(iter(parts.values()))
    return Finding(key, _relative(root, path), None, problem.reason, problem.message)


def _relative(root: DataRoot, path: Path) -> str:
    return str(path.relative_to(root.path)) if path.is_relative_to(root.path) else str(path)
