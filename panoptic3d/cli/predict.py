"""`panoptic3d predict IMAGE... --out DIR`."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from panoptic3d.errors import InputError, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from panoptic3d.predictor.cameras import GivenCamera
    from panoptic3d.predictor.folder_run import Outcome
    from panoptic3d.predictor.photo_list import Order
    from panoptic3d.predictor.predictor import Predictor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="photos, or folders of photos")
    parser.add_argument("--out", required=True, metavar="DIR", help="a folder; each photo gets one in it")
    parser.add_argument("--checkpoint", metavar="NAME_OR_PATH", help="default: the shipped one")
    camera = parser.add_mutually_exclusive_group()
    camera.add_argument("--fov-deg", type=float, metavar="F", help="horizontal field of view")
    camera.add_argument("--intrinsics", metavar="FX,FY,CX,CY", help="in pixels of the photo")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--batch-size", type=int, default=1, metavar="N", help="photos that go through together (1)")
    parser.add_argument("--overwrite", action="store_true", help="replace scenes that are there")
    parser.add_argument(
        "--simplify",
        type=float,
        default=0.0,
        metavar="VOXELS",
        help="merge mesh vertices in cubes of this side (0: none)",
    )
    parser.add_argument("--maps", action="store_true", help="also depth.exr, panoptic.png and .json, points.ply")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """What can be wrong with the call is said before a checkpoint is loaded."""
    from panoptic3d import distributed
    from panoptic3d.models.checkpoints.find import find_checkpoint
    from panoptic3d.predictor.cameras import GivenCamera, parse_intrinsics
    from panoptic3d.predictor.photo_list import list_orders
    from panoptic3d.predictor.photos import load_photo
    from panoptic3d.predictor.predictor import Predictor
    from panoptic3d.predictor.ranks import device_of_rank, join_ranks
    from panoptic3d.predictor.scene_index import check_index

    if arguments.batch_size < 1:
        raise InputError(f"--batch-size is {arguments.batch_size}; give at least 1.")
    if not 0 <= arguments.simplify < 100:
        raise InputError(f"--simplify is {arguments.simplify}; give 0 (not at all) to 100 voxels.")
    intrinsics = parse_intrinsics(arguments.intrinsics) if arguments.intrinsics is not None else None
    given = GivenCamera(intrinsics=intrinsics, fov_deg=arguments.fov_deg)
    out = Path(arguments.out)
    orders = list_orders(arguments.images, out)
    if len(orders) > 1:
        check_index(out)
    if len(orders) == 1:
        load_photo(orders[0].photo)
    find_checkpoint(arguments.checkpoint)
    join_ranks()
    predictor = Predictor(arguments.checkpoint, device_of_rank(arguments.device))
    exit_code = _carry_out(orders, predictor, out, given, arguments)
    if distributed.is_distributed():
        distributed.leave(exit_code)
    return exit_code


def _carry_out(
    orders: "list[Order]", predictor: "Predictor", out: Path, given: "GivenCamera", arguments: argparse.Namespace
) -> int:
    from panoptic3d import distributed
    from panoptic3d.cli.progress import with_progress
    from panoptic3d.predictor.folder_run import predict_folder, write_index

    own = distributed.shard(orders)
    options = {
        "given": given,
        "batch_size": arguments.batch_size,
        "overwrite": arguments.overwrite,
        "simplify_vox": arguments.simplify,
        "maps": arguments.maps,
    }
    outcomes: list[Outcome] = []
    running = predict_folder(own, predictor, out, **options)
    if len(orders) > 1 and distributed.is_main():
        running = with_progress(running, len(own), "scenes")
    try:
        for outcome in running:
            outcomes.append(outcome if len(orders) == 1 else outcome.without_frames())
            _tell(outcome, out, is_only=len(orders) == 1)
    finally:  # also what was finished before an interruption or a full disk is in the index
        if len(orders) > 1 and outcomes and not distributed.is_distributed() and out.is_dir():
            write_index(out, outcomes)
    if len(orders) == 1 and outcomes and outcomes[0].failure is not None:
        raise outcomes[0].failure
    every = [outcome for some in distributed.gather_objects(outcomes) for outcome in some]
    if len(orders) > 1 and distributed.is_main():
        out.mkdir(parents=True, exist_ok=True)
        write_index(out, every)
        print(_summary(every, out))
    return 1 if any(outcome.failure is not None for outcome in every) else 0


def _tell(outcome: "Outcome", out: Path, is_only: bool) -> None:
    from panoptic3d.predictor.folder_run import explain

    if outcome.failure is not None:
        if not is_only:
            name = printable(str(outcome.order.photo))
            print(f"panoptic3d: {name} failed: {explain(outcome.failure)}", file=sys.stderr)
    elif is_only:
        note = " (was there already; --overwrite replaces it)" if outcome.was_there else ""
        print(f"{printable(str(out / outcome.order.scene))}: {outcome.num_segments} segments{note}")


def _summary(outcomes: "Sequence[Outcome]", out: Path) -> str:
    num_failed = sum(outcome.failure is not None for outcome in outcomes)
    num_there = sum(outcome.was_there for outcome in outcomes)
    made = len(outcomes) - num_failed - num_there
    return f"{made:,} made, {num_there:,} were there already, {num_failed:,} failed; {out / 'index.jsonl'} lists them."
