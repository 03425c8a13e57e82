"""Mutations of sound files: a reader answers with its value or with one of our errors. The seeds are committed here."""

import io
import json
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from panoptic3d.config import parse_yaml
from panoptic3d.data.arrays import Expected, read_npy
from panoptic3d.data.depth_files import read_depth_file
from panoptic3d.data.front3d_writer import exr_bytes as _encoded_exr
from panoptic3d.data.pictures import read_depth_exr, read_depth_png, read_jpeg, read_png
from panoptic3d.data.predictions import prediction_bytes, read_prediction
from panoptic3d.data.roots import DataRoot
from panoptic3d.data.splits import read_split
from panoptic3d.errors import InputError
from panoptic3d.models.checkpoints.folder import read_config_tree
from panoptic3d.models.checkpoints.published import read_published
from panoptic3d.models.checkpoints.weights import read_state
from panoptic3d.predictor.photos import load_photo
from panoptic3d.predictor.scene_index import read_index
from panoptic3d.structures.scene_files import read_facts
from panoptic3d.teachers.card import read_card
from tests.data.conftest import GRID
from tests.export.tiny import make_tiny_scene
from tests.predictor.hostile import exif, picture

SEED = 26
_QUICK, _ALL = 3, 1000  # mutations of each kind, by default and with `-m slow`
Reader = Callable[[Path], object]


def _picture(kind: str, image: Image.Image | None = None, **options: object) -> bytes:
    buffer = io.BytesIO()
    (image or picture()).save(buffer, kind, **options)  # pyright: ignore[reportArgumentType]
    return buffer.getvalue()


def _npy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.eye(4))
    return buffer.getvalue()


def _pth() -> bytes:
    buffer = io.BytesIO()
    torch.save({"model": {"a.weight": torch.arange(12.0).view(3, 4), "b": torch.zeros(2)}, "iteration": 3}, buffer)
    return buffer.getvalue()


def _exr() -> bytes:
    return _encoded_exr(np.linspace(1, 5, 48 * 64, dtype=np.float32).reshape(48, 64))


def _depth_png() -> bytes:
    return _picture("PNG", Image.fromarray(np.arange(48 * 64, dtype=np.uint16).reshape(48, 64)))


def _card() -> bytes:
    tree = {"name": "a", "file": "a.onnx", "sha256": "0" * 64, "licence": "MIT", "trained_on": "b", "kind": "metric"}
    return json.dumps({**tree, "input": {"width": 32, "height": 32}}).encode()


def _shape() -> tuple[int, int, int]:
    return make_tiny_scene().grid.shape


# kind -> (name of the file, a sound one, how it is read)
KINDS: dict[str, tuple[str, Callable[[], bytes], Reader]] = {
    "photo jpeg": ("a.jpg", lambda: _picture("JPEG", exif=exif(6).tobytes()), load_photo),
    "photo png": ("a.png", lambda: _picture("PNG", exif=exif(3).tobytes()), load_photo),
    "photo webp": ("a.webp", lambda: _picture("WEBP", exif=exif(8).tobytes()), load_photo),
    "photo tiff": ("a.tif", lambda: _picture("TIFF", compression="tiff_deflate"), load_photo),
    "photo gif": ("a.gif", lambda: _picture("GIF"), load_photo),
    "photo bmp": ("a.bmp", lambda: _picture("BMP"), load_photo),
    "photo ppm": ("a.ppm", lambda: _picture("PPM"), load_photo),
    "rgb png": ("rgb.png", lambda: _picture("PNG"), lambda p: read_png(p, (80, 60))),
    "rgb jpeg": ("rgb.jpg", lambda: _picture("JPEG"), lambda p: read_jpeg(p, (80, 60))),
    "depth png": ("depth.png", _depth_png, lambda p: read_depth_png(p, (64, 48))),
    "depth exr": ("depth.exr", _exr, lambda p: read_depth_exr(p, (64, 48))),
    "given exr": ("d.exr", _exr, read_depth_file),
    "given npy": ("d.npy", _npy, read_depth_file),
    "given png": ("d.png", _depth_png, read_depth_file),
    "card": ("card.json", _card, read_card),
    "prediction": ("p.npz", lambda: prediction_bytes(make_tiny_scene()), lambda p: read_prediction(p, _shape())),
    "npy": ("a.npy", _npy, lambda p: read_npy(p, Expected((4, 4), ("float64",)))),
    "scene.json": (
        "scene.json",
        lambda: json.dumps({"format_version": 1, "segments": [{"a": [1, 2]}] * 9}).encode(),
        lambda p: read_facts(p.parent),
    ),
    "index": (
        "index.jsonl",
        lambda: b'{"photo": "a", "scene": "a", "error": null}\n' * 5,
        lambda p: read_index(p.parent),
    ),
    "split": ("s.txt", lambda: b"room/0000\nroom/0001\nother/0002\n", read_split),
    "pth": ("a.pth", _pth, lambda p: read_published(p, "test")),
    "yaml": (
        "a.yaml",
        lambda: b"method: clearview\nstages:\n- {name: a, steps: 5}\nloader: {batch_size: 2}\n",
        lambda p: parse_yaml(p.read_bytes().decode("latin-1"), "a.yaml"),
    ),
}


def mutated(data: bytes, random: np.random.Generator) -> bytes:
    """Flips, overwritten and repeated pieces, cuts and insertions, as disks, networks and attackers make them."""
    changed = bytearray(data)
    for _ in range(int(random.integers(1, 5))):
        at, length = int(random.integers(0, max(len(changed), 1))), int(random.integers(1, 17))
        match int(random.integers(0, 7)):
            case 0 if changed:
                changed[at] ^= 1 << int(random.integers(0, 8))
            case 1:
                changed[at : at + length] = random.bytes(length)
            case 2:
                changed[at : at + length] = bytes([int(random.choice([0, 255, 127, 128]))]) * length
            case 3 if random.integers(0, 4) == 0:
                del changed[at:]
            case 4:
                changed[at:at] = changed[max(0, at - length) : at]
            case 5:
                del changed[at : at + length]
            case _:
                changed[at : at + 4] = int(random.integers(0, 2**32)).to_bytes(4, "little")
    return bytes(changed)


def _hold(path: Path, data: bytes, read: Reader, seed: tuple[int, ...]) -> None:
    path.write_bytes(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read(path)
    except InputError:
        pass
    except Exception as error:
        raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}") from error


def _attack(kind: int, path: Path, data: bytes, read: Reader, num: int) -> None:
    for number in range(num):
        seed = (SEED, kind, number)
        _hold(path, mutated(data, np.random.default_rng(seed)), read, seed)


@pytest.mark.parametrize("num", [_QUICK, pytest.param(_ALL, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", KINDS)
def test_mutated_files(kind: str, num: int, tmp_path: Path) -> None:
    name, make, read = KINDS[kind]
    _attack(list(KINDS).index(kind), tmp_path / name, make(), read, num)


@pytest.mark.parametrize("num", [_QUICK, pytest.param(_ALL, marks=pytest.mark.slow)])
def test_mutated_packed_samples(num: int, packed_bytes: bytes, tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    root = DataRoot(tmp_path, "packed", grid=GRID)
    _attack(100, tmp_path / "room" / "0000.p3d", packed_bytes, lambda path: root.read("room/0000"), num)


@pytest.mark.parametrize("num", [_QUICK, pytest.param(_ALL, marks=pytest.mark.slow)])
def test_mutated_checkpoints(num: int, checkpoint: Path, tmp_path: Path) -> None:
    weights, config = ((checkpoint / name).read_bytes() for name in ("model.safetensors", "config.json"))
    head = 8 + int.from_bytes(weights[:8], "little")
    for number in range(num):
        seed = (SEED, 101, number)
        random = np.random.default_rng(seed)
        _hold(tmp_path / "config.json", mutated(config, random), lambda path: read_config_tree(path.parent), seed)
        changed = mutated(weights[:head], random) + weights[head:]
        _hold(tmp_path / "model.safetensors", changed, read_state, seed)
