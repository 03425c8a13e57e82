"""One JSON line per image: enough to compute scores again without volumes, and to resume an interrupted evaluation."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from panoptic3d.errors import BadFileError, InputError, reading
from panoptic3d.files import read_file, write_text_atomically
from panoptic3d.metrics.protocol import Protocol
from panoptic3d.metrics.quality_measure import ProtocolRecord, matched_again, measured_fingerprint, record_of, tree_of

FORMAT = 2
_PLAIN_FIELDS = ("key", "stamp", "failure", "bad_truth", "sensitivity", "surfaces", "voxels", "visibility")


@dataclass(frozen=True)
class SampleRecord:
    key: str
    stamp: str  # of the files and switches that it was made from
    failure: Mapping[str, str] | None = None  # reason and message: the prediction counted as nothing
    bad_truth: Mapping[str, str] | None = None  # reason and message: there was nothing to score against
    warnings: tuple[str, ...] = ()
    protocols: Mapping[str, ProtocolRecord] = field(default_factory=dict)
    sensitivity: Mapping[str, Mapping[str, list]] = field(default_factory=dict)  # protocol -> change -> rows of sums
    surfaces: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # surface protocol -> scores
    voxels: Sequence[Sequence[int]] = ()  # true class, predicted class, number of voxels
    # Seen and hidden: counts of metrics/hidden_surface.py; none without a depth map.
    visibility: Sequence[Sequence[int]] = ()
    measures: Mapping[str, Mapping[str, Any] | None] = field(
        default_factory=dict
    )  # measure -> what it needs of this image

    @property
    def scene(self) -> str:
        return self.key.partition("/")[0]


def to_line(record: SampleRecord) -> str:
    tree = {
        "format": FORMAT,
        "key": record.key,
        "stamp": record.stamp,
        "failure": record.failure,
        "bad_truth": record.bad_truth,
        "warnings": record.warnings,
        "protocols": {name: tree_of(entry) for name, entry in record.protocols.items()},
        "sensitivity": record.sensitivity,
        "surfaces": record.surfaces,
        "voxels": record.voxels,
        "visibility": record.visibility,
    }
    if record.measures:
        tree["measures"] = record.measures
    return json.dumps(tree, separators=(",", ":"), allow_nan=False)


def from_line(line: str) -> SampleRecord:
    tree = json.loads(line)
    if tree.get("format") != FORMAT:
        raise InputError(f"a record of format {tree.get('format')!r} was found where {FORMAT} is known.")
    protocols = {name: record_of(entry) for name, entry in tree["protocols"].items()}
    kept = {key: tree[key] for key in _PLAIN_FIELDS}
    further = {"warnings": tuple(tree["warnings"]), "measures": tree.get("measures", {})}
    return SampleRecord(**kept, **further, protocols=protocols)


def read_records(paths: Iterable[Path]) -> dict[str, SampleRecord]:
    """The last record of every image. A line that a killed writer left half-written is passed over: its image is scored
    again."""
    records: dict[str, SampleRecord] = {}
    for path in paths:
        if path.exists():
            records |= {record.key: record for record in _whole_lines(path)}
    return records


def write_records(path: Path, records: Iterable[SampleRecord]) -> None:
    write_text_atomically(path, "".join(f"{to_line(record)}\n" for record in records))


def rescored(record: SampleRecord, protocols: Iterable[Protocol]) -> SampleRecord:
    """The same measurements under other rules of matching."""
    if record.bad_truth is not None:
        return record
    by_rules = {entry.fingerprint: entry for entry in record.protocols.values()}
    entries = {}
    for protocol in protocols:
        entry = by_rules.get(measured_fingerprint(protocol))
        if entry is None:
            known = ", ".join(record.protocols)
            raise InputError(
                f"the record of {record.key} holds measurements for {known} and none that {protocol.name} could use; "
                "score the predictions."
            )
        entries[protocol.name] = matched_again(entry, protocol)
    return replace(record, protocols=entries, sensitivity={})


def _whole_lines(path: Path) -> Iterator[SampleRecord]:
    """Valid records; other lines are skipped and their images scored again. A file without any record is refused."""
    lines = [line for line in read_file(path).decode(errors="replace").split("\n") if line]
    num_found, problem = 0, ""
    for number, line in enumerate(lines, start=1):
        try:
            with reading(path, f"a record of an evaluation in line {number}", advice="delete the file to start anew"):
                record = from_line(line)
        except BadFileError as error:
            problem = problem or str(error)
            continue
        num_found += 1
        yield record
    if len(lines) > 1 and not num_found:
        raise InputError(problem)
