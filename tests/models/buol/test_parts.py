"""The fillings by themselves: grouping, stuff depth, projection, filling, each on what fits on paper."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from panoptic3d.geometry.label_fill import filled_labels
from panoptic3d.models.buol.config import FAITHFUL
from panoptic3d.models.centre_grouping.config import CentreGroupingConfig
from panoptic3d.models.centre_grouping.decoder import CentreGrouping, pixels_of
from panoptic3d.models.centre_grouping.fields import fields_of
from panoptic3d.models.centre_grouping.labels import Centres, filled, panoptic_ids, without_small
from panoptic3d.models.centre_offsets.config import CentreOffsetsConfig
from panoptic3d.models.centre_offsets.grouping import grouped, peaks, running_numbers
from panoptic3d.models.occupancy_lift.config import OccupancyLiftConfig
from panoptic3d.models.occupancy_lift.projection import voxel_pixels
from panoptic3d.models.occupancy_lift.stuff_depth import eroded, farthest_stuff_m
from panoptic3d.sparse import voxel_set
from panoptic3d.structures.camera import FRONT3D_CAMERA
from panoptic3d.structures.grid import FRONT3D_GRID
from panoptic3d.structures.instances import Instances2D
from panoptic3d.structures.prediction import CentreLevel, Levels, Prediction, SurfaceLevel
from panoptic3d.structures.taxonomy import CHAIR, FRONT3D_TAXONOMY, SOFA, WALL

HALF = FRONT3D_CAMERA.resized(160, 120)
RELEASED_LIFT = OccupancyLiftConfig.model_validate(FAITHFUL["lift"])
RELEASED_DECODE = CentreGroupingConfig.model_validate(FAITHFUL["decode"])


def test_a_plateau_is_several_peaks() -> None:
    heat = torch.zeros(12, 12)
    heat[4, 4:6] = 0.5
    heat[4, 9] = 0.4  # in the window of (4, 5) no more: four columns on
    heat[10, 1] = 0.1  # not above the threshold
    at, height = peaks(heat, CentreOffsetsConfig())
    assert at.tolist() == [[4, 4], [4, 5], [4, 9]]
    assert height.tolist() == pytest.approx([0.5, 0.5, 0.4])


def test_too_many_peaks_leave_those_above_the_last_allowed() -> None:
    heat = torch.zeros(40, 40)
    heat[::8, ::8] = torch.arange(25).view(5, 5) / 50 + 0.2
    assert len(peaks(heat, CentreOffsetsConfig(max_centres=10))[0]) == 9
    assert len(peaks(heat, CentreOffsetsConfig(max_centres=26))[0]) == 25


def test_pixels_go_to_the_centre_at_which_they_point() -> None:
    classes = torch.full((8, 20), WALL)
    classes[2:6, 2:18] = CHAIR
    classes[2:6, 14:18] = SOFA
    heat = torch.zeros(8, 20)
    heat[3, 4], heat[3, 15], heat[7, 0] = 0.9, 0.8, 0.3  # nobody points at the last one
    offsets = torch.zeros(2, 8, 20)
    offsets[1, :, 8:10] = 8.0  # the middle points to the right
    is_thing = classes != WALL
    of = grouped(classes, is_thing, heat, offsets, CentreOffsetsConfig())
    assert of.centres.tolist() == [[3, 4], [3, 15]]
    assert of.class_ids.tolist() == [CHAIR, CHAIR]  # 6 columns of chair against 4 of sofa
    assert of.instance[3, 7] == 1
    assert of.instance[3, 8] == 2
    assert of.instance[0, 0] == 0
    assert running_numbers(torch.tensor([3, 5, 3, 3, 5])).tolist() == [1, 1, 2, 3, 2]


def test_stuff_depth_goes_out_to_the_borders() -> None:
    """One stuff pixel at (1, 2) with depth 4: every row and column ends with it."""
    depth = torch.zeros(1, 4, 5)
    depth[0, 1, 2] = 4.0
    assert (farthest_stuff_m(depth, depth > 0) == 4).all()
    assert (farthest_stuff_m(depth, torch.zeros(1, 4, 5, dtype=torch.bool)) == 0).all()


def test_stuff_depth_is_the_smaller_of_row_and_column() -> None:
    depth = torch.ones(1, 4, 5)
    depth[0, 2] = 3.0
    depth[0, :, 1] = 2.0
    limit = farthest_stuff_m(depth, torch.ones(1, 4, 5, dtype=torch.bool))[0]
    assert limit[2, 4] == 3.0
    assert limit[0, 4] == 2.0  # the row's largest is 2, the column's 3
    assert limit[2, 1] == 2.0


def test_erosion_looks_at_the_window_inside_of_the_image() -> None:
    mask = torch.ones(1, 9, 9, dtype=torch.bool)
    assert eroded(mask, 5).all()
    mask[0, 4, 4] = False
    assert (~eroded(mask, 5)).sum() == 25


@pytest.mark.parametrize(
    ("released", "lifting", "grouping"),
    [
        ((127, 128, 100), (80.83812, 59.71214, 2.335), (81.7140, 59.7108)),
        ((60, 80, 200), (132.29068, 96.99345, 5.335), None),
        ((200, 180, 150), (1.18689, 3.26411, 3.835), None),
    ],
)
def test_golden_pixels(released: tuple[int, int, int], lifting: tuple, grouping: tuple | None) -> None:
    """Section 2.2. The released order runs against x and y."""
    i, j, k = 255 - released[0], 255 - released[1], released[2]
    table = voxel_pixels(HALF, FRONT3D_GRID, RELEASED_LIFT)
    assert (int(table.column[i, k]), int(table.row[j, k])) == (int(lifting[0]), int(lifting[1]))
    assert float(table.depth_m[k]) == pytest.approx(lifting[2], abs=1e-5)
    if grouping is not None:
        pixel = pixels_of(torch.tensor([[i, j, k]]), HALF, FRONT3D_GRID, RELEASED_DECODE)[0]
        assert pixel.tolist() == pytest.approx(grouping, abs=2e-4)


def test_as_many_voxels_as_the_reference_keeps() -> None:
    """Section 2.3, with the shipped mask and without."""
    assert int(voxel_pixels(HALF, FRONT3D_GRID, RELEASED_LIFT).is_kept.sum()) == 2_623_311
    without = RELEASED_LIFT.model_copy(update={"frustum": "projected"})
    assert int(voxel_pixels(HALF, FRONT3D_GRID, without).is_kept.sum()) == 2_679_316


def test_voxels_of_a_class_part_by_the_centres_of_that_class() -> None:
    centres = Centres(
        torch.tensor([[10.0, 5.0], [30.0, 5.0], [12.0, 5.0]]), torch.tensor([CHAIR, CHAIR, SOFA]), torch.ones(3)
    )
    pointed_at = torch.tensor([[12.0, 5.0], [29.0, 9.0], [90.0, 5.0], [20.0, 5.0], [0.0, 0.0], [0.0, 0.0]])
    semantic = torch.tensor([CHAIR, CHAIR, SOFA, CHAIR, WALL, 1])
    ids = panoptic_ids(pointed_at, semantic, centres, FRONT3D_TAXONOMY)
    assert ids.tolist() == [3001, 3002, 4001, 3001, 10_000, 0]  # a tie goes to the first; nobody saw a cabinet


def test_small_segments_vanish() -> None:
    ids = torch.cat((torch.full((99,), 3001), torch.full((100,), 3002), torch.full((99,), 10_000)))
    assert without_small(ids, FRONT3D_TAXONOMY, CentreGroupingConfig()).unique().tolist() == [0, 3002]


def test_the_fill_of_the_released_order() -> None:
    """Section 13.8: one label at (10, 10, 10) reaches 8..13 on each axis of the released order; which neighbour wins."""
    grid = torch.stack(torch.meshgrid(*[torch.arange(20)] * 3, indexing="ij"), dim=-1).view(-1, 3)

    def fill(labels: dict[tuple[int, int, int], int]) -> dict[tuple[int, int, int], int]:
        ids = torch.zeros(20, 20, 20, dtype=torch.int64)
        for (i, j, k), label in labels.items():
            ids[19 - i, 19 - j, k] = label
        done = filled(grid, ids.flatten(), RELEASED_DECODE).view(20, 20, 20).flip(0, 1)
        return {(i, j, k): int(done[i, j, k]) for i, j, k in done.nonzero().tolist()}

    assert set(fill({(10, 10, 10): 7})) == {(i, j, k) for i in range(8, 14) for j in range(8, 14) for k in range(8, 14)}
    around = {(11, 10, 10): 1, (9, 10, 10): 2, (10, 9, 10): 3, (10, 10, 11): 4}
    assert fill(around)[10, 10, 10] == 4
    del around[10, 10, 11]
    assert fill(around)[10, 10, 10] == 3
    del around[10, 9, 10]
    assert fill(around)[10, 10, 10] == 2


def test_nothing_spreads_among_filled_voxels() -> None:
    coords = torch.tensor([[0, 0, k] for k in range(8)])
    ids = torch.tensor([5, 0, 0, 0, 0, 0, 0, 0])
    assert filled_labels(coords, ids, ids == 0, ((0, 0, -1),)).tolist() == [5, 5, 0, 0, 0, 0, 0, 0]


def test_centres_of_masks_stand_in_for_centres() -> None:
    camera = FRONT3D_CAMERA.resized(8, 6)
    found = Instances2D.empty(camera)
    assert Centres.of(found).pixels.shape == (0, 2)
    masks = torch.zeros(1, 6, 8)
    masks[0, 2:4, 1:6] = 1
    one = Instances2D(camera, torch.zeros(1, 4), torch.tensor([CHAIR]), torch.ones(1), masks, torch.ones(1).bool())
    assert Centres.of(one).pixels.tolist() == [[3.0, 2.5]]


@pytest.mark.real
def test_the_mask_of_the_releases(real_root: Path) -> None:
    shipped = torch.from_numpy(np.load(real_root / "front3d" / "frustum_mask.npz")["mask"])
    assert torch.equal(voxel_pixels(HALF, FRONT3D_GRID, RELEASED_LIFT).frustum, shipped.flip(0, 1))


def test_voxels_of_any_net_group_by_the_centres_of_any_masks() -> None:
    """Two chairs of 8x8x8 voxels, 2 m away on both sides of the axis, of a net at 3 cm that knows no offsets; masks that a
    detector made.
    """
    grid, camera = FRONT3D_GRID, HALF
    k = int(2.0 / grid.voxel_size_m + grid.camera_index[2])
    block = torch.stack(torch.meshgrid(*[torch.arange(8)] * 3, indexing="ij"), dim=-1).view(-1, 3)
    left, right = (block + torch.tensor([i, 124, k]) for i in (100, 148))
    voxels = voxel_set(F.pad(torch.cat((left, right)), (1, 0)).int(), 1, grid.shape)
    masks = torch.zeros(2, 120, 160)
    masks[0, 40:80, 100:140] = 1  # the right one first
    masks[1, 40:80, 20:60] = 1
    found = Instances2D(
        camera, torch.zeros(2, 4), torch.tensor([CHAIR, CHAIR]), torch.ones(2), masks, torch.ones(2).bool()
    )
    logits = torch.zeros(len(voxels), 13)
    logits[:, CHAIR] = 5.0
    level = SurfaceLevel(
        candidates=voxels,
        occupancy_logit=torch.ones(len(voxels)),
        voxels=voxels,
        is_kept=torch.ones(len(voxels), dtype=torch.bool),
        semantic_logits=logits,
        instance_logits=torch.zeros(len(voxels), 1),
        distance_vox=torch.full((len(voxels),), 0.5),
    )
    prediction = Prediction((camera,), (grid,), torch.ones(1, 120, 160), (found,), Levels((), level))
    (scene,) = CentreGrouping(CentreGroupingConfig())(prediction)
    assert [segment.name for segment in scene.segments] == ["chair-1", "chair-2"]
    assert scene.instance[148:156, 124:132, k : k + 8].unique().tolist() == [1]
    assert scene.instance[100:108, 124:132, k : k + 8].unique().tolist() == [2]


def test_heads_at_three_centimetres_say_surfaces_where_something_is_near() -> None:
    """Distances are learnt where a surface is near; elsewhere they are anything, and occupancy says so."""
    voxels = voxel_set(torch.tensor([[0, 5, 5, 5], [0, 5, 5, 6], [0, 5, 5, 7]], dtype=torch.int32), 1, (16, 16, 16))
    level = CentreLevel(
        candidates=voxels,
        occupancy_logit=torch.tensor([2.0, -2.0, 2.0]),
        voxels=voxels,
        is_kept=torch.ones(3, dtype=torch.bool),
        semantic_logits=torch.arange(39.0).view(3, 13),
        distance_vox=torch.tensor([0.5, 0.5, 2.5]),
        centre_offsets=torch.zeros(3, 3),
    )
    fields = fields_of(level, 0, CentreGroupingConfig())
    assert fields.coords.tolist() == [[5, 5, 5], [5, 5, 7]]
    assert fields.surface.tolist() == [0]
    assert fields.semantic_logits.tolist() == [level.semantic_logits[0].tolist()]
