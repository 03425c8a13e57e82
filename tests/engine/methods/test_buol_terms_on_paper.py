"""The five voxel terms of BUOL's objective against numbers worked out by hand, and where voxels should point."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from panoptic3d.data.centre_targets import SIGMA_PX
from panoptic3d.data.truth import truth_from_volumes
from panoptic3d.engine.methods.buol.config import BuolObjectiveConfig
from panoptic3d.engine.methods.buol.voxels import CentresInSpace, centres_in_space, voxel_terms
from panoptic3d.sparse.voxels import voxel_set
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.prediction import CentreLevel
from panoptic3d.structures.sample import FAR_VOX, VoxelTruth
from panoptic3d.structures.taxonomy import CHAIR, WALL

CHAIR_AT, WALL_AT, FAR_AT, UNSAID = (1, 1, 1), (1, 1, 2), (5, 5, 5), (6, 6, 6)
CELLS = torch.tensor([(0, *at) for at in (CHAIR_AT, WALL_AT, FAR_AT, UNSAID)])


def truth() -> VoxelTruth:
    """A voxel of a chair, a voxel from its surface and of weight 2; one of a wall, half a voxel off; nothing elsewhere."""
    shape = (8, 8, 8)
    volumes: dict[str, Any] = {"distance": np.full(shape, FAR_VOX, np.float32), "weight": np.ones(shape, np.float32)}
    volumes |= {"semantic": np.zeros(shape, np.int64), "instance": np.zeros(shape, np.int64)}
    for at, values in ((CHAIR_AT, (1.0, 2.0, CHAIR, 7)), (WALL_AT, (0.5, 1.0, WALL, 3))):
        for name, value in zip(("distance", "weight", "semantic", "instance"), values, strict=True):
            volumes[name][at] = value
    grid = VoxelGrid(shape=shape, voxel_size_m=0.1, camera_index=(3.5, 3.5, 0.0))
    columns = (volumes[name] for name in ("distance", "semantic", "instance", "weight"))
    return truth_from_volumes(grid, *columns, np.ones(shape, bool))


def level() -> CentreLevel:
    voxels = voxel_set(CELLS[:3].int(), 1, (8, 8, 8))
    classes = torch.zeros(3, 13)
    classes[1, WALL] = math.log(12)
    return CentreLevel(
        candidates=voxels,
        occupancy_logit=torch.tensor([0.0, math.log(3), 0.0]),
        voxels=voxels,
        is_kept=torch.ones(3, dtype=torch.bool),
        semantic_logits=classes,
        distance_vox=torch.tensor([1.5, 0.25, 9.0]),
        centre_offsets=torch.zeros(3, 3),
        centre_heat=torch.tensor([0.5, 0.0, 0.0]),
    )


@pytest.fixture(scope="module")
def terms() -> dict[str, float]:
    """All weights 1. The chair's voxel is its centre and should point one row up, two columns right, one voxel nearer."""
    ones = {name: 1.0 for name in BuolObjectiveConfig.model_fields if name.endswith("_weight")}
    band = truth()
    wanted = CentresInSpace(
        centres_vox=torch.tensor([CHAIR_AT]),
        band=torch.arange(len(band.linear_index))[band.distance_vox < 3],
        offsets=torch.tensor([[-1.0, 2.0, -1.0], [0.0, 0.0, 0.0]]),
    )
    said = voxel_terms(level(), CELLS, band, wanted, "centres", BuolObjectiveConfig(**ones))
    return {name: float(term) for name, term in said.items()}


def test_occupancy_is_a_mean_over_all_that_are_asked(terms: dict[str, float]) -> None:
    """Undecided at the chair and where nothing is, 3/4 at the wall; a voxel that the level leaves out has the logit -1."""
    parts = (math.log(2), math.log(4 / 3), math.log(2), math.log(1 + math.exp(-1)))
    assert terms["occupancy_3d"] == pytest.approx(sum(parts) / 4, rel=1e-6)


def test_classes_near_a_surface_are_weighed_and_divided_by_their_number(terms: dict[str, float]) -> None:
    assert terms["semantic_3d"] == pytest.approx((2 * math.log(13) + math.log(2)) / 2, rel=1e-6)


def test_distances_near_a_surface_likewise(terms: dict[str, float]) -> None:
    assert terms["geometry"] == pytest.approx((2 * 0.5 + 0.25) / 2, rel=1e-6)


def test_offsets_count_where_they_point_anywhere(terms: dict[str, float]) -> None:
    assert terms["offset_3d"] == pytest.approx(1 + 2 + 1, rel=1e-6)


def test_heat_is_one_at_the_centre_and_falls_off_in_space(terms: dict[str, float]) -> None:
    wrong = [0.5, *(math.exp(-squared / (2 * SIGMA_PX**2)) for squared in (1, 48, 75))]
    assert terms["centre_3d"] == pytest.approx(sum(error**2 for error in wrong) / 4, rel=1e-5)


def test_nothing_near_and_nothing_asked() -> None:
    nothing = CentresInSpace(torch.zeros(0, 3).long(), torch.zeros(0).long(), torch.zeros(0, 3))
    for cells in (CELLS[2:], CELLS[:0]):
        said = voxel_terms(level(), cells, truth(), nothing, "centres", BuolObjectiveConfig())
        assert all(bool(term.isfinite()) for term in said.values())
        assert [float(said[name]) for name in ("semantic_3d", "geometry", "offset_3d")] == [0, 0, 0]


def test_voxels_point_from_their_pixel_to_the_centre_of_their_thing_and_to_its_middle_along_z() -> None:
    """The chair's only voxel lies at its own middle: towards the centre at (row 4, column 9) of the image from (5, 7)."""
    band = truth()
    pixels = torch.zeros(len(band.linear_index), 2)
    (chair,) = (band.instance == 7).nonzero()[:, 0].tolist()
    pixels[chair] = torch.tensor([7.0, 5.0])  # (u, v)
    found = centres_in_space(band, pixels, (7, 99), torch.tensor([[4.0, 9.0], [0.0, 0.0]]))
    assert found.centres_vox.tolist() == [list(CHAIR_AT)]  # 99 has no voxel
    rows = found.band.tolist()
    assert found.offsets[rows.index(chair)].tolist() == [-1.0, 2.0, 0.0]
    assert float(found.offsets.abs().sum()) == 3.0
