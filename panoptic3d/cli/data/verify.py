"""`panoptic3d data verify ROOT`: exit code 0 if everything is sound, 1 if not, and every bad file named."""

import argparse

from panoptic3d.cli.arguments import at_least, output_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("root", metavar="ROOT", help="a data set, as released or packed")
    parser.add_argument("--split", metavar="FILE_OR_NAME", help="only these samples; default: all that lie there")
    parser.add_argument("--jobs", type=at_least(1), metavar="N", help="processes (default: one a core)")
    parser.add_argument(
        "--json", type=output_file, metavar="FILE", help="the report; a run that was killed goes on from there"
    )
    parser.add_argument("--fresh", action="store_true", help="forget what an earlier run found")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    import os
    from pathlib import Path

    from panoptic3d.cli.data.verify_run import VerifyJob, run_job
    from panoptic3d.errors import InputError

    jobs = arguments.jobs if arguments.jobs is not None else os.cpu_count() or 1
    if jobs < 1:
        raise InputError(f"--jobs is {arguments.jobs}; give at least 1.")
    report = Path(arguments.json) if arguments.json else None
    if report is not None and not report.parent.is_dir():
        raise InputError(f"--json {report} lies in a folder that is not there; make it first.")
    job = VerifyJob(Path(arguments.root), arguments.split, jobs, report, arguments.fresh)
    return run_job(job)
