"""Whatever holds a photo, the pixels are the same; what holds none is refused in one sentence."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from panoptic3d.errors import InputError, Panoptic3dError
from panoptic3d.predictor.any_photo import AnyPhoto, as_photo
from panoptic3d.predictor.least_score import without_unsure
from panoptic3d.predictor.predictor import Predictor
from panoptic3d.structures.camera import Camera
from tests.export.tiny import make_tiny_scene
from tests.predictor.echo import Echo
from tests.predictor.hostile import picture


def test_every_kind_of_photo_gives_the_same_pixels(tmp_path: Path) -> None:
    image = picture(64, 48)
    image.save(tmp_path / "photo.png")
    pixels = np.array(image)
    tensor = torch.from_numpy(pixels)
    file = io.BytesIO()
    image.save(file, "PNG")
    kinds = [
        image, tmp_path / "photo.png", str(tmp_path / "photo.png"), file.getvalue(), pixels, pixels.transpose(2, 0, 1),
        tensor, tensor.permute(2, 0, 1), tensor / 255, (tensor.permute(2, 0, 1) / 255).double(), pixels / 255.0,
        np.asfortranarray(pixels), as_photo(image),
    ]  # fmt: skip
    for kind in kinds:
        assert torch.equal(as_photo(kind).image, tensor.permute(2, 0, 1)), type(kind)
    assert as_photo(file.getvalue()).sha256 == as_photo(tmp_path / "photo.png").sha256
    grey = as_photo(pixels[:, :, 0]).image
    assert torch.equal(grey, as_photo(pixels[:, :, :1]).image)
    assert torch.equal(grey, as_photo(pixels[None, :, :, 0]).image)


def _cut_off() -> Image.Image:
    """A picture whose pixels Pillow reads when somebody asks for them."""
    file = io.BytesIO()
    Image.effect_noise((64, 48), 60).save(file, "PNG")
    return Image.open(io.BytesIO(file.getvalue()[:600]))


@pytest.mark.parametrize(
    ("array", "what"),
    [
        (np.zeros((48, 64, 3)) + 2, "from 0 to 1, this one from 2 to 2"),
        (np.full((48, 64, 3), np.nan), "from nan to nan"),
        (np.zeros((48, 64, 3)) - 1, "from -1 to -1"),
        (np.zeros((48, 64, 3), np.uint16), "uint16"),
        (np.zeros((2, 48, 64, 3), np.uint8), "several pictures as a list"),
        (np.zeros((48, 64, 5), np.uint8), "convert it"),
        (np.zeros((48, 64, 3), np.complex64), "complex64"),
        (np.zeros((48, 64), object), "object"),
        (torch.zeros(3, 48, 64).to_sparse(), "dense tensor"),
        (torch.zeros(3, 48, 64, device="meta"), "dense tensor"),
        (_cut_off(), "image file is truncated"),
        (b"", "is empty"),
        (b"no picture", "is no picture"),
    ],
)
def test_what_is_no_picture_is_refused(array: AnyPhoto, what: str) -> None:
    with pytest.raises(InputError, match=what):
        as_photo(array)


def test_many_photos_have_a_camera_each() -> None:
    predictor = Predictor(network=Echo())
    photos = [picture(64, 48), picture(48, 64), picture(80, 48)]
    own = Camera.from_fov(70, width=4000, height=3000)
    scenes = predictor(photos, cameras=[own, None, None])
    assert [scene.provenance["camera_source"].split(":")[0] for scene in scenes] == [
        "given camera",
        "assumed",
        "assumed",
    ]
    assert scenes[0].camera == own.resized(64, 48)
    together = predictor(tuple(photos), cameras=[own, None, None], batch_size=2)
    assert [scene.camera for scene in together] == [scene.camera for scene in scenes]
    assert predictor([]) == []


def test_unsure_things_are_left_out() -> None:
    predictor = Predictor(network=Echo())
    sure, left_out = predictor(picture(64, 48), min_score=0.75), predictor(picture(64, 48), min_score=0.76)
    assert "sofa-7" in {segment.name for segment in sure.segments}
    assert {segment.name for segment in left_out.segments} == {"wall", "floor"}
    scene = make_tiny_scene()
    was_sofa = scene.instance == 7
    empty = without_unsure(scene, 1.0)
    assert bool((empty.distance_vox[was_sofa] == 3).all())
    assert torch.equal(empty.distance_vox[~was_sofa], scene.distance_vox[~was_sofa])
    assert without_unsure(scene, 0.0) is scene


_WRONG = """
import numpy as np, torch
from PIL import Image
from pathlib import Path
from panoptic3d.errors import Panoptic3dError
import panoptic3d
from panoptic3d import Camera, PanopticScene, Predictor
from tests.predictor.echo import Echo
from tests.export.tiny import make_tiny_scene
photo, p, scene = np.zeros((48, 64, 3), np.uint8), Predictor(network=Echo()), make_tiny_scene()
calls = {
    "photo": lambda: p(None), "number": lambda: p(3), "set": lambda: p({1}), "inner": lambda: p([photo, 3]),
    "camera": lambda: p(photo, camera=(1, 2, 3, 4)), "fov": lambda: p(photo, fov_deg="60"),
    "both": lambda: p([photo], fov_deg=60, cameras=[None]), "few": lambda: p([photo], cameras=[]),
    "cameras": lambda: p([photo], cameras=Camera.from_fov(60, 64, 48)), "score": lambda: p(photo, min_score="high"),
    "range": lambda: p(photo, min_score=2), "batch": lambda: p([photo], batch_size=0), "device": lambda: Predictor(device=3),
    "no device": lambda: Predictor(device="tpu"), "checkpoint": lambda: Predictor(checkpoint=3),
    "name": lambda: Predictor.from_pretrained(None), "index": lambda: scene[3], "load": lambda: PanopticScene.load(3),
    "depth": lambda: p(photo, depth=3), "picture": lambda: p(photo, depth=Image.new("F", (64, 48))),
    "folder": lambda: p.save_pretrained("x"), "hub": lambda: Predictor.from_pretrained("nobody/nothing"),
}
for name, call in calls.items():
    try:
        call()
        print(name, "| was taken")
    except Panoptic3dError as error:
        assert "\\n" not in str(error) and str(error).endswith("."), error
        print(name, "|", error)
"""


def test_wrong_types_are_answered_in_one_sentence(repository: Path) -> None:
    """In a process of its own: under pytest the annotations are checked, and would answer first."""
    done = subprocess.run([sys.executable, "-c", _WRONG], capture_output=True, text=True, cwd=repository)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 22
    assert not [line for line in lines if "was taken" in line]


def test_a_process_that_was_forked_says_so_instead_of_waiting_for_ever() -> None:
    predictor = Predictor(network=Echo())
    predictor._process += 1  # as in a child
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(Panoptic3dError, match=r"before its process was forked.*start processes by `spawn`"):
            predictor(picture(64, 48))
        torch.set_num_threads(1)
        assert predictor(picture(64, 48)).photo is not None
    finally:
        torch.set_num_threads(before)
