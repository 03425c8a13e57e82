"""`panoptic3d import-checkpoint FILE --family panorecon --out DIR`: published weights to ours, every key accounted for."""

import argparse
from typing import Literal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="published weights; with --export, a folder made by an import")
    parser.add_argument("--family", required=True, choices=("panorecon", "buol", "uni3d"))
    parser.add_argument("--out", required=True, metavar="DIR", help="a folder; with --export, the .pth file to write")
    parser.add_argument(
        "--mode",
        choices=("faithful", "corrected"),
        default="faithful",
        help="the switches of the config that is written: the published quirks, or those that weights allow mended",
    )
    parser.add_argument("--export", action="store_true", help="the way back: the published names and layout")
    parser.add_argument("--keys", action="store_true", help="print what became of every key")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from pathlib import Path

    return (_export if arguments.export else _import)(Path(arguments.file), Path(arguments.out), arguments)


def _import(file, out, arguments: argparse.Namespace) -> int:
    imported = _imported(arguments.family, file, out, arguments.mode)
    report = imported.report
    renamed = getattr(report, "renamed", {})  # only PanoRecon's names have changed since its first upload
    if arguments.keys:
        for name in report.taken:
            print(f"taken     {name}")
        for name in report.constants:
            print(f"constant  {name}")
        for old, name in renamed.items():
            print(f"renamed   {old} -> {name}")
    stages = "2D stage only" if imported.is_only_2d else "2D and 3D stages"
    print(
        f"{stages}: {len(report.taken)} tensors taken ({len(renamed)} by an old name), {len(report.constants)} "
        f"constants as expected, none missing, unexpected or of another shape."
    )
    if imported.left_aside:
        print(f"training state left aside: {', '.join(imported.left_aside)}")
    print(f"written to {out} (weights, config.json with the {arguments.mode} switches, origin.json)")
    return 0


def _imported(family: str, file, out, mode: Literal["faithful", "corrected"]):
    if family == "panorecon":
        from panoptic3d.models.panorecon.checkpoint.folder import import_published as import_panorecon

        return import_panorecon(file, out, mode)
    from panoptic3d.models.checkpoints.family import import_published

    return import_published(_family(family), file, out, mode)


def _family(name: str):
    from panoptic3d.models.buol.family import BUOL
    from panoptic3d.models.uni3d.family import UNI3D

    return {"buol": BUOL, "uni3d": UNI3D}[name]


def _export(folder, out, arguments: argparse.Namespace) -> int:
    import torch

    from panoptic3d.files import write_atomically
    from panoptic3d.models.checkpoints.published import pickled_arrays

    state = _exported(arguments.family, folder)
    if out.suffix == ".pkl":
        write_atomically(out, lambda file: file.write(pickled_arrays(state)))
    else:
        is_bare = arguments.family != "panorecon" and _family(arguments.family).is_bare
        write_atomically(out, lambda file: torch.save(state if is_bare else {"model": state}, file))
    print(f"{len(state)} tensors under their published names written to {out}")
    return 0


def _exported(family: str, folder):
    if family == "panorecon":
        from panoptic3d.models.panorecon.checkpoint.folder import export_published as export_panorecon

        return export_panorecon(folder)["model"]
    from panoptic3d.models.checkpoints.family import export_published

    return export_published(_family(family), folder)
