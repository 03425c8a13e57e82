"""Makes data/photos again: `python data/make_photos.py`. Rooms of the benchmark's validation split, drawn larger.

Like a telephone's, each photo says its focal length.
"""

import tempfile
from pathlib import Path

from PIL import ExifTags, Image

from panoptic3d.data.roots import open_root
from panoptic3d.engine.generation.plan import GenerationConfig, GenerationPlan
from panoptic3d.engine.generation.run import run_plan

_PHOTOS = Path(__file__).parent / "photos"
_ROOMS = {20000002: "dining", 20000006: "bedside", 20000008: "bedroom"}
_WIDTH, _HEIGHT = 640, 480
_FOCAL_35MM = 30  # 60 degrees from side to side


def make_photo(seed: int, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        layout = {"width": _WIDTH, "height": _HEIGHT}
        plan = GenerationPlan(GenerationConfig.model_validate({"views": 1, "layout": layout}), seed, 1)
        run_plan(plan, Path(folder) / "room", num_workers=1)
        root = open_root(Path(folder) / "room")
        image = Image.fromarray(root.read(root.keys()[0]).image.permute(1, 2, 0).numpy())
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = _FOCAL_35MM
    image.save(_PHOTOS / f"{name}.jpg", quality=92, exif=exif)


if __name__ == "__main__":
    _PHOTOS.mkdir(exist_ok=True)
    for room_seed, photo_name in _ROOMS.items():
        make_photo(room_seed, photo_name)
