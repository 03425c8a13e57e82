"""`panoptic3d predict IMAGE... --out DIR`."""

import argparse

from panoptic3d.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="photos, or folders of photos")
    parser.add_argument("--out", required=True, metavar="DIR", help="a folder; each photo gets one in it")
    parser.add_argument("--checkpoint", metavar="NAME_OR_PATH", help="default: the shipped one")
    camera = parser.add_mutually_exclusive_group()
    camera.add_argument("--fov-deg", type=float, metavar="F", help="horizontal field of view")
    camera.add_argument("--intrinsics", metavar="FX,FY,CX,CY", help="in pixels of the photo")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--overwrite", action="store_true", help="replace scenes that are there")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """What can be wrong with the photos and the camera is said first; then that there is nothing to run them with."""
    from panoptic3d.predictor.cameras import choose_camera, parse_intrinsics
    from panoptic3d.predictor.photos import load_photo

    intrinsics = parse_intrinsics(arguments.intrinsics) if arguments.intrinsics else None
    choose_camera(load_photo(arguments.images[0]), intrinsics, arguments.fov_deg)
    if arguments.checkpoint:
        raise InputError(
            f"--checkpoint is {arguments.checkpoint!r}, and this version has no network to load it into yet."
        )
    raise InputError(
        "no checkpoint is shipped with this version, so nothing can be predicted; `panoptic3d view` shows scenes."
    )
