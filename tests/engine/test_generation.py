"""Generated data sets: the same bytes whoever makes them, whole after any interruption, read as any other data."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from panoptic3d.cli.main import main
from panoptic3d.data.frames import sample_from_frame
from panoptic3d.data.registration import measure_registration
from panoptic3d.data.roots import open_root
from panoptic3d.engine.generation.check import compare
from panoptic3d.engine.generation.plan import GenerationConfig, GenerationPlan, Recipe, RoomJob, Shard, load_recipe
from panoptic3d.engine.generation.room import digest, grid_of, make_room_samples
from panoptic3d.engine.generation.run import read_records, run_plan
from panoptic3d.engine.generation.sample import sample_of_view
from panoptic3d.errors import InputError
from panoptic3d.rooms.analytic.boxes import random_room
from panoptic3d.rooms.analytic.from_boxes import scene_from_boxes
from panoptic3d.rooms.meshes.soup import soup_of
from panoptic3d.rooms.render.raycast import Caster
from panoptic3d.rooms.truth.pixels import frustum_truth, pixel_truth
from panoptic3d.structures.camera import FRONT3D_CAMERA, Camera
from panoptic3d.structures.grid import FRONT3D_GRID
from tests.rooms.dense_frame import dense_frame

BOXES = GenerationConfig(rooms="boxes", views=1)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two samples. Read only."""
    out = tmp_path_factory.mktemp("generated") / "root"
    run_plan(GenerationPlan(BOXES, 7, 2), out)
    return out


def test_what_was_made_is_sound_data(made: Path) -> None:
    root = open_root(made)
    assert root.keys() == ["room-00000007/0000", "room-00000008/0000"]
    assert list(root.split("train").keys) == root.keys()
    sample = root.read(root.keys()[0])
    assert sample.truth is not None
    measured = measure_registration(sample, sample.truth)
    assert measured.on_surface > 0.97  # what rounds to a voxel outside of the frustum is lost, more of what is near
    assert measured.class_agreement > 0.99
    assert measured.instance_agreement > 0.98
    manifest = json.loads((made / "manifest.json").read_text())
    assert manifest["samples"].keys() == set(root.keys())
    assert "room-00000007" not in (made / "statistics.html").read_text().lower()
    assert json.loads((made / "statistics.json").read_text())["num_samples"] == 2


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "again"
    run_plan(GenerationPlan(BOXES, 7, 1), out)
    journal = next((out / "records").iterdir())
    journal.write_text(journal.read_text() + '{"key": "room-00000008/00')  # killed here
    done = run_plan(GenerationPlan(BOXES, 7, 2), out)
    assert done == {"made": 1, "there": 1, "of_plan": 2}
    for path in made.rglob("*"):
        if path.is_file() and path.parent.name != "records":
            assert path.read_bytes() == (out / path.relative_to(made)).read_bytes(), path


@pytest.mark.slow
def test_a_lost_file_is_made_again(made: Path, tmp_path: Path) -> None:
    import shutil

    out = tmp_path / "lossy"
    shutil.copytree(made, out)
    (out / "room-00000007" / "0000.p3d").unlink()
    assert run_plan(GenerationPlan(BOXES, 7, 2), out)["made"] == 1
    assert open_root(out).keys() == open_root(made).keys()


def test_another_plan_in_the_same_folder_is_refused(made: Path, tmp_path: Path) -> None:
    for plan in (GenerationPlan(BOXES, 8, 2), GenerationPlan(GenerationConfig(rooms="boxes", views=2), 7, 2)):
        with pytest.raises(InputError, match="was begun with another"):
            run_plan(plan, made)
    with pytest.raises(InputError, match="holds 2 samples"):
        run_plan(GenerationPlan(BOXES, 7, 1), made)
    (tmp_path / "diary.txt").write_text("dear diary")
    with pytest.raises(InputError, match="not empty"):
        run_plan(GenerationPlan(BOXES, 7, 1), tmp_path)


@pytest.mark.parametrize("count", [1, 3, 7, 50])
def test_shards_share_the_rooms_without_overlap(count: int) -> None:
    plan = GenerationPlan(GenerationConfig(views=3), 100, 121)
    rooms = [room for index in range(count) for room in plan.rooms(Shard(index, count))]
    assert rooms == list(plan.rooms(Shard(0, 1)))
    assert sum(room.num_views for room in rooms) == 121
    lists = plan.splits()
    assert sum(len(keys) for keys in lists.values()) == 121
    assert len({key.split("/")[0] for keys in lists.values() for key in keys}) == len(rooms)
    scenes = [{key.split("/")[0] for key in keys} for keys in lists.values()]
    assert not set.intersection(*scenes)


def test_a_longer_plan_begins_with_the_shorter_one() -> None:
    short, long = (GenerationPlan(GenerationConfig(views=3), 5, num) for num in (120, 400))
    for name, keys in short.splits().items():
        assert long.splits()[name][: len(keys)] == keys


@pytest.mark.parametrize("text", ["1", "2/2", "-1/2", "a/b", "1/0", ""])
def test_a_wrong_shard_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="shard"):
        Shard.parse(text)


@pytest.mark.slow
def test_samples_of_views_equal_those_of_dense_frames() -> None:
    scene = scene_from_boxes(random_room(2))
    soup, view = soup_of(scene), scene.views[0]
    pixels = pixel_truth(soup, Caster(soup), view)
    truth = frustum_truth(soup, view, FRONT3D_GRID, pixels)
    image = np.zeros((240, 320, 3), np.uint8)
    direct = sample_of_view("a/b", view, FRONT3D_GRID, pixels, truth, image)
    wanted = sample_from_frame(dense_frame(view, FRONT3D_GRID, pixels, truth, image), "a", "b")
    for name in ("linear_index", "distance_vox", "semantic", "instance", "weight", "frustum_mask"):
        assert torch.equal(getattr(direct.truth, name), getattr(wanted.truth, name)), name
    assert direct.truth is not None
    assert wanted.truth is not None
    assert direct.truth.weight_start == wanted.truth.weight_start
    for stride, cells in wanted.truth.coarse_occupancy.items():
        assert torch.equal(direct.truth.coarse_occupancy[stride], cells)


def test_the_released_camera_has_the_released_grid() -> None:
    assert grid_of(FRONT3D_CAMERA) == FRONT3D_GRID
    assert grid_of(Camera.from_fov(75.0, 320, 240)).shape == FRONT3D_GRID.shape


def test_the_check_tells_rounding_from_another_scene(made: Path) -> None:
    records = read_records(made)
    first, second = sorted(records)
    published = {key: {"digest": digest(record), **record["facts"]} for key, record in records.items()}
    assert compare(records, published).identical == (first, second)
    published[first] = {**published[first], "digest": "another"}
    published[second] = {**published[second], "digest": "another", "brightness": 0.0}
    report = compare(records, published)
    assert (report.alike, report.different) == ((first,), (second,))
    assert not report.is_same
    assert compare(records, {}).unpublished == (first, second)


def test_the_recipe_of_the_benchmark_keeps_its_splits_apart() -> None:
    recipe = load_recipe("rooms-v1")
    ranges = []
    for name in ("train", "val", "test"):
        plan = recipe.plan(name, None)
        assert plan.num == {"train": 100_000, "val": 1000, "test": 1000}[name]
        ranges.append((plan.first_seed, plan.first_seed + plan.num_rooms))
        assert list(recipe.plan(name, 9).splits()) == [name]
    ranges.sort()
    assert all(before[1] <= after[0] for before, after in pairwise(ranges))
    with pytest.raises(InputError, match="no split"):
        recipe.plan("tests", None)
    with pytest.raises(InputError, match="has 1,000 samples"):
        recipe.plan("test", 1001)
    with pytest.raises(ValidationError):
        Recipe.model_validate({"name": "x"})


def test_the_committed_sample_is_sound_and_begins_the_benchmark(repository: Path) -> None:
    root = open_root(repository / "data" / "rooms-sample")
    keys = root.keys()
    assert len(keys) == 20
    assert list(root.split("test").keys) == keys
    sample = root.read(keys[0])
    assert sample.truth is not None
    assert measure_registration(sample, sample.truth).on_surface > 0.97
    assert int(keys[0][5:13]) == load_recipe("rooms-v1").splits["test"].first_seed
    assert all(path.stat().st_size < 1_000_000 for path in root.path.rglob("*") if path.is_file())


def test_the_command(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["data", "generate", "--rooms", "boxes", "--views", "1", "--seed", "7", "--num", "2"]
    assert main([*words, "--out", str(made), "--workers", "1"]) == 0
    assert "0 samples made, 2 were there" in capsys.readouterr().out
    assert main(words) == 2
    assert "--out" in capsys.readouterr().err
    assert main([*words, "--out", str(made), "--check"]) == 2
    assert main(["data", "generate", "--out", str(made), "--recipe", "rooms-v1"]) == 2
    capsys.readouterr()
    recipe = ["data", "generate", "--out", str(made), "--recipe", "rooms-v1", "--split", "test"]
    for option in (["--views", "1"], ["--seed", "7"], ["--extra-truth"]):  # a recipe would pass them over
        assert main([*recipe, *option]) == 2
        assert f"what {option[0]} would" in capsys.readouterr().err


@pytest.mark.slow
def test_two_workers_and_two_shards_write_the_bytes_of_one(made: Path, tmp_path: Path) -> None:
    plan = GenerationPlan(BOXES, 7, 2)
    run_plan(plan, tmp_path / "two", num_workers=2)
    for index in range(2):
        run_plan(plan, tmp_path / "shards", Shard(index, 2))
    for path in made.rglob("*"):
        if path.is_file() and path.parent.name != "records":
            for other in ("two", "shards"):
                assert path.read_bytes() == (tmp_path / other / path.relative_to(made)).read_bytes(), path


@pytest.mark.slow
def test_the_released_layout_holds_the_same_sample(made: Path, tmp_path: Path) -> None:
    config = BOXES.model_copy(update={"format": "front3d", "extra_truth": True})
    make_room_samples(tmp_path, RoomJob(7, 1, "train"), config)
    (tmp_path / "frustum_mask.npz").write_bytes((made / "frustum_mask.npz").read_bytes())
    large, small = (open_root(root).read("room-00000007/0000") for root in (tmp_path, made))
    assert torch.equal(large.image, small.image)
    assert torch.equal(large.instance_2d, small.instance_2d)
    assert large.truth is not None
    assert small.truth is not None
    assert torch.equal(large.truth.semantic, small.truth.semantic)
    assert torch.allclose(large.truth.distance_vox, small.truth.distance_vox, atol=1 / 30)
    with np.load(tmp_path / "room-00000007" / "extra_0000.npz") as extra:
        lengths = np.linalg.norm(extra["normal"].astype(float) / 127, axis=2)
        assert np.allclose(lengths, 1, atol=0.02)
        assert (extra["layout_depth_m"] + 0.01 >= large.depth_m.numpy()).all()
        masks = np.unpackbits(extra["amodal"], axis=2).astype(bool)
        for instance, mask in zip(extra["amodal_ids"], masks, strict=True):
            assert mask[large.instance_2d.numpy() == instance].all()
