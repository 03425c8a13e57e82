"""`panoptic3d data inspect ROOT --sample SCENE/FRAME --out FILE.png`: draw all parts of one sample in one picture."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from panoptic3d.structures.sample import Sample


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("root", metavar="ROOT", help="a data set, as released or packed")
    parser.add_argument("--sample", metavar="SCENE/FRAME", help="default: the first one")
    parser.add_argument("--out", required=True, metavar="FILE.png")
    parser.add_argument(
        "--scene", metavar="DIR", help="also write the ground truth as a scene with its page, for `view`"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the scene in DIR")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from panoptic3d.data.roots import open_root
    from panoptic3d.errors import InputError
    from panoptic3d.export.folder import check_place

    if arguments.scene:
        check_place(Path(arguments.scene), arguments.overwrite)
    out = Path(arguments.out)
    if out.suffix.lower() != ".png" or not out.parent.is_dir():
        raise InputError(f"--out is {out}; give the name of a .png file in a folder that is there.")
    root = open_root(arguments.root)
    keys = root.split(None).keys
    key = arguments.sample or keys[0]
    if key not in keys:
        raise InputError(f"{arguments.root} has no sample {key!r}; it has {len(keys):,}, the first is {keys[0]!r}.")
    sample = root.read(key)
    draw_sample(sample, out)
    print(out)
    if arguments.scene:
        save_truth(sample, Path(arguments.scene), arguments.overwrite)
        print(Path(arguments.scene) / "index.html")
    return 0


def save_truth(sample: "Sample", folder: Path, overwrite: bool) -> None:
    """Save the ground truth as a scene. Its page says that it is not a prediction."""
    from dataclasses import replace

    from panoptic3d.errors import InputError
    from panoptic3d.structures.scene import PanopticScene

    if sample.truth is None:
        raise InputError(f"{sample.key} has no voxels, and so there is no scene to write.")
    scene = PanopticScene.from_truth(sample.truth, sample.camera, sample.taxonomy)
    replace(scene, photo=sample.image).save(folder, overwrite)


def draw_sample(sample: "Sample", out: Path) -> None:
    """Everything that a sample holds as one picture: the mesh is made by one room and drawn by another."""
    import io

    from panoptic3d.export.mesh import iso_surface, label_of_vertices
    from panoptic3d.files import write_bytes_atomically
    from panoptic3d.structures.scene import SURFACE_ISO_VOX
    from panoptic3d.viewer.sheet import ColoredMesh, draw_sheet, sample_panels

    mesh = None
    if (truth := sample.truth) is not None:
        distance = truth.dense_distance_vox().abs()
        surface = iso_surface(distance, SURFACE_ISO_VOX, truth.frustum_mask)
        corner = surface.faces[:, 0]
        mesh = ColoredMesh(
            truth.grid.camera_from_index(surface.vertices),
            surface.faces,
            label_of_vertices(surface, truth.dense_semantic(), distance)[corner],
            label_of_vertices(surface, truth.dense_instance(), distance)[corner],
        )
    legend = [(c.name, c.color) for c in sample.taxonomy.classes if c.kind != "void"]
    buffer = io.BytesIO()
    draw_sheet(sample_panels(sample, mesh), legend).save(buffer, "PNG")
    write_bytes_atomically(out, buffer.getvalue())
