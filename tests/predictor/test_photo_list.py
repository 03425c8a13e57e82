"""Which photos a call means, and what their scenes are called."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panoptic3d.errors import InputError
from panoptic3d.predictor.photo_list import list_orders


def _touched(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def _scenes(words: list[Path], out: Path) -> dict[str, str]:
    return {order.photo.name: order.scene for order in list_orders(words, out)}


def test_folders_give_their_pictures_in_order_and_named_files_need_no_ending(tmp_path: Path) -> None:
    _touched(
        tmp_path, "in/b.JPG", "in/a.png", "in/deep/c.webp", "in/notes.txt", "in/.hidden.png", "in/.cache/d.png", "photo"
    )
    orders = list_orders([tmp_path / "in", tmp_path / "photo"], tmp_path / "out")
    assert [order.scene for order in orders] == ["a", "b", "deep/c", "photo"]


def test_names_that_clash_keep_their_endings(tmp_path: Path) -> None:
    _touched(tmp_path, "a.jpg", "a.png", "b.png", "c.png", "c/d.png", "index.jsonl.png")
    scenes = _scenes([tmp_path], tmp_path / "out")
    assert scenes == {
        "a.jpg": "a.jpg",
        "a.png": "a.png",
        "b.png": "b",
        "c.png": "c.png",  # a scene `c` would hold the scene `c/d`
        "d.png": "c/d",
        "index.jsonl.png": "index.jsonl.png",
    }


def test_no_scene_is_hidden_or_a_place(tmp_path: Path) -> None:
    _touched(tmp_path, "..jpg", "...jpg", ".a.jpg", ".partial-0123abcd.jpg")
    names = ["..jpg", "...jpg", ".a.jpg", ".partial-0123abcd.jpg"]
    assert _scenes([tmp_path / name for name in names], tmp_path / "out") == {name: f"photo{name}" for name in names}


def test_the_pictures_of_scenes_are_no_photos(tmp_path: Path) -> None:
    _touched(tmp_path, "a.jpg", "a/scene.json", "a/scene.npz", "a/preview.png", "b/scene.json", "b/preview.png")
    assert _scenes([tmp_path], tmp_path) == {"a.jpg": "a", "preview.png": "b/preview"}


def test_the_same_name_from_two_folders_is_refused_and_the_same_photo_twice_is_one(tmp_path: Path) -> None:
    _touched(tmp_path, "one/a.png", "two/a.png")
    with pytest.raises(InputError, match="would both become"):
        list_orders([tmp_path / "one", tmp_path / "two"], tmp_path / "out")
    assert len(list_orders([tmp_path / "one", tmp_path / "one" / "a.png"], tmp_path / "out")) == 1


def test_loops_of_links_and_our_own_scenes_are_not_walked_into(tmp_path: Path) -> None:
    _touched(tmp_path, "a.png", "out/a/preview.png")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert _scenes([tmp_path], tmp_path / "out") == {"a.png": "a"}


def test_a_folder_without_photos_is_one_sentence(tmp_path: Path) -> None:
    _touched(tmp_path, "notes.txt")
    with pytest.raises(InputError, match="without photos"):
        list_orders([tmp_path], tmp_path / "out")


@given(st.lists(st.sampled_from(["a", "b", "a/b", "a/a", "b/a/b"]), unique=True), st.data())
def test_no_scene_lies_in_another(stems: list[str], data: st.DataObject) -> None:
    """Whatever the files, each scene is a folder of its own and in none of the others."""
    from panoptic3d.predictor.photo_list import _named

    files = {f"{stem}.{ending}" for stem in stems for ending in data.draw(st.sets(st.sampled_from(["jpg", "png"])))}
    from pathlib import PurePosixPath

    scenes = [PurePosixPath(o.scene) for o in _named({Path(file): PurePosixPath(file) for file in sorted(files)})]
    assert len(set(scenes)) == len(files)
    assert not {parent for scene in scenes for parent in scene.parents} & set(scenes)
