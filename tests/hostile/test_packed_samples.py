"""Packed samples that are wrong behind right checksums: `verify` names each one, and the others go on."""

import json
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard

from panoptic3d.cli.main import main
from panoptic3d.data.checks import Limits
from panoptic3d.data.packed.container import parse
from panoptic3d.data.packed.pack import manifest_of_layout
from panoptic3d.data.packed.sample import encode_sample
from panoptic3d.data.roots import DataRoot
from panoptic3d.data.verify import verify_sample
from panoptic3d.engine.evaluation.truth import read_true_frame
from panoptic3d.errors import BadFileError
from tests.data.conftest import GRID, make_sample
from tests.hostile.runner import a_few

Change = Callable[[dict[str, Any], dict[str, bytes]], None]
_ANYTHING = (None, -1, 0, 10**9, 1e300, "x", "", [], {}, [1], {"a": 1}, True, [[[[]]]], -0.5)
_FACTS = (
    *("scene", "frame", "camera", "taxonomy", "depth_steps_per_m", "world_from_camera", "grid", "voxels"),
    *("camera.fx_px", "camera.fy_px", "camera.cx_px", "camera.width", "camera.height"),
    *("grid.shape", "grid.voxel_size_m", "grid.camera_index"),
    *("voxels.box_start", "voxels.box_shape", "voxels.is_signed", "voxels.fill_distance_vox", "voxels.num_listed"),
    *("voxels.coarse", "voxels.labelled", "voxels.num_labelled", "voxels.weight_start", "voxels.weight_shape"),
    "voxels.near_weight",
)
# What is right as well: a pose is optional, coarse levels that are not stored follow from the distances, and a photo that was
# cut has its principal point anywhere.
_HARMLESS = {("world_from_camera", "None"), ("voxels.coarse", "{}")}
_HARMLESS |= {("camera.cx_px", str(v)) for v in (0, -1, -0.5)}


def crafted(data: bytes, change: Change) -> bytes:
    """The same sample with other facts or blocks, and every checksum right."""
    packed = parse(data, "memory")
    header = {"version": 1, "facts": json.loads(json.dumps(packed.facts)), "blocks": {}}
    blocks = {name: data[e["offset"] : e["offset"] + e["size"]] for name, e in packed._entries.items()}
    entries = {name: {k: e[k] for k in ("raw_size", "codec")} for name, e in packed._entries.items()}
    header["blocks"] = entries
    change(header, blocks)
    for name, stored in blocks.items():
        if isinstance(header["blocks"], dict) and isinstance(header["blocks"].get(name), dict):
            header["blocks"][name] |= {"size": len(stored), "crc32": zlib.crc32(stored)}
    text = json.dumps(header).encode()
    return struct.pack("<8sII", b"P3DPACK\n", len(text), zlib.crc32(text)) + text + b"".join(blocks.values())


def _fact(path: str, value: object) -> Change:
    def change(header: dict[str, Any], blocks: dict[str, bytes]) -> None:
        part = header["facts"]
        *way, last = path.split(".")
        for name in way:
            part = part[name]
        part[last] = value

    return change


def _block(name: str, raw: bytes | None = None, **entry: object) -> Change:
    def change(header: dict[str, Any], blocks: dict[str, bytes]) -> None:
        if raw is not None:
            blocks[name] = zstandard.compress(raw)
            header["blocks"][name] |= {"raw_size": len(raw), "codec": "zstd"}
        header["blocks"][name] |= entry

    return change


def _without(name: str) -> Change:
    def change(header: dict[str, Any], blocks: dict[str, bytes]) -> None:
        del header["blocks"][name], blocks[name]

    return change


def _pairs(*pairs: tuple[int, int]) -> bytes:
    return np.array(pairs, np.int32).tobytes()


_BOMB = bytes(300_000_000)
TRIES: dict[str, Change] = {
    f"{path} is {value!r}": _fact(path, value)
    for path in _FACTS
    for value in _ANYTHING
    if (path, str(value)) not in _HARMLESS
}
TRIES |= {f"without {name}": _without(name) for name in ("image", "depth", "labels_2d_palette", "labels_2d_numbers",
          "listed", "distance", "labels_3d_palette", "labels_3d_numbers")}  # fmt: skip
TRIES |= {f"empty {name}": _block(name, b"") for name in ("depth", "labels_2d_palette", "listed", "distance",
          "labels_3d_palette")}  # fmt: skip
TRIES |= {
    f"{key} is {value!r}": _block("depth", **{key: value}) for key in ("raw_size", "codec") for value in _ANYTHING
}
TRIES |= {
    "a bomb": _block("depth", _BOMB),
    "class 109": _block("labels_3d_palette", _pairs((109, 1), (3, 2), (2, 2))),
    "class 300": _block("labels_3d_palette", _pairs((300, 1), (3, 2), (2, 2))),
    "class -1": _block("labels_2d_palette", _pairs((-1, 1), (3, 2), (2, 2))),
    "instance -5": _block("labels_2d_palette", _pairs((1, -5), (3, 2), (2, 2))),
    "numbers beyond a palette": _block("labels_2d_palette", _pairs((1, 1))),
    "deep json": lambda header, blocks: header["facts"].update(scene=_deep(900)),
    "version 2": lambda header, blocks: header.update(version=2),
    "no facts": lambda header, blocks: header.update(facts=None),
    "no blocks": lambda header, blocks: header.update(blocks=[]),
    "a pose of 3x3": _fact("world_from_camera", [[1, 0, 0], [0, 1, 0], [0, 0, 1]]),
    "a pose that mirrors": _fact("world_from_camera", np.diag([1.0, 1, -1, 1]).tolist()),
    "a pose of nan": _fact("world_from_camera", [[float("nan")] * 4] * 4),
    "another taxonomy": _fact("taxonomy", "matterport3d-x"),
}


def _deep(levels: int) -> list:
    tree: list = []
    for _ in range(levels):
        tree = [tree]
    return tree


_FOUND_BY_VERIFY = [name for name in TRIES if name.startswith(("scene is", "frame is"))]
_FOUND_BY_VERIFY += [name for name in TRIES if name == "deep json"]


@pytest.mark.parametrize("name", a_few(TRIES))
def test_what_is_wrong_behind_right_checksums_is_named(name: str, packed_bytes: bytes, tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    path = tmp_path / "room" / "0000.p3d"
    path.write_bytes(crafted(packed_bytes, TRIES[name]))
    root = DataRoot(tmp_path, "packed", grid=GRID)
    if name in _FOUND_BY_VERIFY:
        assert root.read("room/0000").key != "room/0000"
    else:
        with pytest.raises(BadFileError, match=re.escape(str(path))):
            root.read("room/0000")
    findings = verify_sample(root, "room/0000", Limits(), are_shared_files_sound=True)
    assert [finding.path for finding in findings] == ["room/0000.p3d"]


def test_a_sample_without_volumes_is_told_among_others_and_cannot_be_scored(
    packed_bytes: bytes, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    flat = encode_sample(
        replace(make_sample(frame="0001"), truth=None), depth_steps_per_m=5000, has_own_mask=True, level=1
    )
    _root(tmp_path, flat, "0001", "front3d")
    words = ["data", "verify", str(tmp_path), "--jobs", "1"]
    assert main(words) == 0
    assert "no sample has volumes: they serve the 2D stage" in capsys.readouterr().err
    with pytest.raises(BadFileError, match=r"expected volumes to score against.*\(no_voxels\)"):
        read_true_frame(DataRoot(tmp_path, "packed", grid=GRID), "room/0001")
    (tmp_path / "room" / "0000.p3d").write_bytes(packed_bytes)
    assert main(words) == 1
    assert "room/0001.p3d: no_voxels" in capsys.readouterr().out


def test_classes_other_than_those_of_the_data_set_are_named(packed_bytes: bytes, tmp_path: Path) -> None:
    root = _root(tmp_path, packed_bytes, "0000", "matterport")
    with pytest.raises(BadFileError, match=r"classes of matterport3d.*those of front3d \(foreign_taxonomy\)"):
        root.read("room/0000")
    findings = verify_sample(root, "room/0000", Limits(), are_shared_files_sound=True)
    assert [finding.reason for finding in findings] == ["foreign_taxonomy"]


def _root(folder: Path, data: bytes, frame: str, layout: str) -> DataRoot:
    (folder / "room").mkdir()
    (folder / "room" / f"{frame}.p3d").write_bytes(data)
    (folder / "packed.json").write_text(json.dumps(manifest_of_layout(layout)))
    return DataRoot(folder, "packed", grid=GRID)


def test_the_untouched_one_is_read(packed_bytes: bytes, tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "0000.p3d").write_bytes(crafted(packed_bytes, lambda header, blocks: None))
    assert asdict(DataRoot(tmp_path, "packed", grid=GRID).read("room/0000").camera)["width"] == 64
