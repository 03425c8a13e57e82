"""Running `verify` over all samples: in parallel, with a journal from which a killed run goes on."""

import json
import os
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from panoptic3d.cli.progress import with_progress
from panoptic3d.data.checks import Limits
from panoptic3d.data.roots import DataRoot, open_root
from panoptic3d.data.verifiable import keys_of_any_file, parts_of, shared_parts
from panoptic3d.data.verify import Finding, verify_root, verify_sample
from panoptic3d.errors import InputError
from panoptic3d.files import write_text_atomically
from panoptic3d.machine import commit
from panoptic3d.resumable import Journal, Workers, resumable_map

_PRINTED = 200


@dataclass(frozen=True)
class VerifyJob:
    root: Path
    split: str | None
    num_jobs: int
    report: Path | None
    is_fresh: bool


def run_job(job: VerifyJob) -> int:
    root = open_root(job.root)
    keys = _keys(root, job.split)
    limits = Limits()
    root_findings = verify_root(root, limits)
    journal = journal_of(job, root)
    work = partial(verify_sample, root, limits=limits, are_shared_files_sound=not root_findings)
    workers = Workers(job.num_jobs, "--jobs", when_killed=_killed_by, start=None)
    verified = resumable_map(work, keys, journal, workers)
    known = verified.known
    if known:
        print(f"{len(known):,} samples are taken from the earlier run", file=sys.stderr)
    known |= dict(with_progress(verified.fresh, len(verified.todo), "verify"))
    findings = [*root_findings, *_among_alike([finding for key in keys for finding in known[key]], len(keys))]
    _print_findings(findings, keys)
    if job.report is not None:
        text = json.dumps(_report(root, keys, findings, limits), indent=2)
        write_text_atomically(job.report, text + "\n")
        if journal.path is not None:
            journal.path.unlink(missing_ok=True)
    return 1 if findings else 0


def _among_alike(findings: list[Finding], num_samples: int) -> list[Finding]:
    """A data set of which no sample has volumes serves the 2D stage, and nothing is wrong with that."""
    others = [finding for finding in findings if finding.reason != "no_voxels"]
    if len(findings) - len(others) < num_samples:
        return findings
    print("no sample has volumes: they serve the 2D stage and cannot be scored", file=sys.stderr)
    return others


def _keys(root: DataRoot, split: str | None) -> list[str]:
    if split is not None:
        return list(root.split(split).keys)
    if keys := keys_of_any_file(root):
        return keys
    raise InputError(f"{root.path} holds no samples; give the folder that holds the scenes.")


def _killed_by(key: str) -> list[Finding]:
    return [Finding(key, "", None, "crash", "reading this sample kills the process that reads it")]


def _stamp(root: DataRoot, key: str) -> list[list[Any]]:
    """Size and time of each file: a sample whose files changed since the earlier run is read again."""
    stamp = []
    for path in sorted({path for path, _ in {**parts_of(root, key), **shared_parts(root)}.values()}):
        try:
            status = os.stat(path)
        except OSError:
            continue
        stamp.append([path.name, status.st_size, status.st_mtime_ns])
    return stamp


def journal_of(job: VerifyJob, root: DataRoot) -> Journal[str, list[Finding]]:
    """One JSON line a finished sample, beside the report, until the report is whole."""
    if job.report is None:
        return Journal()
    path, known = job.report.with_name(job.report.name + ".journal"), {}
    if job.is_fresh:
        path.unlink(missing_ok=True)
    elif path.exists():
        known = _read_journal(path)

    def recall(key: str) -> list[Finding] | None:
        stamp, findings = known.get(key, (None, None))
        return findings if stamp == _stamp(root, key) else None

    def lines(key: str, findings: list[Finding]) -> list[str]:
        entry = {"sample": key, "stamp": _stamp(root, key), "findings": [finding.as_dict() for finding in findings]}
        return [json.dumps(entry)]

    return Journal(recall, lines, path)


def _read_journal(path: Path) -> dict[str, tuple[list, list[Finding]]]:
    known = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        # An incomplete line of a killed run, or a foreign line: its sample is read again.
        with suppress(ValueError, KeyError, TypeError, RecursionError):
            entry = json.loads(line)
            known[entry["sample"]] = entry["stamp"], [Finding(**item) for item in entry["findings"]]
    return known


def _report(root: DataRoot, keys: list[str], findings: list[Finding], limits: Limits) -> dict[str, Any]:
    return {
        "root": str(root.path),
        "layout": root.layout,
        "num_samples": len(keys),
        "num_bad_samples": len({finding.sample for finding in findings if finding.sample}),
        "counts": dict(sorted(Counter(finding.reason for finding in findings).items())),
        "problems": [finding.as_dict() for finding in findings],
        "limits": vars(limits),
        "commit": commit(),
    }


def _print_findings(findings: list[Finding], keys: list[str]) -> None:
    for finding in findings[:_PRINTED]:
        place = finding.path or finding.sample
        print(f"{place}: {finding.reason}: {finding.message}")
    if len(findings) > _PRINTED:
        print(f"... and {len(findings) - _PRINTED:,} more; --json FILE writes them all")
    bad = len({finding.sample for finding in findings if finding.sample})
    print(f"{len(keys):,} samples, {bad:,} bad, {len(findings):,} problems")
