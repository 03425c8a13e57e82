"""How scenes look to who took the photos, in figures: every bar of docs/adr/0012-looks.md for a folder of photos.

    python -m eval.looks.looks PHOTO_OR_DIR ... [--checkpoint NAME_OR_PATH] [--json FILE] [--keep DIR]

Rays from each photo's own camera through its `scene.glb`, read as a stranger would read it. `edges kept` are the depth edges
of the network's depth map that the render has within 2 pixels of the map; `edges true` those of the render that the map has.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from eval.looks.bars import depth_edges, psnr_db, share_near, share_of_class_colors
from eval.looks.read_glb import read_primitives
from eval.looks.rendered import render
from panoptic3d.errors import InputError
from panoptic3d.machine import describe_machine
from panoptic3d.predictor.cameras import GivenCamera, choose_camera
from panoptic3d.predictor.canonical import seen_by
from panoptic3d.predictor.network import PipelineNetwork
from panoptic3d.predictor.photo_list import list_orders
from panoptic3d.predictor.photos import Photo, load_photo
from panoptic3d.predictor.predictor import Predictor
from panoptic3d.predictor.scene_folder import save_scene
from panoptic3d.structures.camera import Camera

_MAX = {"class colours": 0.01, "no surface": 0.03}
_MIN = {"PSNR dB": 24.0, "edges kept": 0.95, "edges true": 0.95}


def measure(photo: Photo, predictor: Predictor, folder: Path) -> dict[str, float | None]:
    scene = predictor(photo)
    save_scene(scene, folder, overwrite=True)
    primitives = read_primitives(folder / "scene.glb")
    picture = photo.image.permute(1, 2, 0).numpy()
    rendered = render(primitives, scene.camera)
    depth_m, camera = network_depth(photo, predictor)
    is_photo = _within(camera, scene.camera)
    expected = depth_edges(np.where(is_photo, depth_m, np.inf))
    shown = depth_edges(np.where(is_photo, render(primitives, camera).depth_m, np.inf))
    return {
        "class colours": share_of_class_colors(rendered, primitives, picture),
        "no surface": float(1 - rendered.is_hit.mean()),
        "PSNR dB": psnr_db(rendered, picture),
        "edges kept": share_near(expected, shown),
        "edges true": share_near(shown, expected),
        "glb MB": (folder / "scene.glb").stat().st_size / 1e6,
        "page MB": (folder / "index.html").stat().st_size / 1e6,
    }


@torch.inference_mode()
def network_depth(photo: Photo, predictor: Predictor) -> tuple[Float[np.ndarray, "h w"], Camera]:
    """The depth map of the network, and its camera, which stands where the photo's stands and looks the same way."""
    network = predictor.network
    assert isinstance(network, PipelineNetwork)
    camera = choose_camera(photo, GivenCamera()).camera
    view = seen_by(photo.image, camera, network.view_of(camera))
    prediction = network.pipeline(view.image[None], (view.camera,))
    return prediction.depth_m[0].double().numpy(), prediction.cameras[0]


def _within(camera: Camera, photo: Camera) -> np.ndarray:
    """Pixels of the map that lie on the photo: a letterboxed view reaches beyond it."""
    u = (np.arange(camera.width) - camera.cx_px) / camera.fx_px * photo.fx_px + photo.cx_px
    v = (np.arange(camera.height) - camera.cy_px) / camera.fy_px * photo.fy_px + photo.cy_px
    return ((v > -0.5) & (v < photo.height - 0.5))[:, None] & ((u > -0.5) & (u < photo.width - 0.5))[None]


def table(rows: dict[str, dict[str, float | None]]) -> str:
    names = list(next(iter(rows.values())))
    lines = ["| photo | " + " | ".join(names) + " |", "| --- |" + " --- |" * len(names)]
    lines += [f"| {photo} | " + " | ".join(_told(n, row[n]) for n in names) + " |" for photo, row in rows.items()]
    return "\n".join(lines)


def _told(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    is_share = name not in ("PSNR dB", "glb MB", "page MB")
    text = f"{100 * value:.1f} %" if is_share else f"{value:.1f}"
    is_missed = value > _MAX.get(name, np.inf) or value < _MIN.get(name, -np.inf)
    return f"**{text}**" if is_missed else text


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("photos", nargs="+", metavar="PHOTO_OR_DIR")
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
    predictor = Predictor(asked.checkpoint)
    with tempfile.TemporaryDirectory() as scratch:
        out = asked.keep or Path(scratch)
        orders = list_orders(asked.photos, out)
        return {str(order.scene): measure(load_photo(order.photo), predictor, out / order.scene) for order in orders}


if __name__ == "__main__":
    sys.exit(main())
