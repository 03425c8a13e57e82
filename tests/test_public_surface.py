"""What other people's scripts rely on: names, verbs, flags. A change here needs a decision in docs/adr."""

import argparse

import pytest

import panoptic3d
from panoptic3d.cli.main import VERBS, build_parser
from panoptic3d.structures.grid import FRONT3D_GRID
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY

_FLAGS = {
    "predict": {
        *(
            "--out",
            "--checkpoint",
            "--fov-deg",
            "--intrinsics",
            "--device",
            "--batch-size",
            "--overwrite",
            "--cameras",
            "--min-score",
        ),
        *("--depth", "--depth-kind"),
    },
    "fuse": {"--poses", "--out", "--data", "--split", "--views"},
    "view": set(),
    "app": {"--host", "--port", "--no-open"},
    "evaluate": {"--data", "--split", "--checkpoint", "--predictions", "--protocol", "--json", "--device"},
    "train": {"--resume"},
    "data generate": {"--out", "--num"},
    "data verify": {"--split", "--json", "--jobs"},
    "data pack": {"--out", "--jobs", "--split"},
    "data inspect": {"--sample", "--out"},
    "data assets": {"--out", "--allow-licence"},
    "import-checkpoint": {"--family", "--out"},
    "bench": set(),
    "doctor": {"--json"},
}


def _parser_of(verb: str) -> argparse.ArgumentParser:
    parser = build_parser(verb.split())
    for word in verb.split():
        choices = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction)).choices
        parser = choices[word]
    return parser


def test_the_verbs() -> None:
    assert set(VERBS) == set(_FLAGS)


@pytest.mark.parametrize("verb", _FLAGS)
def test_every_promised_flag_is_there(verb: str) -> None:
    offered = {flag for action in _parser_of(verb)._actions for flag in action.option_strings}
    assert _FLAGS[verb] <= offered


def test_the_names_of_the_package() -> None:
    nouns = {"Camera", "PanopticScene", "Prediction", "Sample", "VoxelGrid"}
    assert set(panoptic3d.__all__) >= {*nouns, "Predictor", "predict", "save_mesh", "save_scene", "__version__"}


def test_the_grid_and_the_classes() -> None:
    assert FRONT3D_GRID.shape == (256, 256, 256)
    assert FRONT3D_GRID.voxel_size_m == 0.03
    assert FRONT3D_GRID.camera_index == (127.09, 127.74, 21.68)
    assert [c.name for c in FRONT3D_TAXONOMY.classes] == [
        "void", "cabinet", "bed", "chair", "sofa", "table", "desk", "dresser", "lamp", "other", "wall", "floor", "ceiling",
    ]  # fmt: skip
