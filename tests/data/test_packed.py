"""Packing keeps its promises for any content, and a packed file that is not whole is never taken for one."""

import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from panoptic3d.data.packed.container import MAGIC, Block, dump, parse
from panoptic3d.data.packed.distances import (
    THRESHOLDS_VOX,
    TOLERANCE_NEAR_VOX,
    decode_distances,
    encode_distances,
    tolerance_far_vox,
)
from panoptic3d.data.packed.promise import broken_promises
from panoptic3d.data.packed.residuals import byte_planes, differences, fold, from_byte_planes, sums, unfold
from panoptic3d.data.packed.sample import decode_sample, encode_sample, read_packed_file
from panoptic3d.data.truth import truth_from_volumes
from panoptic3d.errors import BadFileError, InputError
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.sample import FAR_VOX, Sample

FEW = settings(max_examples=40, deadline=None)
_BORDERS = [0.0, *THRESHOLDS_VOX, FAR_VOX]
_AROUND_BORDERS = [np.nextafter(np.float32(b), np.float32(to)) for b in _BORDERS for to in (-np.inf, np.inf)]
DISTANCES = st.one_of(
    st.floats(0, 12, width=32),
    st.sampled_from(_BORDERS),
    st.sampled_from([float(value) for value in _AROUND_BORDERS if 0 <= value <= 12]),
    st.integers(0, 12 * 34).map(lambda n: float(np.float32(n / 34))),
    st.integers(0, 12 * 16).map(lambda n: n / 16),
)


@pytest.mark.parametrize("is_signed", [False, True])
@given(values=st.lists(st.tuples(DISTANCES, st.booleans()), min_size=1, max_size=200))
@FEW
def test_distances_keep_their_side_of_every_threshold(is_signed: bool, values: list[tuple[float, bool]]) -> None:
    before = np.array([-d if is_signed and flip else d for d, flip in values], np.float32)
    after = decode_distances(encode_distances(before, is_signed))
    assert after.dtype == np.float32
    for threshold in (t * sign for t in (0.0, *THRESHOLDS_VOX, FAR_VOX) for sign in (1, -1)):
        np.testing.assert_array_equal(np.sign(before - np.float32(threshold)), np.sign(after - np.float32(threshold)))
    error, is_near = np.abs(after.astype(np.float64) - before), np.abs(before) < 3
    assert (error[is_near] <= TOLERANCE_NEAR_VOX + 1e-6).all()
    assert (error[is_near] < 1 / 64).all()
    assert (error[~is_near] <= tolerance_far_vox(is_signed) + 1e-6).all()


@given(values=hnp.arrays(np.int32, hnp.array_shapes(min_dims=2, max_dims=3, min_side=0, max_side=6)))
@FEW
def test_residuals_undo_to_the_bit(values: np.ndarray) -> None:
    for dtype in (np.int16, np.int32):
        array = values.astype(dtype)
        folded = fold(differences(array))
        planes = byte_planes(folded)
        np.testing.assert_array_equal(sums(unfold(from_byte_planes(planes, folded.dtype.name, array.shape))), array)


SMALL = VoxelGrid(shape=(6, 4, 9), voxel_size_m=0.1, camera_index=(3.0, 2.0, -1.0))


@st.composite
def volumes(draw: st.DrawFn) -> dict[str, np.ndarray]:
    """Anything the nouns allow: full, empty or in between, labels anywhere, weights by the rule or not at all."""
    share = draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    signs = draw(st.sampled_from([(1,), (1, -1)]))
    borders = np.array([*_BORDERS, *map(float, _AROUND_BORDERS)]).clip(0, 12)
    distance = np.where(
        random.random(SMALL.shape) < 0.3, random.choice(borders, SMALL.shape), random.uniform(0, 12, SMALL.shape)
    )
    distance = (distance * random.choice(signs, SMALL.shape)).astype(np.float32)
    fill = np.float32(FAR_VOX if len(signs) == 1 else -FAR_VOX)
    distance[random.random(SMALL.shape) >= share] = fill
    is_labelled = np.abs(distance) < 1 if draw(st.booleans()) else random.random(SMALL.shape) < share
    num_ids = draw(st.sampled_from([2, 300]))
    ids = np.array([0, 1, 2**31 - 1, *random.integers(0, 2**31 - 1, num_ids)])
    near_weight = draw(st.sampled_from([5, 25, 7, None]))
    weight = np.where(np.abs(distance) < 3, near_weight or 1, 1) * random.integers(1, 3, SMALL.shape)
    if near_weight is None:
        weight = random.integers(0, 256, SMALL.shape)
    return {
        "distance_vox": distance,
        "semantic": np.where(is_labelled, random.integers(1, 13, SMALL.shape), 0),
        "instance": np.where(is_labelled, random.choice(ids, SMALL.shape), 0),
        "weight": weight,
        "frustum_mask": random.random(SMALL.shape) < 0.5,
        "fill": fill,
    }


@given(volumes=volumes(), steps=st.sampled_from([5000, 4000]), has_own_mask=st.booleans(), seed=st.integers(0, 99))
@FEW
def test_pack_then_read_is_the_identity_within_the_tolerance(
    small_template: Sample, volumes: dict[str, np.ndarray], steps: int, has_own_mask: bool, seed: int
) -> None:
    random = np.random.default_rng(seed)
    fill = float(volumes["fill"])
    arrays = {name: values for name, values in volumes.items() if name != "fill"}
    depth = random.choice([0.0, 1e-6, 0.4, 3.0, 65.0, 9999.0], (48, 64)) * random.uniform(0.5, 1.5, (48, 64))
    sample = replace(
        small_template,
        depth_m=torch.from_numpy(depth.astype(np.float32)),
        instance_2d=torch.from_numpy(random.integers(0, 2**31 - 1, (48, 64)).astype(np.int32)),
        room_2d=torch.from_numpy(random.integers(0, 20, (48, 64)).astype(np.int32)) if has_own_mask else None,
        world_from_camera=None if has_own_mask else small_template.world_from_camera,
        truth=truth_from_volumes(SMALL, **arrays, fill_distance_vox=fill),
    )
    data = encode_sample(sample, depth_steps_per_m=steps, has_own_mask=has_own_mask)
    truth = sample.truth
    assert truth is not None
    packed = decode_sample(data, lambda grid: truth.frustum_mask)
    assert broken_promises(sample, packed, steps) == []
    assert packed.truth is not None
    before, after = arrays["distance_vox"], packed.truth.dense_distance_vox().numpy()
    assert np.array_equal(before < 1, after < 1)
    assert np.array_equal(before <= 3, after <= 3)
    assert np.array_equal(packed.truth.dense_weight().numpy(), arrays["weight"])
    assert np.array_equal(packed.truth.dense_semantic().numpy(), arrays["semantic"])
    assert np.array_equal(packed.truth.dense_instance().numpy(), arrays["instance"])


@pytest.fixture(scope="module")
def small_template(make_sample: Callable[..., Sample]) -> Sample:
    return make_sample(seed=1)


def test_promises_notice_what_they_are_for(small_sample: Sample) -> None:
    truth = small_sample.truth
    assert truth is not None
    moved = truth.distance_vox.clone()
    moved[(truth.distance_vox < 1).nonzero()[0]] = 1.0
    nudged = truth.distance_vox + (truth.distance_vox > 4) * 0.1
    wrong = {
        "across 1.0": replace(small_sample, truth=replace(truth, distance_vox=moved)),
        "far distance moved": replace(small_sample, truth=replace(truth, distance_vox=nudged)),
        "semantic of the voxels": replace(small_sample, truth=replace(truth, semantic=truth.semantic + 1)),
        "depth moved": replace(small_sample, depth_m=small_sample.depth_m + 2e-4),
        "image changed": replace(small_sample, image=small_sample.image ^ 1),
    }
    assert broken_promises(small_sample, small_sample, 5000) == []
    for sentence, sample in wrong.items():
        assert any(sentence in broken for broken in broken_promises(small_sample, sample, 5000)), sentence


def test_voxels_stay_out_when_only_pixels_are_wanted(small_sample: Sample, tmp_path) -> None:

    path = tmp_path / "0000.p3d"
    path.write_bytes(encode_sample(small_sample, depth_steps_per_m=5000, has_own_mask=True))

    def no_mask(grid: VoxelGrid) -> torch.Tensor:
        raise AssertionError("nobody asked for voxels")

    assert read_packed_file(path, no_mask, has_voxels=False).truth is None
    assert read_packed_file(path, no_mask).truth is not None


def test_an_absurd_depth_is_refused(small_sample: Sample) -> None:
    sample = replace(small_sample, depth_m=small_sample.depth_m * 1e9)
    with pytest.raises(InputError, match="check its unit"):
        encode_sample(sample, depth_steps_per_m=5000, has_own_mask=True)


@pytest.fixture(scope="module")
def packed_bytes(small_template: Sample) -> bytes:
    return encode_sample(small_template, depth_steps_per_m=5000, has_own_mask=True)


def _reason(data: bytes) -> str:
    with pytest.raises(BadFileError) as caught:
        decode_sample(data, lambda grid: pytest.fail("the sample has its own mask"), "a.p3d")
    assert caught.value.path == "a.p3d"
    return caught.value.reason


def test_every_cut_is_noticed(packed_bytes: bytes) -> None:
    assert _reason(b"") == "empty"
    for length in (1, 7, 8, 15, 16, 100, len(packed_bytes) // 2, len(packed_bytes) - 1):
        assert _reason(packed_bytes[:length]) == "truncated", length


@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=60, deadline=None)
def test_every_flipped_bit_is_noticed(packed_bytes: bytes, position: float, bit: int) -> None:
    data = bytearray(packed_bytes)
    data[int(position * len(data))] ^= 1 << bit
    assert _reason(bytes(data)) in ("corrupt", "not_packed", "truncated", "wrong_version")


def test_other_files_and_versions_are_refused() -> None:
    assert _reason(b"hello, I am no sample") == "not_packed"
    whole = dump({}, {"a": Block(b"data")})
    assert parse(whole, "x").block("a") == b"data"
    assert whole.startswith(MAGIC)
    text = json.dumps({"version": 99, "facts": {}, "blocks": {}}).encode()
    assert _reason(struct.pack("<8sII", MAGIC, len(text), zlib.crc32(text)) + text) == "wrong_version"
    assert _reason(whole) == "corrupt"  # sound as a file, and no sample


def test_the_kind_of_a_depth_is_kept_and_metric_files_keep_their_bytes(small_sample: Sample) -> None:
    def packed(sample: Sample) -> bytes:
        return encode_sample(sample, depth_steps_per_m=5000, has_own_mask=True)

    def mask(_: object) -> None:
        raise AssertionError("it has a mask of its own")

    metric, affine = packed(small_sample), packed(replace(small_sample, depth_kind="affine"))
    assert b"depth_kind" not in metric
    assert decode_sample(metric, mask).depth_kind == "metric"
    assert decode_sample(affine, mask).depth_kind == "affine"
