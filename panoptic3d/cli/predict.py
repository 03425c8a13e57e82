"""`panoptic3d predict IMAGE... [--out DIR]`: photos become scenes in 3D."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from panoptic3d.cli.arguments import add_depth_arguments, add_trust, add_tta, depth_options
from panoptic3d.errors import InputError, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from panoptic3d.data.given_depths import DepthPlace
    from panoptic3d.predictor.camera_files import CameraPlace
    from panoptic3d.predictor.folder_run import Outcome
    from panoptic3d.predictor.photo_list import Order
    from panoptic3d.predictor.predictor import Predictor
    from panoptic3d.structures.given_depth import KnownLength
    from panoptic3d.teachers.teacher import DepthTeacher


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="photos, or folders of photos")
    parser.add_argument("--out", default="scenes", metavar="DIR", help="each photo gets a folder in it (scenes)")
    parser.add_argument("--checkpoint", metavar="NAME_OR_PATH", help="default: the shipped one")
    add_trust(parser)
    camera = parser.add_mutually_exclusive_group()
    camera.add_argument("--fov-deg", type=float, metavar="F", help="horizontal field of view")
    camera.add_argument("--intrinsics", metavar="FX,FY,CX,CY", help="in pixels of the photo at its full size")
    camera.add_argument("--cameras", metavar="FILE", help="JSON: a camera for all photos, or one for each by its name")
    depth = parser.add_mutually_exclusive_group()
    depth.add_argument("--depth", metavar="FILE_OR_FOLDER", help="measured depth: .exr, .npy, .npz, 16-bit PNG, TIFF")
    depth.add_argument(
        "--depth-model",
        metavar="CARD",
        help="another network's: the JSON beside its ONNX file, or package.module:function",
    )
    add_depth_arguments(parser)
    parser.add_argument(
        "--depth-unchecked", action="store_true", help="believe the depth even if it looks like that of another photo"
    )
    scale = parser.add_mutually_exclusive_group()
    scale.add_argument("--camera-height-m", type=float, metavar="H", help="above the floor: gives the scene its scale")
    scale.add_argument(
        "--known-length", metavar="X1,Y1,X2,Y2,M", help="metres between two pixels of the photo: likewise"
    )
    add_tta(parser)
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
    parser.add_argument(
        "--min-score", type=float, default=0.0, metavar="S", help="leave out things that score less, from 0 to 1 (0)"
    )
    parser.add_argument("--maps", action="store_true", help="also depth.exr, panoptic.png and .json, points.ply")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Predict all photos of the call. All checks of the call come before a checkpoint is loaded."""
    from panoptic3d import distributed
    from panoptic3d.models.checkpoints.find import find_checkpoint
    from panoptic3d.predictor.cameras import choose_camera
    from panoptic3d.predictor.least_score import check_min_score
    from panoptic3d.predictor.photo_list import list_orders
    from panoptic3d.predictor.photos import load_photo
    from panoptic3d.predictor.predictor import PhotoHint, Predictor
    from panoptic3d.predictor.ranks import join_ranks
    from panoptic3d.predictor.scene_index import check_index

    if arguments.batch_size < 1:
        raise InputError(f"--batch-size is {arguments.batch_size}; give at least 1.")
    if not 0 <= arguments.simplify < 100:
        raise InputError(f"--simplify is {arguments.simplify}; give 0 (not at all) to 100 voxels.")
    check_min_score(arguments.min_score)
    cameras = camera_place(arguments)
    depth = depth_place(arguments)
    PhotoHint(camera_height_m=arguments.camera_height_m)  # refuses an impossible height before a checkpoint is loaded
    known_length_of(arguments)
    out = Path(arguments.out)
    orders = list_orders(arguments.images, out)
    check_names(arguments.cameras, cameras, [order.photo for order in orders])
    if len(orders) > 1:
        check_index(out)
    if len(orders) == 1:
        choose_camera(load_photo(orders[0].photo), cameras.of(orders[0].photo))
        if depth is not None:
            depth.load(orders[0].photo, orders[0].scene)
    teacher = teacher_of(arguments)
    find_checkpoint(arguments.checkpoint)
    join_ranks()
    predictor = Predictor(arguments.checkpoint, arguments.device, trust=arguments.trust, tta=arguments.tta)
    exit_code = _carry_out(orders, predictor, out, cameras, depth or teacher, arguments)
    if distributed.is_distributed():
        distributed.leave(exit_code)
    return exit_code


def camera_place(arguments: argparse.Namespace) -> "CameraPlace":
    """The cameras that the options of the call give."""
    from panoptic3d.predictor.camera_files import CameraPlace, read_camera_file
    from panoptic3d.predictor.cameras import GivenCamera, parse_intrinsics

    if arguments.cameras is not None:
        return read_camera_file(Path(arguments.cameras))
    intrinsics = None if arguments.intrinsics is None else parse_intrinsics(arguments.intrinsics)
    return CameraPlace(GivenCamera(intrinsics=intrinsics, fov_deg=arguments.fov_deg))


def check_names(file: str | None, cameras: "CameraPlace", photos: "Sequence[Path]") -> None:
    """Warn about cameras in the file that match no photo; refuse the file if none of its cameras matches."""
    from panoptic3d.predictor.poses.posed_photos import listed

    missed = cameras.of_nobody(photos)
    if not missed:
        return
    what = f"{file} names {listed(missed)}, which no photo of this call is called"
    if len(missed) == len(cameras.of_photo):
        raise InputError(f"{what}; use the photos' names, with or without their endings.")
    print(f"panoptic3d: warning: {printable(what)}.", file=sys.stderr)


def depth_place(arguments: argparse.Namespace) -> "DepthPlace | None":
    """Where depth comes from, by the options of the call."""
    from panoptic3d.data.given_depths import DepthOptions, DepthPlace

    options = replace(depth_options(arguments), is_unchecked=arguments.depth_unchecked)
    if arguments.depth is None:
        is_of_function = arguments.depth_model is not None and ":" in arguments.depth_model
        if is_of_function and (options.unit_m is not None or options.intrinsics is not None or options.is_unchecked):
            raise InputError(
                "a function says depth of the whole photo in metres; leave --depth-unit, -intrinsics and -unchecked out."
            )
        if options != DepthOptions() and not is_of_function:
            raise InputError(
                "--depth-kind, -along, -unit, -intrinsics and -unchecked are about --depth; give that, too."
            )
        return None
    place = Path(arguments.depth)
    if not place.exists():
        raise InputError(
            f"--depth is {arguments.depth} and nothing lies there; give a file, or a folder of depth maps."
        )
    if len(arguments.images) > 1 and not place.is_dir():
        raise InputError(
            "--depth is one file and there are several photos; give a folder of depths that are named alike."
        )
    return DepthPlace(place, options)


def known_length_of(arguments: argparse.Namespace) -> "KnownLength | None":
    from panoptic3d.structures.given_depth import KnownLength

    text = arguments.known_length
    if text is None:
        return None
    if len(arguments.images) > 1 or Path(arguments.images[0]).is_dir():
        raise InputError("--known-length is of one photo; give the others in calls of their own.")
    return KnownLength.parse(text)


def teacher_of(arguments: argparse.Namespace) -> "DepthTeacher | None":
    """By a card, or a function of a package that the caller trusts."""
    from panoptic3d.teachers.function_depth import trusted_function
    from panoptic3d.teachers.onnx_depth import open_teacher

    word = arguments.depth_model
    if word is None or ":" not in word or Path(word).exists():
        return None if word is None else open_teacher(Path(word))
    return trusted_function(word, arguments.trust, arguments.depth_kind, arguments.depth_along)


def _carry_out(
    orders: "list[Order]",
    predictor: "Predictor",
    out: Path,
    cameras: "CameraPlace",
    depth: "DepthPlace | DepthTeacher | None",
    arguments: argparse.Namespace,
) -> int:
    from panoptic3d import distributed
    from panoptic3d.cli.progress import with_progress
    from panoptic3d.predictor.folder_run import predict_folder, write_index

    own = distributed.shard(orders)
    options = {
        "cameras": cameras,
        "batch_size": arguments.batch_size,
        "overwrite": arguments.overwrite,
        "simplify_vox": arguments.simplify,
        "maps": arguments.maps,
        "min_score": arguments.min_score,
        "depth": depth,
        "camera_height_m": arguments.camera_height_m,
        "known_length": known_length_of(arguments),
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
        return
    assert outcome.found is not None, "a scene without a failure"
    if not is_only and sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)  # overwrite the progress line
    folder = printable(str(out / outcome.order.scene))
    note = " (was there already; --overwrite makes it anew)" if outcome.was_there else ""
    print(f"{folder}: {printable(str(outcome.found))}{note}", flush=True)
    if outcome.found.is_nothing:
        print(f"panoptic3d: warning: nothing was found in {folder}; is it a photo of a room?", file=sys.stderr)
    elif outcome.found.num_sure == 0:
        print(f"panoptic3d: warning: no thing is sure in {folder}; look at its preview.png.", file=sys.stderr)
    if is_only:
        print(f"to look at it: panoptic3d view {folder}")


def _summary(outcomes: "Sequence[Outcome]", out: Path) -> str:
    num_failed = sum(outcome.failure is not None for outcome in outcomes)
    num_there = sum(outcome.was_there for outcome in outcomes)
    made = len(outcomes) - num_failed - num_there
    counts = f"{made:,} made, {num_there:,} were there already, {num_failed:,} failed"
    return f"{counts}; {out / 'index.jsonl'} lists them. To look at them: panoptic3d view {out}"
