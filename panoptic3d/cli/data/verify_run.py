"""Running `verify` over all samples: in parallel, with a journal from which a killed run goes on."""

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, suppress
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
    journal = Journal(job.report, job.is_fresh)
    known = {key: found for key in keys if (found := journal.lookup(key, _stamp(root, key))) is not None}
    if known:
        print(f"{len(known):,} samples are taken from the earlier run", file=sys.stderr)
    todo = [key for key in keys if key not in known]
    work = partial(verify_sample, root, limits=limits, are_shared_files_sound=not root_findings)
    with journal:
        for key, findings in with_progress(_in_parallel(work, todo, job.num_jobs), len(todo), "verify"):
            journal.add(key, _stamp(root, key), findings)
            known[key] = findings
    findings = [*root_findings, *(finding for key in keys for finding in known[key])]
    _print_findings(findings, keys)
    if job.report is not None:
        text = json.dumps(_report(root, keys, findings, limits), indent=2)
        write_text_atomically(job.report, text + "\n")
        journal.remove()
    return 1 if findings else 0


def _keys(root: DataRoot, split: str | None) -> list[str]:
    if split is not None:
        return list(root.split(split).keys)
    if keys := keys_of_any_file(root):
        return keys
    raise InputError(f"{root.path} holds no samples; give the folder that holds the scenes.")


def _in_parallel(work: partial, keys: list[str], num_jobs: int) -> Iterator[tuple[str, list[Finding]]]:
    """In the order in which they are done. A file that kills its process is found by giving each sample its own."""
    if num_jobs == 1:
        yield from ((key, work(key)) for key in keys)
        return
    done = set()
    try:
        with ProcessPoolExecutor(num_jobs, initializer=_one_thread) as pool:
            futures = {pool.submit(work, key): key for key in keys}
            for future in as_completed(futures):
                findings = future.result()
                done.add(futures[future])
                yield futures[future], findings
    except BrokenProcessPool:
        for key in keys:
            if key not in done:
                yield key, _alone(work, key)


def _alone(work: partial, key: str) -> list[Finding]:
    try:
        with ProcessPoolExecutor(1, initializer=_one_thread) as pool:
            return pool.submit(work, key).result()
    except BrokenProcessPool:
        return [Finding(key, "", None, "crash", "reading this sample kills the process that reads it")]


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


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


class Journal:
    """One JSON line a finished sample, beside the report, until the report is whole."""

    def __init__(self, report: Path | None, is_fresh: bool) -> None:
        self._path = report.with_name(report.name + ".journal") if report is not None else None
        self._file = None
        self._known: dict[str, tuple[list, list[Finding]]] = {}
        self._stack = ExitStack()
        if self._path is not None and self._path.exists():
            if is_fresh:
                self._path.unlink()
            else:
                self._load(self._path)

    def _load(self, path: Path) -> None:
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            # The line at which the earlier run was killed, or of somebody else: its sample is read again.
            with suppress(ValueError, KeyError, TypeError, RecursionError):
                entry = json.loads(line)
                self._known[entry["sample"]] = entry["stamp"], [Finding(**item) for item in entry["findings"]]

    def lookup(self, key: str, stamp: list) -> list[Finding] | None:
        entry = self._known.get(key)
        return entry[1] if entry is not None and entry[0] == stamp else None

    def __enter__(self) -> "Journal":
        if self._path is not None:
            self._file = self._stack.enter_context(self._path.open("a"))
            self._file.write("\n")  # ends the line at which the earlier run was killed
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, key: str, stamp: list, findings: list[Finding]) -> None:
        if self._file is not None:
            entry = {"sample": key, "stamp": stamp, "findings": [finding.as_dict() for finding in findings]}
            self._file.write(json.dumps(entry) + "\n")
            self._file.flush()

    def remove(self) -> None:
        if self._path is not None:
            self._path.unlink(missing_ok=True)


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
