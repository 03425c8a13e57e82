"""How scenes look to who took the photos, in figures: every bar of docs/adr/0012-looks.md for a folder of photos.

    python -m eval.looks.looks PHOTO_OR_DIR ... [--checkpoint NAME_OR_PATH] [--json FILE] [--keep DIR]
    python -m eval.looks.looks --data ROOT [--split test] [--num 60] ...

Rays from each photo's own camera through its `scene.glb`, read as a stranger would read it. `edges kept` are the depth edges
of the network's depth map that the render has within 2 pixels of the map; `edges true` those of the render that the map has,
if only as a ramp. Where a root knows the true depth, `real edges shown` are its edges that the render has, and `edges real`
the opposite. `spikes` is the share of the visible area of things that stands within ten degrees of the camera's rays.
`wall bends` is the median angle, in degrees, between faces of walls and the planes that these lie on.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float32
from torch import Tensor

from eval.looks.bars import (
    SOFT_STEP,
    bend_of_walls_deg,
    depth_edges,
    psnr_db,
    share_near,
    share_of_class_colors,
    share_of_spikes,
)
from eval.looks.read_glb import read_primitives
from eval.looks.rendered import render
from panoptic3d.data.roots import open_root, path_of
from panoptic3d.data.splits import find_split
from panoptic3d.errors import InputError
from panoptic3d.machine import describe_machine
from panoptic3d.predictor.photo_list import list_orders
from panoptic3d.predictor.photos import load_photo
from panoptic3d.predictor.predictor import Predictor
from panoptic3d.predictor.scene_folder import save_scene
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.pixel_map import DepthMap
from panoptic3d.structures.scene import PanopticScene

_MAX = {"class colours": 0.01, "no surface": 0.03, "wall bends": 3.0, "page MB": 3.0}
_MIN = {"PSNR dB": 24.0, "edges kept": 0.95, "edges true": 0.95}


def measure(
    scene: PanopticScene, folder: Path, true_depth_m: Float32[Tensor, "h w"] | None = None
) -> dict[str, float | None]:
    """`true_depth_m`, at the size of the photo, says which depth edges are there."""
    save_scene(scene, folder, overwrite=True)
    primitives = read_primitives(folder / "scene.glb")
    assert scene.photo is not None
    picture = scene.photo.permute(1, 2, 0).numpy()
    rendered = render(primitives, scene.camera)
    assert scene.depth_map is not None
    depth_m, camera = scene.depth_map.depth_m.double().numpy(), _camera_of(scene.depth_map, scene.camera)
    shown = depth_edges(render(primitives, camera).depth_m)
    return {
        "class colours": share_of_class_colors(rendered, primitives, picture),
        "no surface": float(1 - rendered.is_hit.mean()),
        "PSNR dB": psnr_db(rendered, picture),
        "edges kept": share_near(depth_edges(depth_m), shown),
        "edges true": share_near(shown, depth_edges(depth_m, SOFT_STEP)),
        **_against_truth(rendered.depth_m, true_depth_m),
        "wall bends": bend_of_walls_deg(primitives),
        "spikes": share_of_spikes(primitives),
        "glb MB": (folder / "scene.glb").stat().st_size / 1e6,
        "page MB": (folder / "index.html").stat().st_size / 1e6,
    }


def _against_truth(shown_m: Float[np.ndarray, "h w"], true_m: Float32[Tensor, "h w"] | None) -> dict[str, float | None]:
    if true_m is None:
        return {}
    real, shown = depth_edges(true_m.double().numpy()), depth_edges(shown_m)
    return {"real edges shown": share_near(real, shown), "edges real": share_near(shown, real)}


def _camera_of(depth_map: DepthMap, photo: Camera) -> Camera:
    """Of the map's own pixels: it stands where the photo's stands and looks the same way."""
    (sx, sy), (dx, dy) = depth_map.from_photo.scale, depth_map.from_photo.shift
    height, width = depth_map.depth_m.shape
    return Camera(photo.fx_px * sx, photo.fy_px * sy, photo.cx_px * sx + dx, photo.cy_px * sy + dy, width, height)


def table(rows: dict[str, dict[str, float | None]]) -> str:
    names = list(next(iter(rows.values())))
    lines = ["| photo | " + " | ".join(names) + " |", "| --- |" + " --- |" * len(names)]
    said = {"**median**": {n: _median([row[n] for row in rows.values()]) for n in names}} if len(rows) > 1 else {}
    lines += [
        f"| {photo} | " + " | ".join(_told(n, row[n]) for n in names) + " |" for photo, row in (rows | said).items()
    ]
    return "\n".join(lines)


def _median(values: Sequence[float | None]) -> float | None:
    """Of the photos that have the figure."""
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def _told(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    is_share = name not in ("PSNR dB", "glb MB", "page MB", "wall bends")
    text = f"{100 * value:.1f} %" if is_share else f"{value:.1f}"
    is_missed = value > _MAX.get(name, np.inf) or value < _MIN.get(name, -np.inf)
    return f"**{text}**" if is_missed else text


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("photos", nargs="*", metavar="PHOTO_OR_DIR")
    parser.add_argument("--data", metavar="ROOT", help="photos of a data root, with their cameras")
    parser.add_argument("--split", default="test", metavar="NAME", help="of that root (test)")
    parser.add_argument("--num", type=int, metavar="N", help="only the first of it")
    parser.add_argument("--checkpoint", metavar="NAME_OR_PATH", help="(the shipped one)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the figures, with hardware and commit")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave the scenes there")
    asked = parser.parse_args(words)
    try:
        rows = _carried_out(asked)
    except InputError as error:
        print(f"looks: {error}", file=sys.stderr)
        return 2
    print(table(rows))
    if asked.json:
        result: dict[str, Any] = {"photos": rows, "machine": describe_machine()}
        asked.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


def _carried_out(asked: argparse.Namespace) -> dict[str, dict[str, float | None]]:
    if bool(asked.photos) == bool(asked.data):
        raise InputError("give either photos or the --data of a root.")
    predictor = Predictor(asked.checkpoint)
    with tempfile.TemporaryDirectory() as scratch:
        out = asked.keep or Path(scratch)
        return {name: measure(scene, out / name, true) for name, scene, true in _scenes(asked, predictor, out)}


def _scenes(
    asked: argparse.Namespace, predictor: Predictor, out: Path
) -> Iterator[tuple[str, PanopticScene, Tensor | None]]:
    if asked.photos:
        for order in list_orders(asked.photos, out):
            yield str(order.scene), predictor(load_photo(order.photo)), None
        return
    data = open_root(asked.data)
    for key in find_split(path_of(asked.data), asked.split).keys[: asked.num]:
        sample = data.read(key, has_voxels=False)
        yield key.replace("/", "-"), predictor(sample.image, camera=sample.camera), sample.depth_m


if __name__ == "__main__":
    sys.exit(main())
