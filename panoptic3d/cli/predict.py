"""`panoptic3d predict IMAGE... --out DIR`."""

import argparse

from panoptic3d.cli.not_built import refuse


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
    refuse("predict", "no network has landed; `panoptic3d data inspect` shows what a scene holds")
