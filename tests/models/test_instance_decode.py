import dataclasses
import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from panoptic3d.models.instance_decode.calibration import calibrated_iso
from panoptic3d.models.instance_decode.config import InstanceDecodeConfig
from panoptic3d.models.instance_decode.decoder import InstanceDecode, parted
from panoptic3d.models.instance_decode.labels import panoptic_labels
from panoptic3d.models.instance_decode.pieces import pieces_of
from panoptic3d.structures.camera import FRONT3D_CAMERA
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.instances import Instances2D
from panoptic3d.structures.prediction import Levels, Prediction, SurfaceLevel
from panoptic3d.structures.sparse_voxels import SparseVoxels
from panoptic3d.structures.taxonomy import CEILING, CHAIR, FLOOR, FRONT3D_TAXONOMY, MATTERPORT_TAXONOMY, TABLE, WALL

FAITHFUL = InstanceDecodeConfig(channels="detections", fill="first", clean="nothing", score="detection")
KEEPING = InstanceDecodeConfig(clean="nothing", score="detection")


def brute_force(shape, coords, distance, instance, semantic, num_kept):
    """The dense scan of section 5.1, word by word."""
    volumes = [torch.full(shape, fill) for fill in (3.0, 0, 0)]
    for volume, values in zip(volumes, (distance, instance, semantic), strict=True):
        volume[tuple(coords.t())] = values.to(volume.dtype)
    ids = torch.zeros(shape, dtype=torch.int64)
    mapping = {1: WALL, 2: FLOOR}
    there = [i for i in range(1, num_kept + 1) if (volumes[1] == i).any()]
    number = 3
    for instance_id in there:
        where = volumes[1] == instance_id
        classes = [c for c in volumes[2][where].tolist() if c not in (0, WALL, FLOOR)]
        if classes:
            ids[where] = number
            mapping[number] = min(set(classes), key=lambda c: (-classes.count(c), c))
            number += 1
    ids[volumes[2] == WALL], ids[volumes[2] == FLOOR] = 1, 2
    before = ids.clone()
    for cell in ((volumes[0].abs() <= 1.5) & (before == 0)).nonzero().tolist():
        for offset in itertools.product(range(-3, 3), repeat=3):
            at = [c + o for c, o in zip(cell, offset, strict=True)]
            if all(0 <= a < n for a, n in zip(at, shape, strict=True)) and before[tuple(at)] > 0:
                ids[tuple(cell)] = before[tuple(at)]
                break
    return ids[tuple(coords.t())], mapping


@given(st.integers(0, 10**6), st.integers(0, 60))
def test_labels_twin(seed: int, count: int) -> None:
    random = torch.Generator().manual_seed(seed)
    shape = (5, 6, 7)
    cells = torch.randperm(5 * 6 * 7, generator=random)[:count].sort().values
    coords = torch.stack((cells // 42, cells // 7 % 6, cells % 7), dim=1)
    distance = torch.rand(count, generator=random) * 3
    instance = torch.randint(0, 6, (count,), generator=random)
    semantic = torch.tensor([0, CHAIR, TABLE, WALL, FLOOR, CEILING])[torch.randint(0, 6, (count,), generator=random)]
    labelled = panoptic_labels(coords, distance, instance, semantic, 4, FRONT3D_TAXONOMY, FAITHFUL)
    ids, mapping = brute_force(shape, coords, distance, instance, semantic, 4)
    assert torch.equal(labelled.panoptic_ids, ids)
    assert labelled.class_of_id == mapping


def test_the_nearest_label_instead_of_the_first() -> None:
    coords = torch.tensor([[2, 2, 0], [2, 2, 3], [2, 2, 4]])
    semantic = torch.tensor([WALL, CHAIR, FLOOR])
    arguments = (coords, torch.ones(3), torch.zeros(3, dtype=torch.int64), semantic, 1, FRONT3D_TAXONOMY)
    assert panoptic_labels(*arguments, FAITHFUL).panoptic_ids.tolist() == [1, 1, 2]
    assert panoptic_labels(*arguments, KEEPING).panoptic_ids.tolist() == [1, 2, 2]


def test_stuff_of_the_taxonomy_knows_the_ceiling() -> None:
    coords = torch.tensor([[0, 0, 0]])
    arguments = (coords, torch.ones(1), torch.zeros(1, dtype=torch.int64), torch.tensor([CEILING]), 1)
    config = InstanceDecodeConfig(stuff="taxonomy", clean="nothing")
    labelled = panoptic_labels(*arguments, MATTERPORT_TAXONOMY, config)
    assert labelled.panoptic_ids.tolist() == [3]
    assert labelled.class_of_id == {1: WALL, 2: FLOOR, 3: CEILING}


GRID = VoxelGrid((8, 8, 8), 0.03, (4.0, 4.0, -30.0))


def prediction_of(
    coords: torch.Tensor, channels: torch.Tensor, semantic: torch.Tensor, found: Instances2D
) -> Prediction:
    voxels = SparseVoxels(torch.nn.functional.pad(coords, (1, 0)).int(), 1, GRID.shape)
    kept = torch.ones(len(coords), dtype=torch.bool)
    level = SurfaceLevel(
        candidates=voxels,
        occupancy_logit=torch.ones(len(coords)),
        voxels=voxels,
        is_kept=kept,
        semantic_logits=torch.nn.functional.one_hot(semantic, 13).float(),
        instance_logits=torch.nn.functional.one_hot(channels, 16).float(),
        distance_vox=torch.full((len(coords),), 0.5),
    )
    return Prediction((FRONT3D_CAMERA,), (GRID,), torch.ones(1, 2, 2), (found,), Levels((), level))


def detections(boxes: torch.Tensor) -> Instances2D:
    count = len(boxes)
    return Instances2D(
        camera=FRONT3D_CAMERA,
        boxes_px=boxes,
        class_ids=torch.full((count,), CHAIR),
        scores=torch.linspace(0.6, 0.9, count) if count else torch.zeros(0),
        masks=torch.zeros(count, 240, 320),
        is_confident=torch.ones(count, dtype=torch.bool),
    )


def test_a_scene_with_two_things_and_a_wall() -> None:
    coords = torch.tensor([[0, 0, 0], [0, 0, 1], [5, 5, 5], [7, 7, 7]])
    found = detections(torch.zeros(2, 4))
    prediction = prediction_of(coords, torch.tensor([1, 1, 2, 0]), torch.tensor([CHAIR, CHAIR, TABLE, WALL]), found)
    (scene,) = InstanceDecode(KEEPING)(prediction)
    assert [(s.name, s.num_voxels) for s in scene.segments] == [("chair-1", 2), ("table-2", 1), ("wall", 1)]
    assert scene.scores == pytest.approx({1: 0.6, 2: 0.9})
    assert scene.distance_vox[0, 0, 0] == 0.5
    assert scene.distance_vox[1, 1, 1] == 3


def test_a_distance_below_the_surface_is_on_it() -> None:
    """The network's answer is unbounded; the field is not."""
    prediction = prediction_of(
        torch.tensor([[1, 1, 1]]), torch.tensor([0]), torch.tensor([WALL]), detections(torch.zeros(0, 4))
    )
    level = dataclasses.replace(prediction.levels.finest, distance_vox=torch.tensor([-7.0]))
    (scene,) = InstanceDecode(FAITHFUL)(dataclasses.replace(prediction, levels=Levels((), level)))
    assert scene.distance_vox[1, 1, 1] == 0


def test_nothing_at_all_is_a_scene() -> None:
    coords, none = torch.zeros(0, 3, dtype=torch.int64), torch.zeros(0, dtype=torch.int64)
    (scene,) = InstanceDecode(InstanceDecodeConfig())(prediction_of(coords, none, none, detections(torch.zeros(0, 4))))
    assert scene.segments == ()
    assert bool((scene.distance_vox == 3).all())


def test_detections_that_share_a_channel_are_parted_by_their_boxes() -> None:
    boxes = torch.zeros(17, 4)
    boxes[0], boxes[15] = torch.tensor([0.0, 0, 150, 239]), torch.tensor([165.0, 0, 319, 239])
    coords = torch.tensor([[0, 4, 4], [7, 4, 4], [7, 4, 5]])
    numbers = parted(torch.tensor([1, 1, 0]), coords, GRID, detections(boxes), 16)
    assert numbers.tolist() == [1, 16, 0]
    few = parted(torch.tensor([1, 1, 0]), coords, GRID, detections(boxes[:15]), 16)
    assert few.tolist() == [1, 1, 0]


def _block(low: tuple[int, int, int], size: tuple[int, int, int]) -> torch.Tensor:
    return torch.cartesian_prod(*(torch.arange(a, a + n) for a, n in zip(low, size, strict=True)))


CLEANING = InstanceDecodeConfig(min_piece_vox=8, min_piece_share=0.1, min_island_vox=12)


def test_pieces_are_those_of_a_dense_labelling() -> None:
    random = torch.Generator().manual_seed(0)
    volume = torch.randint(0, 3, (7, 6, 5), generator=random)
    is_there = torch.rand(volume.shape, generator=random) < 0.8
    coords = is_there.nonzero()
    labels = volume[is_there]
    piece = pieces_of(coords, labels)
    for label in range(3):
        wanted, count = ndimage.label(((volume == label) & is_there).numpy())
        ours = piece[labels == label]
        theirs = torch.from_numpy(wanted)[is_there][labels == label]
        assert len(torch.stack((ours, theirs), dim=1).unique(dim=0)) == count == len(ours.unique())


def test_a_fragment_goes_to_what_is_around_it_and_a_speck_in_the_air_vanishes() -> None:
    """A wall with four voxels of the chair in it, the chair itself, and six voxels of a table that hangs in the air."""
    wall, fragment, chair = _block((0, 0, 0), (1, 8, 8)), _block((0, 3, 3), (1, 2, 2)), _block((3, 0, 0), (4, 4, 4))
    speck = _block((6, 7, 5), (1, 1, 3))
    in_fragment = (wall[:, None] == fragment[None]).all(dim=2).any(dim=1)
    coords = torch.cat((wall, chair, speck))
    channels = torch.cat((in_fragment.long(), torch.ones(len(chair)), torch.full((len(speck),), 2.0))).long()
    semantic = torch.where(channels == 1, CHAIR, torch.where(channels == 2, TABLE, WALL))
    prediction = prediction_of(coords, channels, semantic, detections(torch.zeros(2, 4)))
    (kept,) = InstanceDecode(KEEPING)(prediction)
    assert [(s.name, s.num_voxels) for s in kept.segments] == [("chair-1", 68), ("table-2", 3), ("wall", 60)]
    (cleaned,) = InstanceDecode(CLEANING)(prediction)
    assert [(s.name, s.num_voxels) for s in cleaned.segments] == [("chair-1", 64), ("wall", 64)]
    assert bool((cleaned.distance_vox[6, 7, 5:8] == 3).all())


def test_scores_agree_with_the_voxels() -> None:
    wall, chair = _block((0, 0, 0), (1, 8, 8)), _block((3, 0, 0), (4, 4, 4))
    channels = torch.cat((torch.zeros(len(wall)), torch.ones(len(chair)))).long()
    semantic = torch.where(channels == 1, CHAIR, WALL)
    prediction = prediction_of(torch.cat((wall, chair)), channels, semantic, detections(torch.zeros(1, 4)))
    (scene,) = InstanceDecode(CLEANING)(prediction)
    of_channel, of_class = math.e / (math.e + 15), math.e / (math.e + 12)  # softmax of one-hot logits
    assert [s.score for s in scene.segments] == pytest.approx([0.6 * of_channel, of_class])


def test_the_calibrated_iso_finds_a_bias_and_takes_it_away() -> None:
    true = torch.linspace(0, 3, 3001)
    assert calibrated_iso(true + 0.25, true) == pytest.approx(1.25, abs=2e-3)
    prediction = prediction_of(
        _block((0, 0, 0), (1, 8, 8)), torch.zeros(64).long(), torch.full((64,), WALL), detections(torch.zeros(0, 4))
    )
    (scene,) = InstanceDecode(InstanceDecodeConfig(iso_vox=1.25))(prediction)
    assert float(scene.distance_vox[0, 0, 0]) == 0.25
