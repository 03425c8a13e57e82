"""Calls of the Python interface with arguments of wrong types, shapes and kinds: each gets one sentence, an `InputError`.

    python -m tests.hostile.python_calls

In a process of its own: under pytest the annotations are checked, and would answer first.
"""

import math
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import panoptic3d
from panoptic3d.errors import InputError
from tests.export.tiny import make_tiny_scene
from tests.predictor.echo import Echo

# Untyped on purpose: what a user types into a notebook.
Camera: Any = panoptic3d.Camera
VoxelGrid: Any = panoptic3d.VoxelGrid
Predictor: Any = panoptic3d.Predictor
fuse: Any = panoptic3d.fuse
load_scene: Any = panoptic3d.load_scene
predict: Any = panoptic3d.predict
save_scene: Any = panoptic3d.save_scene
api: Any = panoptic3d
photo, p, nan = np.zeros((48, 64, 3), np.uint8), Predictor(network=Echo()), float("nan")
s: Any = make_tiny_scene()
camera = Camera.from_fov(60, 64, 48)


def _new() -> Path:
    return Path(tempfile.mkdtemp(), "scene")


def _with(**fields: Any) -> None:
    replace(s, **fields).save(_new())


def _cycle() -> dict:
    tree: dict = {}
    tree["a"] = tree
    return tree


def _length(*arguments: Any) -> Any:
    from panoptic3d.structures.given_depth import KnownLength

    return KnownLength(*arguments)


def _options(**arguments: Any) -> Any:
    from panoptic3d.data.given_depths import DepthOptions

    return DepthOptions(**arguments)


CALLS: dict[str, Callable[[], object]] = {
    "Camera str": lambda: Camera("a", 1, 1, 1, 64, 48),
    "Camera neg": lambda: Camera(-1.0, 1.0, 1.0, 1.0, 64, 48),
    "Camera nan": lambda: Camera(nan, 1.0, 1.0, 1.0, 64, 48),
    "Camera none": lambda: Camera(None, 1.0, 1.0, 1.0, 64, 48),
    "Camera w0": lambda: Camera(1.0, 1.0, 1.0, 1.0, 0, 48),
    "Camera w float": lambda: Camera(1.0, 1.0, 1.0, 1.0, 64.5, 48),
    "Camera w str": lambda: Camera(1.0, 1.0, 1.0, 1.0, "64", 48),
    "fov str": lambda: Camera.from_fov("60", 64, 48),
    "fov none": lambda: Camera.from_fov(None, 64, 48),
    "fov of nan": lambda: Camera.from_fov(nan, 64, 48),
    "fov 180": lambda: Camera.from_fov(180, 64, 48),
    "fov w none": lambda: Camera.from_fov(60, None, 48),
    "grid shape": lambda: VoxelGrid((0, 4, 4), 0.1, (0.0, 0.0, 0.0)),
    "grid shape2": lambda: VoxelGrid((4, 4), 0.1, (0.0, 0.0, 0.0)),
    "grid shape str": lambda: VoxelGrid("444", 0.1, (0.0, 0.0, 0.0)),
    "grid vox": lambda: VoxelGrid((4, 4, 4), -1, (0.0, 0.0, 0.0)),
    "grid vox nan": lambda: VoxelGrid((4, 4, 4), nan, (0.0, 0.0, 0.0)),
    "grid vox none": lambda: VoxelGrid((4, 4, 4), None, (0.0, 0.0, 0.0)),
    "grid ci": lambda: VoxelGrid((4, 4, 4), 0.1, (nan, 0.0, 0.0)),
    "grid ci2": lambda: VoxelGrid((4, 4, 4), 0.1, (0.0, 0.0)),
    "save none": lambda: s.save(None),
    "save int": lambda: s.save(3),
    "save empty": lambda: s.save(""),
    "save nul": lambda: s.save("a\0b"),
    "save long": lambda: s.save("x" * 5000),
    "save proc": lambda: s.save("/proc/x/y"),
    "save file": lambda: s.save("/etc/passwd"),
    "save simplify str": lambda: s.save(_new(), simplify_vox="x"),
    "save simplify nan": lambda: s.save(_new(), simplify_vox=nan),
    "save simplify -1": lambda: s.save(_new(), simplify_vox=-1),
    "save simplify inf": lambda: s.save(_new(), simplify_vox=math.inf),
    "glb none": lambda: s.to_glb(None),
    "glb end": lambda: s.to_glb("/tmp/x.xyz"),
    "glb dir": lambda: s.to_glb("/tmp"),
    "glb nul": lambda: s.to_glb("a\0.glb"),
    "glb nowhere": lambda: s.to_glb("/nowhere/a.glb"),
    "distance none": lambda: _with(distance_vox=None),
    "distance np": lambda: _with(distance_vox=s.distance_vox.numpy()),
    "distance int": lambda: _with(distance_vox=s.distance_vox.int()),
    "distance bool": lambda: _with(distance_vox=s.distance_vox.bool()),
    "distance complex": lambda: _with(distance_vox=s.distance_vox.to(torch.complex64)),
    "distance bf16": lambda: _with(distance_vox=s.distance_vox.bfloat16()),
    "distance grad": lambda: _with(distance_vox=s.distance_vox.clone().requires_grad_()),
    "distance sparse": lambda: _with(distance_vox=s.distance_vox.to_sparse()),
    "distance meta": lambda: _with(distance_vox=s.distance_vox.to("meta")),
    "semantic float": lambda: _with(semantic=s.semantic.float()),
    "semantic frac": lambda: _with(semantic=s.semantic.float() + 0.5),
    "semantic nan": lambda: _with(semantic=s.semantic.float() * nan),
    "semantic 200": lambda: _with(semantic=torch.full_like(s.semantic, 200)),
    "semantic bool": lambda: _with(semantic=s.semantic.bool()),
    "semantic complex": lambda: _with(semantic=s.semantic.to(torch.complex64)),
    "instance neg": lambda: _with(instance=s.instance - 5),
    "instance big": lambda: _with(instance=s.instance + 10**6),
    "instance f": lambda: _with(instance=s.instance.double()),
    "instance none": lambda: _with(instance=None),
    "shape": lambda: _with(semantic=s.semantic[:-1]),
    "scores str": lambda: _with(scores={7: "high"}),
    "scores nan": lambda: _with(scores={7: nan}),
    "scores list": lambda: _with(scores=[1]),
    "scores tensor": lambda: _with(scores={7: torch.tensor(0.5)}),
    "scores none": lambda: _with(scores=None),
    "class scores": lambda: _with(class_scores=5),
    "scores key": lambda: _with(scores={"a": 0.5}),
    "scores complex": lambda: _with(scores={7: 1j}),
    "scores huge": lambda: _with(scores={7: 10**400}),
    "prov tensor": lambda: _with(provenance={"a": torch.zeros(2)}),
    "prov nan": lambda: _with(provenance={"a": nan}),
    "prov list": lambda: _with(provenance=[1]),
    "prov none": lambda: _with(provenance=None),
    "prov key": lambda: _with(provenance={(1, 2): 3}),
    "prov cycle": lambda: _with(provenance=_cycle()),
    "photo none": lambda: _with(photo=3),
    "photo float": lambda: _with(photo=torch.zeros(3, 48, 64)),
    "photo shape": lambda: _with(photo=torch.zeros(48, 64, 3, dtype=torch.uint8)),
    "photo np": lambda: _with(photo=np.zeros((3, 48, 64), np.uint8)),
    "photo 1": lambda: _with(photo=torch.zeros(1, 48, 64, dtype=torch.uint8)),
    "photo empty": lambda: _with(photo=torch.zeros(3, 0, 0, dtype=torch.uint8)),
    "photo meta": lambda: _with(photo=torch.zeros(3, 48, 64, dtype=torch.uint8, device="meta")),
    "camera none": lambda: _with(camera=None),
    "camera tuple": lambda: _with(camera=(1, 2)),
    "grid none": lambda: _with(grid=None),
    "taxonomy none": lambda: _with(taxonomy=None),
    "depth map": lambda: _with(depth_map=torch.zeros(48, 64)),
    "views": lambda: _with(views=[3]),
    "known": lambda: _with(known=torch.zeros(3)),
    "confidence": lambda: _with(confidence=torch.zeros(3)),
    "confidence nan": lambda: _with(confidence=s.distance_vox * nan),
    "load none": lambda: load_scene(None),
    "load nowhere": lambda: load_scene("/nowhere"),
    "load nul": lambda: load_scene("a\0"),
    "load long": lambda: load_scene("x" * 5000),
    "load file": lambda: load_scene("/etc/passwd"),
    "load bytes": lambda: load_scene(b"x"),
    "save_scene": lambda: save_scene(None, _new()),
    "predict dev": lambda: predict(photo, device="cuda:99"),
    "predict dev2": lambda: predict(photo, device="nonsense"),
    "predict dev meta": lambda: predict(photo, device="meta"),
    "predict dev none": lambda: predict(photo, device=None),
    "predict ckpt": lambda: predict(photo, checkpoint=b"x"),
    "trust": lambda: Predictor(trust=5),
    "trust str": lambda: Predictor(trust="json", checkpoint="/nowhere"),
    "network": lambda: Predictor(network=5)(photo),
    "h str": lambda: p(photo, camera_height_m="1"),
    "h nan": lambda: p(photo, camera_height_m=nan),
    "h none list": lambda: p(photo, camera_height_m=[1]),
    "len": lambda: p(photo, known_length=5),
    "len2": lambda: p(photo, known_length=_length(((0.0, 0.0), (0.0, 0.0)), 1.0)),
    "len3": lambda: _length("ab", 1),
    "len4": lambda: _length(((0.0, 0.0), (1.0, 1.0)), nan),
    "len5": lambda: _length(((0.0, 0.0), (1.0, 1.0)), "1"),
    "opts": lambda: p(photo, depth=np.ones((48, 64)), depth_options=5),
    "opts2": lambda: _options(kind="x"),
    "opts3": lambda: _options(unit_m=nan),
    "opts4": lambda: _options(unit_m="x"),
    "batch": lambda: p([photo], batch_size=1.5),
    "batch bool": lambda: p([photo], batch_size="2"),
    "fov list": lambda: p(photo, fov_deg=[60]),
    "fov nan": lambda: p(photo, fov_deg=nan),
    "fov bool": lambda: p(photo, fov_deg=True),
    "both": lambda: p(photo, camera, 60),
    "cameras": lambda: p([photo], cameras=[3]),
    "cameras none": lambda: p([photo], cameras=3),
    "photo bool": lambda: p(True),
    "photo dict": lambda: p({"a": 1}),
    "photo gen": lambda: p(one for one in [photo]),
    "photo bytearray": lambda: p(bytearray(b"x")),
    "photo str nul": lambda: p("a\0"),
    "photo empty str": lambda: p(""),
    "photo np str": lambda: p(np.array("x")),
    "photo 0d": lambda: p(np.zeros(())),
    "photo empty arr": lambda: p(np.zeros((0, 0, 3), np.uint8)),
    "photo bool arr": lambda: p(np.zeros((48, 64, 3), bool)),
    "photo quant": lambda: p(torch.quantize_per_tensor(torch.zeros(3, 48, 64), 1.0, 0, torch.quint8)),
    "photo nested": lambda: p([[photo]]),
    "score nan": lambda: p(photo, min_score=nan),
    "score bool": lambda: p(photo, min_score=None),
    "score complex": lambda: p(photo, min_score=1j),
    "push": lambda: p.push_to_hub(3),
    "savep": lambda: p.save_pretrained(None),
    "from": lambda: Predictor.from_pretrained(""),
    "from2": lambda: Predictor.from_pretrained("a/b/c"),
    "from3": lambda: Predictor.from_pretrained("a\0b"),
    "from4": lambda: Predictor.from_pretrained(3),
    "from rev": lambda: Predictor.from_pretrained("tiny", revision=3, device="cpu"),
    "from cache": lambda: Predictor.from_pretrained("nobody/x", cache_dir=3),
    "fuse none": lambda: fuse(None, None),
    "fuse empty": lambda: fuse([], []),
    "fuse few": lambda: fuse([s], []),
    "fuse poses": lambda: fuse([s], [None]),
    "fuse str": lambda: fuse(["x"], [np.eye(4)]),
    "fuse nan": lambda: fuse([s], [np.eye(4) * nan]),
    "fuse 3x3": lambda: fuse([s], [np.eye(3)]),
    "fuse scene": lambda: fuse(s, np.eye(4)),
    "seg": lambda: s["nothing"],
    "seg2": lambda: s[None],
    "show": lambda: api.show_scene(None),
    "trimesh": lambda: api.scene_to_trimesh(None),
    "html": lambda: api.scene_html(None),
}


def main() -> int:
    wrong = []
    for name, call in CALLS.items():
        try:
            call()
            wrong.append(f"{name}: was taken")
        except InputError as error:
            if "\n" in str(error) or not str(error).endswith("."):
                wrong.append(f"{name}: no sentence: {error!r}")
        except Exception as error:
            wrong.append(f"{name}: {error!r}")
    print(*wrong, f"{len(wrong)} of {len(CALLS)} calls are wrong", sep="\n")
    return int(bool(wrong))


if __name__ == "__main__":
    raise SystemExit(main())
