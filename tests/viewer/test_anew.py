"""The call that a scene's page shows for a known length is one that can be made."""

import argparse
import shlex
from typing import Any

import pytest

from panoptic3d.cli.predict import add_arguments, known_length_of
from panoptic3d.viewer.anew import LENGTH, call_with_length

CAMERA = {"fx_px": 100.0, "fy_px": 101.0, "cx_px": 63.5, "cy_px": 47.5, "width": 128, "height": 96}
PHOTO = {"file": "-it's a room.jpg", "size": [1280, 960]}


def facts_of(**provenance: Any) -> dict[str, Any]:
    return {"camera": CAMERA, "checkpoint": {"name": "tiny"}, "provenance": {"photo": PHOTO, **provenance}}


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, {"fov_deg": None, "intrinsics": None, "min_score": 0.0, "maps": False}),
        ({"fov_deg": 70.0, "maps": True, "simplify_vox": 2.0}, {"fov_deg": 70.0, "maps": True, "simplify": 2.0}),
        (
            {"intrinsics": [900, 901, 639, 480.5], "min_score": 0.25},
            {"intrinsics": "900,901,639,480.5", "min_score": 0.25},
        ),
        ({"camera": CAMERA}, {"intrinsics": "1000,1010,639.5,479.5"}),
        ({"known_length": {"metres": 2.0}}, {"camera_height_m": None}),
    ],
)
def test_predict_reads_the_call(options: dict[str, Any], wanted: dict[str, Any]) -> None:
    answer = call_with_length(facts_of(options=options))
    words = shlex.split(answer["call"].replace(LENGTH, "1.5,2,30,40,1.25"))
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    read = parser.parse_args(words[2:])
    assert words[:2] == ["panoptic3d", "predict"]
    assert read.images == ["./-it's a room.jpg"]
    assert read.checkpoint == "tiny"
    assert {name: getattr(read, name) for name in wanted} == wanted
    length = known_length_of(read)
    assert length is not None
    assert length.metres == 1.25
    assert length.ends_px == ((1.5, 2.0), (30.0, 40.0))
    assert answer["photo_size"] == [1280, 960]


def test_a_photo_from_memory_has_a_call_in_python() -> None:
    answer = call_with_length(facts_of(photo={"file": None, "size": [64, 48]}))
    assert answer["call"].startswith("Predictor('tiny')(photo, known_length=KnownLength.parse(")


@pytest.mark.parametrize(
    ("facts", "note"),
    [
        ({}, "not predicted from one photo"),
        (facts_of(photo=None), "not predicted from one photo"),
        (facts_of(depth={"kind": "metric", "source": "d.exr"}), "comes from d.exr"),
    ],
)
def test_where_a_length_would_change_nothing_the_page_says_so(facts: dict[str, Any], note: str) -> None:
    answer = call_with_length(facts)
    assert answer["call"] is None
    assert note in answer["note"]


def test_a_depth_without_scale_is_to_be_given_again() -> None:
    assert "depth" in call_with_length(facts_of(depth={"kind": "affine", "source": "d.exr"}))["note"]
