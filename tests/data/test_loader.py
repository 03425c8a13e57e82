"""The order of samples is a law; bad files are named, counted and never hidden; ranks and workers change nothing else."""

import ast
import itertools
import logging
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from panoptic3d.data.augment import AugmentConfig
from panoptic3d.data.dataset import FailedSample, SampleDataset, open_dataset
from panoptic3d.data.front3d import Front3dFiles
from panoptic3d.data.loader import LoaderConfig, TrainingLoader, evaluation_samples
from panoptic3d.data.order import Position, evaluation_indices, training_batches
from panoptic3d.data.packed.pack import pack_root
from panoptic3d.data.packed.promise import broken_promises
from panoptic3d.data.roots import DataRoot, open_root
from panoptic3d.errors import BadFileError, InputError, Panoptic3dError
from panoptic3d.structures.sample import Sample

SIZES = {"num_samples": st.integers(1, 40), "batch_size": st.integers(1, 5), "world_size": st.integers(1, 6)}


@given(**SIZES, seed=st.integers(0, 9), epoch=st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_training_covers_everything_in_equal_steps(
    num_samples: int, batch_size: int, world_size: int, seed: int, epoch: int
) -> None:
    ranks = [training_batches(num_samples, batch_size, seed, epoch, rank, world_size) for rank in range(world_size)]
    assert len({len(batches) for batches in ranks}) == 1
    assert {len(batch) for batches in ranks for batch in batches} == {batch_size}
    places = [place for batches in ranks for batch in batches for place in batch]
    counts = Counter(place.index for place in places)
    assert set(counts) == set(range(num_samples))
    assert max(counts.values()) - min(counts.values()) <= 1
    assert len({place.position for place in places}) == len(places)


@given(num_samples=st.integers(0, 40), world_size=st.integers(1, 6))
def test_evaluation_sees_each_sample_once(num_samples: int, world_size: int) -> None:
    shares = [evaluation_indices(num_samples, rank, world_size) for rank in range(world_size)]
    assert sorted(itertools.chain(*shares)) == list(range(num_samples))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_order_depends_on_seed_and_epoch_only() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return [place.index for batch in training_batches(30, 4, seed, epoch, 0, 1) for place in batch]

    torch.manual_seed(1)
    first = order(0, 0)
    torch.manual_seed(2)
    assert order(0, 0) == first
    assert order(0, 1) != first != order(1, 0)


@pytest.fixture
def dataset(small_root: Path, small_sample: Sample) -> SampleDataset:
    assert small_sample.truth is not None
    root = DataRoot(small_root, "front3d", small_sample.camera, small_sample.truth.grid)
    return SampleDataset(root, root.split(None))


def _keys(loader: TrainingLoader, num: int, position: Position = Position()) -> list[tuple[str, ...]]:  # noqa: B008
    return [batch.keys for (batch,), _ in itertools.islice(loader.batches(position), num)]


def test_a_run_goes_on_where_it_stood(dataset: SampleDataset) -> None:
    config = LoaderConfig(batch_size=2)
    whole = _keys(TrainingLoader(dataset, config, seed=3), 8)
    positions = [position for _, position in itertools.islice(TrainingLoader(dataset, config, seed=3).batches(), 8)]
    assert positions[2] == Position(1, 0)
    for done in (1, 3, 4):
        assert _keys(TrainingLoader(dataset, config, seed=3), 8 - done, positions[done - 1]) == whole[done:]


def test_workers_change_nothing(dataset: SampleDataset) -> None:
    alone = TrainingLoader(dataset, LoaderConfig(batch_size=2), seed=0)
    helped = TrainingLoader(dataset, LoaderConfig(batch_size=2, num_workers=2), seed=0)
    for ((one,), _), ((other,), _) in itertools.islice(zip(alone.batches(), helped.batches(), strict=False), 4):
        assert one.keys == other.keys
        assert torch.equal(one.depth_m, other.depth_m)
        for mine, theirs in zip(one.truths, other.truths, strict=True):
            assert torch.equal(mine.dense_distance_vox(), theirs.dense_distance_vox())
            assert torch.equal(mine.frustum_mask, theirs.frustum_mask)


@pytest.mark.parametrize("num_workers", [1, 2])
def test_workers_augment_alike(dataset: SampleDataset, num_workers: int) -> None:
    config = LoaderConfig(batch_size=2, augment=AugmentConfig(crop=0.3))
    alone = TrainingLoader(dataset, config, seed=0)
    helped = TrainingLoader(dataset, config.model_copy(update={"num_workers": num_workers}), seed=0)
    for (one,), (other,) in zip(alone.epoch(Position()), helped.epoch(Position()), strict=True):
        assert torch.equal(one.image, other.image)
        assert one.cameras == other.cameras
        assert [truth.grid for truth in one.truths] == [truth.grid for truth in other.truths]


def test_every_epoch_augments_anew_and_a_resumed_one_alike(dataset: SampleDataset) -> None:
    def images(augment: AugmentConfig | None, position: Position) -> dict[str, torch.Tensor]:
        loader = TrainingLoader(dataset, LoaderConfig(augment=augment), seed=0)
        return {batch.keys[0]: batch.image for (batch,) in loader.epoch(position)}

    plain, first = images(None, Position()), images(AugmentConfig(), Position())
    second, resumed = images(AugmentConfig(), Position(1)), images(AugmentConfig(), Position(0, 3))
    for key in plain:
        assert torch.equal(plain[key][0], dataset[dataset.split.keys.index(key)].image)
        assert not torch.equal(plain[key], first[key])
        assert not torch.equal(first[key], second[key])
    assert len(resumed) == 2
    assert all(torch.equal(first[key], image) for key, image in resumed.items())


def _break(dataset: SampleDataset, *frames: str) -> None:
    for frame in frames:
        Front3dFiles(dataset.root.path, "room", frame).geometry.write_bytes(b"")


@pytest.mark.parametrize("num_workers", [0, 1])
def test_training_replaces_and_names_what_is_bad(
    dataset: SampleDataset, num_workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    _break(dataset, "0001", "0003")
    loader = TrainingLoader(dataset, LoaderConfig(batch_size=5, num_workers=num_workers), seed=0)
    with caplog.at_level(logging.WARNING):
        ((batch,),) = loader.epoch(Position())
    assert len(batch) == 5
    assert not set(batch.keys) & {"room/0001", "room/0003"}
    assert loader.bad_keys == {"room/0001", "room/0003"}
    assert all(replacement.failed.error.reason == "empty" for replacement in loader.replacements)
    assert "room/0001 cannot be read" in caplog.text
    again = TrainingLoader(dataset, LoaderConfig(batch_size=5), seed=0)
    assert next(iter(again.epoch(Position())))[0].keys == batch.keys


def test_training_gives_up_past_the_budget(dataset: SampleDataset) -> None:
    _break(dataset, "0000", "0001", "0002")
    loader = TrainingLoader(dataset, LoaderConfig(batch_size=5, max_bad_samples=2), seed=0)
    with pytest.raises(Panoptic3dError, match="3 samples cannot be read and max_bad_samples is 2"):
        list(loader.epoch(Position()))
    _break(dataset, "0003", "0004")
    with pytest.raises(Panoptic3dError, match="in a row cannot be read"):
        list(TrainingLoader(dataset, LoaderConfig(max_bad_samples=99), seed=0).epoch(Position()))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_evaluation_replaces_nothing(dataset: SampleDataset, num_workers: int) -> None:
    _break(dataset, "0002")
    items = list(evaluation_samples(dataset, on_bad="hand on", num_workers=num_workers))
    assert [item.key for item in items] == [f"room/{frame:04d}" for frame in range(5)]
    (failed,) = (item for item in items if isinstance(item, FailedSample))
    assert (failed.key, failed.error.reason) == ("room/0002", "empty")
    with pytest.raises(BadFileError, match="geometry_0002"):
        list(evaluation_samples(dataset, num_workers=num_workers))


def test_a_packed_root_gives_the_same_samples(dataset: SampleDataset, tmp_path: Path) -> None:
    (dataset.root.path / "few.txt").write_text("room/0003\nroom/0001\n")
    pack_root(dataset.root, tmp_path / "packed", dataset.split.keys)
    (tmp_path / "packed" / "few.txt").write_text("room/0003\nroom/0001\n")
    packed = open_dataset(tmp_path / "packed", "few")
    released = SampleDataset(dataset.root, dataset.root.split("few"))
    assert packed.split.sha256 == released.split.sha256
    assert [packed[0].key, packed[1].key] == ["room/0003", "room/0001"]
    for index in range(2):
        assert broken_promises(released[index], packed[index], 5000) == []
    flat = open_dataset(tmp_path / "packed", has_voxels=False, transform=lambda sample: sample)
    assert len(flat) == 5
    assert flat[0].truth is None


def test_roots_are_told_apart(small_root: Path, tmp_path: Path) -> None:
    assert open_root(small_root).layout == "front3d"
    with pytest.raises(InputError, match="none of the known layouts"):
        open_root(tmp_path / "front3d" / "room")
    with pytest.raises(InputError, match="is no folder"):
        open_root(tmp_path / "nowhere")
    with pytest.raises(InputError, match="<scene>/<frame>"):
        open_root(small_root).read("room")


_RANKS = """
import itertools, sys
from pathlib import Path
import torch
from panoptic3d import distributed
from panoptic3d.data.augment import AugmentConfig
from panoptic3d.data.dataset import open_dataset
from panoptic3d.data.loader import LoaderConfig, TrainingLoader, evaluation_samples
if __name__ == "__main__":
    torch.set_num_threads(1)
    distributed.start(torch.device("cpu"))
    dataset = open_dataset(sys.argv[1])
    loader = TrainingLoader(dataset, LoaderConfig(batch_size=1, num_workers=1), seed=0)
    trained = []
    for (batch,), _ in itertools.islice(loader.batches(), loader.num_steps):
        trained += batch.keys
        distributed.barrier()
    seen = [sample.key for sample in evaluation_samples(dataset, num_workers=1)]
    everything = distributed.gather_objects((trained, seen))
    if distributed.is_main():
        Path(sys.argv[2]).write_text(repr(everything))
    distributed.leave(0)
"""


@pytest.mark.slow
def test_two_ranks_share_five_samples(dataset: SampleDataset, tmp_path: Path) -> None:
    pack_root(dataset.root, tmp_path / "packed", dataset.split.keys)
    script, result = tmp_path / "ranks.py", tmp_path / "result.txt"
    script.write_text(_RANKS)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), "OMP_NUM_THREADS": "1"}
    environment |= {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    command = [sys.executable, str(script), str(tmp_path / "packed"), str(result)]
    ranks = [subprocess.Popen(command, env={**environment, "RANK": str(rank)}) for rank in range(2)]
    assert [process.wait(timeout=120) for process in ranks] == [0, 0]
    (trained_0, seen_0), (trained_1, seen_1) = ast.literal_eval(result.read_text())
    assert len(trained_0) == len(trained_1) == 3
    assert set(trained_0) | set(trained_1) == set(dataset.split.keys)
    assert [*seen_0, *seen_1] == [f"room/000{number}" for number in (0, 2, 4, 1, 3)]


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.real
def test_real_frames_packed_and_read_again(
    real_root: Path, tmp_path: Path, assert_equal_samples: Callable[[Sample, Sample], None]
) -> None:
    source = open_root(real_root / "front3d")
    key = "official-sample/0007"
    report = pack_root(source, tmp_path / "packed", [key]).to_json()
    assert report["packed_share"] < 0.1
    packed, released = open_root(tmp_path / "packed").read(key), source.read(key)
    assert broken_promises(released, packed, 5000) == []
    assert_equal_samples(packed.camera, released.camera)
