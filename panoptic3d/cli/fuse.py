"""`panoptic3d fuse DIR --poses FILE --out DIR`."""

import argparse
import sys
from pathlib import Path

from panoptic3d.cli.arguments import add_trust
from panoptic3d.errors import InputError, printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", help="photos of one room, or the scenes predicted of them")
    parser.add_argument(
        "--poses",
        required=True,
        metavar="FILE",
        help="transforms.json, a text model of COLMAP, a folder of campose_NNNN.npz, or lines `photo tx ty tz qx qy qz qw`",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="becomes the fused scene")
    parser.add_argument(
        "--pose-scale",
        default="1",
        metavar="S",
        help="metres of a unit of the poses, or auto: by the photos' depth (1)",
    )
    parser.add_argument("--checkpoint", metavar="NAME_OR_PATH", help="for photos; default: the shipped one")
    add_trust(parser)
    parser.add_argument("--fov-deg", type=float, metavar="F", help="of photos whose poses come without a camera")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--overwrite", action="store_true", help="replace a scene that is there")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """What can be wrong with the call is said before a network is loaded."""
    from panoptic3d.cli.progress import with_progress
    from panoptic3d.export.folder import check_place
    from panoptic3d.predictor.cameras import GivenCamera
    from panoptic3d.predictor.fusion.posed import fuse_posed
    from panoptic3d.predictor.fusion.sources import Opened, checked_sources, list_sources, parse_scale, scene_of
    from panoptic3d.predictor.poses.read import read_poses

    folder, out = Path(arguments.folder), Path(arguments.out)
    scale, given = parse_scale(arguments.pose_scale), GivenCamera(fov_deg=arguments.fov_deg)
    poses = read_poses(Path(arguments.poses))
    pairs = checked_sources(list_sources(folder, out), poses)
    if scale is None and len(pairs) < 2:
        raise InputError("--pose-scale auto needs at least two photos; give a number.")
    check_place(out, arguments.overwrite)
    for note in poses.notes:
        print(f"panoptic3d: {printable(note)}", file=sys.stderr)
    opened = Opened(arguments.checkpoint, arguments.device, arguments.trust)
    making = (scene_of(source, pose, opened, given) for source, pose in pairs)
    scenes = list(with_progress(making, len(pairs), "photos"))
    fused = fuse_posed(scenes, [pose for _, pose in pairs], [source.name for source, _ in pairs], scale)
    fused.save(out, overwrite=arguments.overwrite)
    things = sum(segment.is_thing for segment in fused.segments)
    print(f"{printable(str(out))}: {things} things of {len(pairs)} photos, {len(fused.segments)} segments")
    return 0
