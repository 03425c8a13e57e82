"""`panoptic3d evaluate --data ROOT --split FILE_OR_NAME`: score a checkpoint, or prediction files of any method."""

import argparse
import os

from panoptic3d.cli.arguments import add_depth_arguments, add_trust, at_least, depth_options, output_file

_DEFAULT_PROTOCOL = "strict"
_ORACLES = ("geometry", "semantics", "masks", "layout")  # metrics/perturbations.py


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", metavar="ROOT", help="ground truth: <scene>/geometry_NNNN.npz and so on")
    parser.add_argument("--split", metavar="FILE_OR_NAME", help="a text file of <scene>/<NNNN> lines")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--checkpoint", metavar="NAME_OR_PATH")
    add_trust(parser)
    source.add_argument("--predictions", metavar="DIR", help="score the files of any method: <scene>_<NNNN>.npz")
    source.add_argument("--fused", metavar="DIR", help="score fused rooms: what `panoptic3d fuse --data` wrote")
    source.add_argument("--rescore", metavar="RECORDS", help="score again from the records of an earlier run")
    source.add_argument("--compare", nargs=2, metavar=("A.json", "B.json"), help="paired test between two results")
    parser.add_argument(
        "--depth",
        metavar="truth|CARD|FOLDER",
        help="hand depth in beside the photos: a column of its own",
    )
    parser.add_argument(
        "--compat", choices=("panoptic_lifting",), help="count PQ_scene of --fused as that published code does"
    )
    add_depth_arguments(parser)
    parser.add_argument("--protocol", action="append", metavar="NAME", help="name or YAML file; repeatable (strict)")
    parser.add_argument("--json", type=output_file, metavar="FILE")
    parser.add_argument("--markdown", type=output_file, metavar="FILE", help="all tables")
    parser.add_argument("--latex", type=output_file, metavar="FILE", help="the main tables")
    parser.add_argument("--html", type=output_file, metavar="FILE", help="tables and the worst images as pictures")
    parser.add_argument(
        "--surface", action="append", metavar="NAME", help="also score surfaces: dpa, depr, gen3dsr, ..."
    )
    parser.add_argument(
        "--measure",
        action="append",
        metavar="NAME",
        help="also ap, pq-scene, depth, or package.module:NAME; repeatable",
    )
    parser.add_argument(
        "--records", type=output_file, metavar="FILE", help="one JSON line an image (default: beside --json)"
    )
    parser.add_argument("--worst", type=at_least(0), default=12, metavar="N", help="images in the HTML report (12)")
    parser.add_argument(
        "--sensitivity", type=at_least(0), default=0, metavar="N", help="score N images with small changes, too"
    )
    parser.add_argument("--oracle", action="append", choices=_ORACLES, help="take this part from the ground truth")
    parser.add_argument("--workers", type=at_least(1), metavar="N", help="processes (default: one a core)")
    parser.add_argument("--overwrite", action="store_true", help="score again what the records hold already")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from panoptic3d.errors import InputError

    if arguments.compare:
        return _compare(arguments)
    sources = (arguments.rescore, arguments.predictions, arguments.checkpoint, arguments.fused)
    if all(source is None for source in sources):
        raise InputError(
            "evaluate needs what to score: --checkpoint DIR, --predictions DIR, --fused DIR, --rescore RECORDS or "
            "--compare A.json B.json."
        )
    if arguments.compat is not None and arguments.fused is None:
        raise InputError("--compat says how PQ_scene of fused rooms is counted; give --fused.")
    if arguments.data is None or arguments.split is None:
        raise InputError("evaluate needs --data ROOT and --split FILE_OR_NAME; see `panoptic3d evaluate --help`.")
    if arguments.depth is not None and arguments.checkpoint is None:
        raise InputError("--depth goes to a network, beside the photos; give --checkpoint.")
    return _evaluate(arguments)


def _evaluate(arguments: argparse.Namespace) -> int:
    from panoptic3d.engine.evaluation.run import EvaluationOrder, carry_out

    order = EvaluationOrder(
        data=arguments.data,
        split=arguments.split,
        predictions=arguments.predictions,
        fused=arguments.fused,
        compat=arguments.compat,
        rescore=arguments.rescore,
        checkpoint=arguments.checkpoint,
        depth=arguments.depth,
        depth_options=depth_options(arguments),
        trust=tuple(arguments.trust),
        protocols=tuple(arguments.protocol or [_DEFAULT_PROTOCOL]),
        oracles=tuple(arguments.oracle or ()),
        surfaces=tuple(arguments.surface or ()),
        measures=tuple(arguments.measure or ()),
        num_sensitivity=arguments.sensitivity,
        num_workers=arguments.workers or os.cpu_count() or 1,
        records=arguments.records,
        is_anew=arguments.overwrite,
        json=arguments.json,
        markdown=arguments.markdown,
        latex=arguments.latex,
        html=arguments.html,
        num_worst=arguments.worst,
        device=arguments.device,
    )
    return carry_out(order)


def _compare(arguments: argparse.Namespace) -> int:
    from pathlib import Path

    from panoptic3d.engine.evaluation.compare import compare
    from panoptic3d.engine.evaluation.tables import to_markdown, to_terminal
    from panoptic3d.files import write_text_atomically

    tables = compare(*(Path(path) for path in arguments.compare))
    print(to_terminal(tables))
    if arguments.markdown:
        write_text_atomically(arguments.markdown, to_markdown(tables))
    return 0
