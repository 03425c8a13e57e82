"""`panoptic3d data pack ROOT --out DIR`: compress a data set, compare, or unpack it."""

import argparse
import sys
from functools import partial
from typing import TYPE_CHECKING

from panoptic3d.cli.arguments import at_least, output_file
from panoptic3d.cli.progress import with_progress

if TYPE_CHECKING:
    from panoptic3d.data.roots import DataRoot


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("root", metavar="ROOT", help="a data set in a released layout (with --unpack: a packed one)")
    parser.add_argument("--out", required=True, metavar="DIR", help="becomes a data root itself; may be half done")
    parser.add_argument(
        "--split", action="append", metavar="FILE_OR_NAME", help="only these samples; repeatable (default: all)"
    )
    parser.add_argument("--jobs", type=at_least(1), default=1, metavar="N", help="processes (default 1)")
    parser.add_argument("--layout", choices=("auto", "front3d", "matterport"), default="auto")
    parser.add_argument("--json", type=output_file, metavar="FILE", help="the report (default: DIR/pack-report.json)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="compare DIR with ROOT sample by sample instead of packing")
    what.add_argument("--unpack", action="store_true", help="write the released layout again")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from panoptic3d.data.roots import open_root

    source = open_root(arguments.root, "auto" if arguments.unpack else arguments.layout)
    keys = _keys(source, arguments.split)
    if arguments.unpack:
        return _unpack(source, arguments.out, keys, arguments.split)
    return _pack(source, arguments, keys)


def _keys(source: "DataRoot", splits: list[str] | None) -> list[str]:
    """The samples of all given splits, each sample once."""
    return list(dict.fromkeys(key for name in splits or [None] for key in source.split(name).keys))


def _pack(source: "DataRoot", arguments: argparse.Namespace, keys: list[str]) -> int:
    import json
    from pathlib import Path

    from panoptic3d.data.packed.pack import copy_splits, pack_root
    from panoptic3d.files import write_text_atomically

    report = pack_root(
        source,
        arguments.out,
        keys,
        num_jobs=arguments.jobs,
        is_check=arguments.check,
        watch=partial(with_progress, what="check" if arguments.check else "pack"),
    )
    if not arguments.check:
        copy_splits(source, arguments.out, arguments.split)
    figures = report.to_json()
    path = Path(arguments.json or Path(arguments.out) / "pack-report.json")
    write_text_atomically(path, json.dumps(figures, indent=2) + "\n")
    for failure in report.failed:
        print(f"{failure.key}: {failure.message}", file=sys.stderr)
    print(_summary(figures, path))
    return 1 if report.failed else 0


def _summary(figures: dict, path: object) -> str:
    states = ", ".join(f"{count} {state}" for state, count in figures["num_by_state"].items())
    share = figures["packed_share"]
    sizes = f"{figures['released_bytes'] / 1e6:.1f} MB -> {figures['packed_bytes'] / 1e6:.1f} MB"
    return f"{states}; {sizes}{'' if share is None else f' ({share:.1%})'}; report: {path}"


def _unpack(source: "DataRoot", out: str, keys: list[str], splits: list[str] | None) -> int:
    from panoptic3d.data.packed.pack import copy_splits
    from panoptic3d.data.packed.unpack import unpack_root

    written = unpack_root(source, out, keys, partial(with_progress, what="unpack"))
    copy_splits(source, out, splits)
    print(f"{len(written)} samples in the released layout in {out}")
    return 0
