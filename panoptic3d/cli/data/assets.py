"""`panoptic3d data assets SOURCE --out DIR`: import furniture models into a library for generated rooms."""

import argparse
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="a .sh3f package or a folder of them (Sweet Home 3D), a 3D-FUTURE folder, or a folder with models.csv",
    )
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="becomes the library; LICENCES.md in it names every author"
    )
    parser.add_argument(
        "--allow-licence",
        action="append",
        default=[],
        metavar="NAME",
        help="also take models of this licence (such as non-commercial); what you make with them is bound by it; repeatable",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from functools import partial
    from pathlib import Path

    from panoptic3d.cli.progress import with_progress
    from panoptic3d.rooms.assets.importer import import_assets

    out = Path(arguments.out)
    report = import_assets(Path(arguments.source), out, arguments.allow_licence, partial(with_progress, what="import"))
    for name, why in report.left_out:
        print(f"left out {name}: {why}", file=sys.stderr)
    roles = ", ".join(f"{count} {role}" for role, count in report.num_by_role.items())
    print(f"{len(report.entries)} models ({roles}); {len(report.left_out)} left out; licences: {out / 'LICENCES.md'}")
    return 0
