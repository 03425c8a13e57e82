import pytest
import torch

from panoptic3d.errors import InputError
from panoptic3d.structures.batch import collate, collate_by_size
from panoptic3d.structures.camera import FRONT3D_CAMERA, Camera
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.moving import moved
from panoptic3d.structures.sample import Sample, VoxelTruth
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.structures.sparse_voxels import SparseVoxels
from panoptic3d.structures.taxonomy import (
    BED,
    CEILING,
    CHAIR,
    FRONT3D_TAXONOMY,
    MATTERPORT_TAXONOMY,
    WALL,
    SemanticClass,
    Taxonomy,
)

GRID = VoxelGrid((3, 4, 5), 0.1, (1.0, 1.5, -2.0))


def truth() -> VoxelTruth:
    coords = torch.tensor([[0, 0, 1], [0, 3, 4], [1, 2, 3], [2, 3, 4]])
    return VoxelTruth(
        grid=GRID,
        linear_index=((coords[:, 0] * 4 + coords[:, 1]) * 5 + coords[:, 2]).int(),
        distance_vox=torch.tensor([0.25, 0.5, 2.5, 0.75]),
        semantic=torch.tensor([CHAIR, CHAIR, 0, WALL], dtype=torch.uint8),
        instance=torch.tensor([7, 7, 0, 41], dtype=torch.int32),  # as on Matterport3D, where walls carry ids
        weight=torch.full((1, 1, 2), 5, dtype=torch.uint8),
        weight_start=(2, 3, 3),
        frustum_mask=torch.ones(GRID.shape, dtype=torch.bool),
        coarse_occupancy={2: torch.zeros(1, 2, 2, dtype=torch.bool)},
    )


def sample(width: int = 4, with_truth: bool = True) -> Sample:
    return Sample(
        scene="home",
        frame="0001",
        image=torch.zeros(3, 3, width, dtype=torch.uint8),
        camera=Camera.from_fov(60.0, width, 3),
        depth_m=torch.ones(3, width),
        semantic_2d=torch.zeros(3, width, dtype=torch.uint8),
        instance_2d=torch.zeros(3, width, dtype=torch.int32),
        truth=truth() if with_truth else None,
    )


def test_coords_and_dense_volumes_agree() -> None:
    item = truth()
    assert item.coords.tolist() == [[0, 0, 1], [0, 3, 4], [1, 2, 3], [2, 3, 4]]
    distance = item.dense_distance_vox()
    assert distance.shape == GRID.shape
    assert distance[1, 2, 3] == 2.5
    assert (distance == 12).sum() == 60 - 4
    assert item.dense_semantic()[2, 3, 4] == WALL
    assert item.dense_instance()[0, 3, 4] == 7
    weight = item.dense_weight()
    assert weight[2, 3].tolist() == [1, 1, 1, 5, 5]
    assert int(weight.sum()) == 60 + 8


def test_a_scene_of_truth_names_its_segments() -> None:
    scene = PanopticScene.from_truth(truth(), FRONT3D_CAMERA)
    assert float(scene.distance_vox.max()) == 3.0
    assert [(s.name, s.class_id, s.instance_id, s.is_thing, s.num_voxels) for s in scene.segments] == [
        ("chair-7", CHAIR, 7, True, 2),
        ("wall", WALL, 0, False, 1),
    ]


def test_the_class_of_a_thing_is_one_of_the_taxonomy() -> None:
    semantic, instance = torch.zeros(GRID.shape, dtype=torch.uint8), torch.zeros(GRID.shape, dtype=torch.int32)
    semantic[0, 0, :2], semantic[0, 0, 2] = 200, CHAIR  # what a foreign file may hold
    instance[0, 0, :3] = 9
    scene = PanopticScene(torch.zeros(GRID.shape), semantic, instance, FRONT3D_CAMERA, GRID)
    assert [(s.name, s.class_id, s.num_voxels) for s in scene.segments if s.is_thing] == [("chair-9", CHAIR, 3)]


def test_an_empty_scene_is_valid() -> None:
    scene = PanopticScene(
        distance_vox=torch.full(GRID.shape, 3.0),
        semantic=torch.zeros(GRID.shape, dtype=torch.uint8),
        instance=torch.zeros(GRID.shape, dtype=torch.int32),
        camera=FRONT3D_CAMERA,
        grid=GRID,
    )
    assert scene.segments == ()


def test_batches_stack_and_move_everything() -> None:
    batch = collate([sample(), sample()])
    assert batch.image.shape == (2, 3, 3, 4)
    assert len(batch) == len(batch.truths) == 2
    doubled = moved(batch, "meta")
    assert doubled.truths[1].coarse_occupancy[2].device.type == "meta"
    assert doubled.cameras == batch.cameras
    with pytest.raises(InputError, match="one size"):
        collate([sample(), sample(width=5)])
    assert [part.image.shape for part in collate_by_size([sample(), sample(width=5), sample()])] == [
        (2, 3, 3, 4),
        (1, 3, 3, 5),
    ]
    with pytest.raises(InputError, match="with and without voxels"):
        collate([sample(), sample(with_truth=False)])
    assert collate([sample(with_truth=False)]).truths == ()


def test_sparse_voxels_count_empty_members() -> None:
    voxels = SparseVoxels(torch.tensor([[0, 1, 1, 1], [2, 0, 0, 0]], dtype=torch.int32), batch_size=4, shape=(4, 4, 4))
    assert voxels.counts == [1, 0, 1, 0]
    assert len(voxels) == 2


def test_taxonomies_share_ids_and_differ_in_the_ceiling() -> None:
    assert FRONT3D_TAXONOMY.stuff_ids == (10, 11)
    assert MATTERPORT_TAXONOMY.stuff_ids == (10, 11, CEILING)
    assert FRONT3D_TAXONOMY.thing_ids == MATTERPORT_TAXONOMY.thing_ids == tuple(range(1, 10))
    assert FRONT3D_TAXONOMY.id_of("bed") == BED
    assert FRONT3D_TAXONOMY.is_thing(BED)
    assert not FRONT3D_TAXONOMY.is_thing(WALL)
    with pytest.raises(AssertionError):
        Taxonomy("gap", (SemanticClass(1, "one", "thing", (0, 0, 0)),))


@pytest.mark.parametrize("bad", [{"fx_px": 0.0}, {"fy_px": -1.0}, {"cx_px": float("nan")}, {"width": 0}])
def test_a_camera_refuses_nonsense(bad: dict) -> None:
    good = {"fx_px": 1.0, "fy_px": 1.0, "cx_px": 0.0, "cy_px": 0.0, "width": 2, "height": 2}
    with pytest.raises(InputError, match="a camera needs"):
        Camera(**{**good, **bad})


def test_field_of_view_round_trip() -> None:
    camera = Camera.from_fov(60.0, 320, 240)
    assert camera.horizontal_fov_deg == pytest.approx(60.0)
    assert camera.fx_px == pytest.approx(FRONT3D_CAMERA.fx_px, abs=1e-4)
    with pytest.raises(InputError, match="between 0 and 180"):
        Camera.from_fov(180.0, 320, 240)
