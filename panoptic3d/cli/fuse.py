"""`panoptic3d fuse DIR --poses FILE --out DIR`: several photos with poses become one scene."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from panoptic3d.cli.arguments import add_trust, add_tta, at_least
from panoptic3d.errors import InputError, printable

if TYPE_CHECKING:
    from panoptic3d.predictor.fusion.sources import Source


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", metavar="DIR", help="photos of one room, or the scenes predicted of them")
    parser.add_argument("--data", metavar="ROOT", help="instead: every room of a data root, whose samples have poses")
    parser.add_argument("--split", metavar="FILE_OR_NAME", help="of the data root")
    parser.add_argument(
        "--views", type=at_least(1), default=6, metavar="K", help="of each room; the rest is held out (6)"
    )
    parser.add_argument(
        "--poses",
        metavar="FILE",
        help="transforms.json, a text model of COLMAP, a folder of campose_NNNN.npz, lines `photo tx ty tz qx qy qz qw`, or "
        "`colmap`: find them by structure from motion",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="becomes the fused scene, or holds the fused rooms")
    parser.add_argument(
        "--pose-scale",
        metavar="S",
        help="metres of a unit of the poses, or auto: by the photos' depth (1; auto for colmap, whose units are arbitrary)",
    )
    parser.add_argument(
        "--photo-weights",
        choices=("equal", "learned"),
        default="equal",
        help="learned: believe a photo less where it shows what the others do not, such as a chair that was moved (equal)",
    )
    parser.add_argument("--checkpoint", metavar="NAME_OR_PATH", help="for photos; default: the shipped one")
    add_trust(parser)
    add_tta(parser)
    parser.add_argument("--fov-deg", type=float, metavar="F", help="of photos whose poses come without a camera")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--overwrite", action="store_true", help="replace a scene that is there")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    if arguments.data is not None:
        return _fuse_root(arguments)
    if arguments.folder is None or arguments.poses is None:
        raise InputError(
            "fuse needs photos and their poses; give DIR and --poses FILE (or colmap, which finds them), or --data ROOT "
            "and --split NAME."
        )
    if arguments.split is not None:
        raise InputError("--split is of a data root; give --data ROOT with it.")
    return _fuse_folder(arguments)


def _fuse_root(arguments: argparse.Namespace) -> int:
    from panoptic3d.cli.progress import with_progress
    from panoptic3d.data.roots import open_root
    from panoptic3d.predictor.fusion.config import FusionConfig
    from panoptic3d.predictor.fusion.roots import fuse_root, num_rooms
    from panoptic3d.predictor.fusion.sources import Opened

    if arguments.folder is not None or arguments.poses is not None or arguments.pose_scale is not None:
        raise InputError("--data has rooms with poses in metres; leave DIR, --poses and --pose-scale out.")
    if arguments.fov_deg is not None or arguments.overwrite:
        raise InputError(
            "--data has cameras of its own and fuses into a new folder; leave --fov-deg and --overwrite out."
        )
    data = open_root(arguments.data)
    split = data.split(arguments.split)
    opened = Opened(arguments.checkpoint, arguments.device, arguments.trust, arguments.tta)
    total = num_rooms(split, arguments.views)
    config = FusionConfig(photo_weights=arguments.photo_weights)
    rooms = fuse_root(data, split, arguments.views, Path(arguments.out), lambda: opened().network, config)
    done = sum(1 for _ in with_progress(rooms, total, "rooms"))
    print(f"{printable(arguments.out)}: {done} rooms fused from {arguments.views} views each")
    return 0


def _fuse_folder(arguments: argparse.Namespace) -> int:
    """Fuse the photos of a folder. All checks of the call come before a network is loaded."""
    from panoptic3d.cli.progress import with_progress
    from panoptic3d.export.folder import check_place
    from panoptic3d.predictor.cameras import GivenCamera
    from panoptic3d.predictor.fusion.config import FusionConfig
    from panoptic3d.predictor.fusion.posed import fuse_posed
    from panoptic3d.predictor.fusion.roots import features_of
    from panoptic3d.predictor.fusion.sources import FOUND, Opened, list_sources, parse_scale, posed_sources, scene_of

    folder, out = Path(arguments.folder), Path(arguments.out)
    scale = parse_scale(arguments.pose_scale or ("auto" if arguments.poses == FOUND else "1"))
    given = GivenCamera(fov_deg=arguments.fov_deg)
    check_place(out, arguments.overwrite)
    sources = list_sources(folder, out)
    _refuse_options_of_photos(arguments, sources)
    pairs, notes = posed_sources(sources, arguments.poses, given)
    if scale is None and len(pairs) < 2:
        raise InputError("--pose-scale auto needs at least two photos; give a number.")
    for note in notes:
        print(f"panoptic3d: {printable(note)}", file=sys.stderr)
    opened = Opened(arguments.checkpoint, arguments.device, arguments.trust, arguments.tta)
    making = (scene_of(source, pose, opened, given) for source, pose in pairs)
    scenes = list(with_progress(making, len(pairs), "photos"))
    config = FusionConfig(photo_weights=arguments.photo_weights)
    features = features_of(scenes, config, lambda: opened().network)
    names = [source.name for source, _ in pairs]
    fused = fuse_posed(scenes, [pose for _, pose in pairs], names, scale, config, features)
    fused.save(out, overwrite=arguments.overwrite)
    things = sum(segment.is_thing for segment in fused.segments)
    print(f"{printable(str(out))}: {things} things of {len(pairs)} photos, {len(fused.segments)} segments")
    return 0


def _refuse_options_of_photos(arguments: argparse.Namespace, sources: "Sequence[Source]") -> None:
    """Scenes have their camera and need no network."""
    options = {
        "--fov-deg": arguments.fov_deg is not None,
        "--checkpoint": arguments.checkpoint is not None,
        "--device": arguments.device == "cuda",  # scenes are fused by the CPU
        "--trust": bool(arguments.trust),
        "--tta": arguments.tta,
    }
    given = [option for option, is_given in options.items() if is_given]
    if arguments.photo_weights == "learned":  # features come from the trunk of a checkpoint
        given = [option for option in given if option in ("--fov-deg", "--tta")]
    if given and any(source.is_scene for source in sources):
        raise InputError(
            f"{arguments.folder} holds scenes, which are predicted already; leave {', '.join(given)} out, or give the folder "
            "of their photos."
        )
