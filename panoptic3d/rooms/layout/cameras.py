"""How a camera is held: as in the released renders, or as people and robots hold theirs."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from panoptic3d.structures.camera import FRONT3D_CAMERA, Camera

_RELEASE_HEIGHT_M, _RELEASE_FOV_DEG = 0.75, 60.0
_SIZES = ((320, 240), (240, 320), (272, 272), (368, 208))  # 4:3, upright, square, 16:9, of about as many pixels
_SIZE_SHARES = (0.45, 0.3, 0.1, 0.15)
_EYE_SHARE, _EYE_M = 0.6, (1.5, 0.15)  # views from eye height; the others from anywhere between knee and raised arm
_HEIGHT_M = (0.4, 2.0)
_PITCH_DEG, _ROLL_DEG, _FOV_DEG = (-35.0, 15.0), 5.0, (45.0, 90.0)
_RELEASED_LENS = 0.5  # the share of level views that nothing but their height tells from released ones
_LOOKS_ANYWHERE = 0.2  # the share of views whose tilt has nothing to do with their height
_CROP_SHARE, _CROP = 0.15, 0.12  # views whose axis misses the middle, and by how much of the side at most


@dataclass(frozen=True)
class Stance:
    """Everything of a view but its place on the floor and its heading."""

    camera: Camera
    height_m: float
    pitch_deg: float = 0.0  # upwards
    roll_deg: float = 0.0


DrawStance = Callable[[np.random.Generator], Stance]


def released_stance(random: np.random.Generator, size: tuple[int, int] = (320, 240)) -> Stance:
    """0.75 m above the floor, level, 60 degrees: nothing is drawn."""
    del random
    width, height = size
    is_released = size == (FRONT3D_CAMERA.width, FRONT3D_CAMERA.height)
    camera = FRONT3D_CAMERA if is_released else Camera.from_fov(_RELEASE_FOV_DEG, width, height)
    return Stance(camera, _RELEASE_HEIGHT_M)


def varied_stance(random: np.random.Generator) -> Stance:
    """Any height, tilt, roll, field of view and frame. The higher a camera is held, the more it looks down."""
    height_m = _height_m(random)
    pitch_deg = float(random.normal(-9.0 * (height_m - 0.75), 6.0))
    if random.random() < _LOOKS_ANYWHERE:
        pitch_deg = float(random.uniform(*_PITCH_DEG))
    roll_deg = float(np.clip(random.normal(0.0, 1.7), -_ROLL_DEG, _ROLL_DEG))
    return Stance(_varied_camera(random), height_m, float(np.clip(pitch_deg, *_PITCH_DEG)), roll_deg)


def level_stance(random: np.random.Generator) -> Stance:
    """Any height without tilt or roll: who has seen level views from 0.75 m alone takes every level photo for one."""
    height_m = _height_m(random)
    camera = _varied_camera(random)
    return Stance(FRONT3D_CAMERA if random.random() < _RELEASED_LENS else camera, height_m)


def _height_m(random: np.random.Generator) -> float:
    if random.random() < _EYE_SHARE:
        return float(np.clip(random.normal(*_EYE_M), *_HEIGHT_M))
    return float(random.uniform(*_HEIGHT_M))


def _varied_camera(random: np.random.Generator) -> Camera:
    """The field of view is that of the longer side."""
    width, height = _SIZES[int(random.choice(len(_SIZES), p=_SIZE_SHARES))]
    longer = Camera.from_fov(float(random.uniform(*_FOV_DEG)), max(width, height), min(width, height))
    camera = replace(longer, cx_px=(width - 1) / 2, cy_px=(height - 1) / 2, width=width, height=height)
    if random.random() < _CROP_SHARE:
        across, down = random.uniform(-_CROP, _CROP, 2).tolist()
        camera = replace(camera, cx_px=camera.cx_px + across * width, cy_px=camera.cy_px + down * height)
    return camera
