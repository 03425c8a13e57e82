"""Every sample of a data set, file by file and then against itself; what is wrong is named and nothing is skipped."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from torch import Tensor

from panoptic3d.data.checks import Limits, Problem, check_mask, check_sample
from panoptic3d.errors import BadFileError
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.sample import Sample


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


@runtime_checkable
class Verifiable(Protocol):
    """What verify needs to know of a layout on disk."""

    @property
    def root(self) -> Path: ...

    def keys(self) -> list[str]:
        """Every sample that has at least one file."""
        ...

    def read(self, key: str) -> Sample: ...

    def parts(self, key: str) -> Mapping[str, tuple[Path, Callable[[], object]]]:
        """name -> (path, a call that reads it and raises `BadFileError`)."""
        ...

    def shared_parts(self) -> Mapping[str, tuple[Path, Callable[[], object]]]:
        """The same for files that serve the whole root."""
        ...

    def shared_mask(self) -> tuple[Tensor, VoxelGrid, Camera] | None:
        """The frustum mask of the whole root with the grid and camera that it should fit; None where samples have theirs."""
        ...


def verify_root(layout: Verifiable, limits: Limits) -> list[Finding]:
    """What is wrong with the files that every sample shares."""
    parts = layout.shared_parts()
    findings = list(_read_parts(layout, "", parts))
    if findings or (shared := layout.shared_mask()) is None:
        return findings
    return [_finding(layout, "", problem, parts) for problem in check_mask(*shared, limits)]


def verify_sample(layout: Verifiable, key: str, limits: Limits, are_shared_files_sound: bool) -> list[Finding]:
    """All that is wrong with one sample: its files, and if those are sound, what must hold between them."""
    parts = layout.parts(key)
    try:
        sample = layout.read(key)
    except BadFileError as error:
        findings = list(_read_parts(layout, key, parts))
        if findings or not are_shared_files_sound:
            return findings
        return [_from_error(layout, key, error)]
    problems = list(check_sample(sample, limits, is_mask_sound=are_shared_files_sound))
    if layout.shared_mask() is None and sample.truth is not None:
        problems += check_mask(sample.truth.frustum_mask, sample.truth.grid, sample.camera, limits)
    return [_finding(layout, key, problem, parts) for problem in problems]


def _read_parts(
    layout: Verifiable, key: str, parts: Mapping[str, tuple[Path, Callable[[], object]]]
) -> Iterator[Finding]:
    for _, read in parts.values():
        try:
            read()
        except BadFileError as error:
            yield _from_error(layout, key, error)


def _from_error(layout: Verifiable, key: str, error: BadFileError) -> Finding:
    return Finding(key, _relative(layout, Path(error.path)), error.key, error.reason, str(error))


def _finding(
    layout: Verifiable, key: str, problem: Problem, parts: Mapping[str, tuple[Path, Callable[[], object]]]
) -> Finding:
    path = _relative(layout, parts[problem.part][0]) if problem.part in parts else ""
    return Finding(key, path, None, problem.reason, problem.message)


def _relative(layout: Verifiable, path: Path) -> str:
    return str(path.relative_to(layout.root)) if path.is_relative_to(layout.root) else str(path)
