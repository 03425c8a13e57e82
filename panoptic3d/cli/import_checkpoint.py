"""`panoptic3d import-checkpoint FILE --family panorecon --out DIR`: published weights to ours, every key accounted for."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="published weights; with --export, a folder made by an import")
    parser.add_argument(
        "--family",
        required=True,
        metavar="NAME",
        help="panorecon, buol, uni3d, or package.module:NAME",
    )
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
    return (_export if arguments.export else _import)(Path(arguments.file), Path(arguments.out), arguments)


def _import(file: Path, out: Path, arguments: argparse.Namespace) -> int:
    from panoptic3d.models.checkpoints.family import import_published
    from panoptic3d.models.methods import family_of

    imported = import_published(family_of(arguments.family), file, out, arguments.mode)
    report = imported.report
    if arguments.keys:
        for name in report.taken:
            print(f"taken     {name}")
        for name in report.constants:
            print(f"constant  {name}")
        for old, name in report.renamed.items():
            print(f"renamed   {old} -> {name}")
    stages = "2D stage only" if imported.is_only_2d else "2D and 3D stages"
    print(
        f"{stages}: {len(report.taken)} tensors taken ({len(report.renamed)} by an old name), {len(report.constants)} "
        f"constants as expected, none missing, unexpected or of another shape."
    )
    if imported.left_aside:
        print(f"training state left aside: {', '.join(imported.left_aside)}")
    print(f"written to {out} (weights, config.json with the {arguments.mode} switches, origin.json)")
    return 0


def _export(folder: Path, out: Path, arguments: argparse.Namespace) -> int:
    from panoptic3d.engine.training.checkpoint import save_with_torch
    from panoptic3d.files import write_atomically
    from panoptic3d.models.checkpoints.family import export_published
    from panoptic3d.models.checkpoints.published import pickled_arrays
    from panoptic3d.models.methods import family_of

    family = family_of(arguments.family)
    state = export_published(family, folder)
    if out.suffix == ".pkl":
        write_atomically(out, lambda file: file.write(pickled_arrays(state)))
    else:
        write_atomically(out, lambda file: save_with_torch(state if family.is_bare else {family.entry: state}, file))
    print(f"{len(state)} tensors under their published names written to {out}")
    return 0
