"""Depth on photos that no generator made: a folder of RGB-D frames (`../shared/real/rgbd` has six).

    python -m eval.race.rgbd CHECKPOINT [CHECKPOINT ...] --frames FOLDER

For each frame: error of depth as it is and after its best single scale, and the scale. A frame is `color_NAME.jpg` with
`depth_NAME.png` in millimetres, or `tum_color.png` with `tum_depth.png` in fifths of a millimetre.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from panoptic3d.errors import InputError
from panoptic3d.metrics.depth import depth_scores
from panoptic3d.predictor.predictor import Predictor
from panoptic3d.structures.camera import Camera

_KINECT = Camera(width=640, height=480, fx_px=525, fy_px=525, cx_px=319.5, cy_px=239.5)
_TUM = Camera(width=640, height=480, fx_px=535.4, fy_px=539.2, cx_px=320.1, cy_px=247.6)


@dataclass(frozen=True)
class Frame:
    photo: Path
    depth: Path
    camera: Camera
    units_per_m: float

    def depth_m(self) -> np.ndarray:
        return np.asarray(Image.open(self.depth), dtype=np.float32) / self.units_per_m


@dataclass(frozen=True)
class Row:
    name: str
    abs_rel: float
    scaled: float
    scale: float  # what the predicted depth must be multiplied by


def frames_of(folder: Path) -> Iterator[Frame]:
    for photo in sorted(folder.glob("color_*.jpg")):
        yield Frame(photo, folder / f"{photo.stem.replace('color', 'depth')}.png", _KINECT, 1000)
    if (folder / "tum_color.png").is_file():
        yield Frame(folder / "tum_color.png", folder / "tum_depth.png", _TUM, 5000)


def row_of(predictor: Predictor, frame: Frame) -> Row:
    depth = predictor(frame.photo, frame.camera).depth
    if depth is None:
        raise InputError("this checkpoint's scenes carry no depth.")
    said, true = depth.numpy(), frame.depth_m()
    raw, scaled = depth_scores(said, true), depth_scores(said, true, "scale")
    if raw is None or scaled is None:
        raise InputError(f"{frame.depth} measures nothing.")
    return Row(frame.photo.stem, raw.abs_rel, scaled.abs_rel, scaled.scale)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="+")
    parser.add_argument("--frames", type=Path, required=True)
    arguments = parser.parse_args()
    for checkpoint in arguments.checkpoints:
        predictor = Predictor(checkpoint)
        rows = [row_of(predictor, frame) for frame in frames_of(arguments.frames)]
        if not rows:
            raise InputError(f"{arguments.frames} holds no frames.")
        print(f"{checkpoint}\n| frame | AbsRel | scaled | scale |\n| --- | --- | --- | --- |")
        for row in rows:
            print(f"| {row.name} | {row.abs_rel:.3f} | {row.scaled:.3f} | {row.scale:.2f} |")
        mean = [sum(getattr(row, name) for row in rows) / len(rows) for name in ("abs_rel", "scaled")]
        print(f"| mean | {mean[0]:.3f} | {mean[1]:.3f} | |\n")


if __name__ == "__main__":
    main()
