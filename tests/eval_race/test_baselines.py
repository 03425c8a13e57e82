"""Trivial baselines: what they say follows from what they are given, and from nothing else."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import distance_transform_edt

from eval.race.mean_room import MeanRoom, prq_of_thresholds, with_distances
from eval.race.visible_surface import visible_surface
from panoptic3d.data.frames import sample_from_frame
from panoptic3d.data.predictions import PredictedVoxels
from panoptic3d.engine.evaluation.score import labelled_of
from panoptic3d.errors import InputError
from panoptic3d.geometry.point_field import distance_to_points
from panoptic3d.metrics.hidden_surface import CORRECT, FOUND, HIDDEN, PREDICTED, SEEN, TRUE, View, surface_counts
from panoptic3d.metrics.labelled import LabelledVoxels
from panoptic3d.metrics.panoptic_quality import Truth
from panoptic3d.metrics.protocol import load_protocol
from panoptic3d.rooms.analytic.boxes import random_room, render
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.sample import Sample
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.structures.taxonomy import FLOOR, FRONT3D_TAXONOMY, WALL

_CAMERA = Camera(110.0, 110.0, 63.5, 47.5, width=128, height=96)
_GRID = VoxelGrid(shape=(48, 48, 48), voxel_size_m=0.12, camera_index=(23.5, 23.5, 1.0))


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return [sample_from_frame(render(random_room(seed), _CAMERA, _GRID), f"room-{seed}", "0000") for seed in range(3)]


def test_the_mean_of_one_room_is_its_stuff(samples: list[Sample]) -> None:
    truth = samples[0].truth
    assert truth is not None
    voxels = MeanRoom.of(samples[:1]).voxels(0.5)
    expected = LabelledVoxels.from_truth(truth)
    expected = expected.where(np.isin(expected.semantic, FRONT3D_TAXONOMY.stuff_ids))
    assert (voxels.linear_index == expected.linear_index).all()
    assert (voxels.semantic == expected.semantic).all()
    assert not voxels.instance.any()


def test_a_mean_room_is_what_most_rooms_have_in_any_order(samples: list[Sample]) -> None:
    room, turned = MeanRoom.of(samples), MeanRoom.of(samples[::-1])
    for threshold in (0.2, 0.4, 0.7):
        one, other = room.voxels(threshold), turned.voxels(threshold)
        assert (one.linear_index == other.linear_index).all()
        assert (one.semantic == other.semantic).all()
        assert len(one) == int((room.counts.sum(axis=0) > threshold * 3).sum()) > 0
    truths = [Truth.from_sample(samples[0])]
    first, again = (prq_of_thresholds(each, truths, load_protocol("strict")) for each in (room, turned))
    assert first == again
    assert max(first.values()) > 0


def test_a_mean_of_different_grids_is_refused(samples: list[Sample]) -> None:
    assert samples[1].truth is not None
    other = replace(samples[1], truth=replace(samples[1].truth, grid=replace(_GRID, voxel_size_m=0.13)))
    with pytest.raises(InputError, match="a grid of its own"):
        MeanRoom.of([samples[0], other])
    with pytest.raises(InputError, match="at least one sample"):
        MeanRoom.of([])


@given(arrays(bool, (9, 8, 10)))
@settings(max_examples=8)
def test_distances_are_those_of_the_whole_field(surface: np.ndarray) -> None:
    index = np.flatnonzero(surface).astype(np.int32)
    zero = np.zeros(len(index), np.int32)
    labels = np.full(len(index), WALL, np.uint8)
    made = with_distances(LabelledVoxels(surface.shape, index, zero.astype(np.float32), labels, zero))
    field = distance_transform_edt(~surface) if surface.any() else np.full(surface.shape, 9.0)
    assert made.linear_index.tolist() == np.flatnonzero(np.asarray(field) < 3).tolist()
    np.testing.assert_allclose(made.distance_vox, np.asarray(field).reshape(-1)[made.linear_index], rtol=1e-6)
    assert ((made.semantic == WALL) == surface.reshape(-1)[made.linear_index]).all()


@given(st.integers(0, 2**31))
@settings(max_examples=8)
def test_the_nearest_point_of_any_points(seed: int) -> None:
    points = np.random.default_rng(seed).uniform(-0.4, 7.4, (6, 3))
    cells, distance, place = distance_to_points(points, (8, 8, 8), 3.0)
    every = np.stack(np.unravel_index(np.arange(512), (8, 8, 8)), axis=1)
    gaps = np.linalg.norm(every[:, None] - points, axis=2)
    assert cells.tolist() == np.flatnonzero(gaps.min(axis=1) < 3).tolist()
    np.testing.assert_allclose(distance, gaps.min(axis=1)[cells])
    np.testing.assert_allclose(gaps[cells, place], distance)


def _visible(sample: Sample) -> tuple[PanopticScene, np.ndarray]:
    """With perfect depth, classes and scene; and how well it finds seen and hidden surfaces."""
    assert sample.truth is not None
    perfect = PanopticScene.from_truth(sample.truth, sample.camera)
    one_hot = F.one_hot(sample.semantic_2d.long(), len(FRONT3D_TAXONOMY)).movedim(-1, 0).float()
    scene = visible_surface(sample.depth_m, one_hot, perfect)
    predicted = labelled_of(PredictedVoxels.from_scene(scene))
    truth = LabelledVoxels.from_truth(sample.truth)
    view = View(sample.truth.grid, sample.camera, sample.depth_m.numpy())
    return scene, surface_counts(predicted, truth, view, sample.truth.frustum_mask.numpy())


def test_perfect_depth_finds_all_that_is_seen_and_little_that_is_hidden(samples: list[Sample]) -> None:
    total = sum(_visible(sample)[1] for sample in samples)
    assert isinstance(total, np.ndarray)
    assert total[SEEN, CORRECT] == total[SEEN, PREDICTED] > 0
    assert total[SEEN, FOUND] > 0.97 * total[SEEN, TRUE]  # steep floors have voxels between two rows of pixels
    assert total[HIDDEN, FOUND] < 0.5 * total[HIDDEN, TRUE]
    assert total[HIDDEN, PREDICTED] == 0


def test_a_visible_surface_is_a_scene(samples: list[Sample]) -> None:
    scene, _ = _visible(samples[0])
    is_labelled = scene.semantic > 0
    assert bool((is_labelled == (scene.distance_vox < 1)).all())
    assert set(scene.semantic[(scene.instance == 0) & is_labelled].unique().tolist()) <= {WALL, FLOOR}
    assert samples[0].truth is not None
    assert set(scene.instance.unique().tolist()) <= set(samples[0].truth.instance.unique().tolist()) | {0}


def test_no_depth_is_an_empty_scene(samples: list[Sample]) -> None:
    scene, _ = _visible(replace(samples[0], depth_m=torch.zeros_like(samples[0].depth_m)))
    assert bool((scene.distance_vox == 3).all())
    assert not scene.semantic.any()
