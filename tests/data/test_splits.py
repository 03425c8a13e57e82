"""Lists of samples: found by name or path, cleaned of what is known, refused where they are wrong."""

import hashlib
from pathlib import Path

import pytest

from panoptic3d.data.splits import find_split, read_split, split_names, split_of_keys
from panoptic3d.errors import BadFileError, InputError


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def test_a_split_carries_order_size_and_checksum(tmp_path: Path) -> None:
    text = "b/0002\na/0001\r\n\n  c/0003  \n"
    split = read_split(_write(tmp_path / "val.txt", text))
    assert split.keys == ("b/0002", "a/0001", "c/0003")
    assert split.describe() == {"name": "val", "sha256": hashlib.sha256(text.encode()).hexdigest(), "size": 3}
    assert split_of_keys("x", list(split.keys)).sha256 == hashlib.sha256(b"b/0002\na/0001\nc/0003\n").hexdigest()


def test_the_spurious_suffix_is_cut_off(tmp_path: Path) -> None:
    path = _write(tmp_path / "test.txt", "a/x_1_2.mapped\na/x_1_3\n")
    assert read_split(path).keys == ("a/x_1_2", "a/x_1_3")


def test_names_win_over_paths_and_the_folder_over_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path / "val.txt", "root/1\n")
    assert find_split(tmp_path, "val").keys == ("root/1",)
    _write(tmp_path / "splits" / "val.txt", "folder/1\n")
    assert find_split(tmp_path, "val").keys == ("folder/1",)
    assert find_split(tmp_path, str(tmp_path / "val.txt")).keys == ("root/1",)
    monkeypatch.chdir(tmp_path)
    assert find_split(tmp_path / "splits", "val.txt").keys == ("root/1",)
    assert split_names(tmp_path) == ["val"]
    with pytest.raises(InputError, match="are: val; give one"):
        find_split(tmp_path, "vla")


@pytest.mark.parametrize(
    ("text", "reason", "place"),
    [
        ("a/1\nb\n", "bad_line", "line 2"),
        ("a/1/2\n", "bad_line", "line 1"),
        ("a/1\n../1\n", "bad_line", "line 2"),
        ("a/1 b/2\n", "bad_line", "line 1"),
        ("a/1\nb/2\na/1\n", "duplicate", "lines 1 and 3"),
        ("a/1\na/1.mapped\n", "duplicate", "lines 1 and 2"),
        ("", "empty", ""),
    ],
)
def test_wrong_lists_are_refused(tmp_path: Path, text: str, reason: str, place: str) -> None:
    with pytest.raises(BadFileError) as caught:
        read_split(_write(tmp_path / "a.txt", text))
    assert caught.value.reason == reason
    assert place in str(caught.value)


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadFileError, match="not_text"):
        read_split(tmp_path / "a.txt")


def test_a_published_list_is_found_by_its_name_and_named_in_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Known by its bytes, whatever the file is called."""
    from panoptic3d.data import published_lists

    text = b"scene/0001\nscene/0002\n"
    digest = hashlib.md5(text, usedforsecurity=False).hexdigest()
    monkeypatch.setitem(published_lists._LISTS, digest, "buol/front3d/validation")
    (tmp_path / "other.txt").write_text("scene/0003\n")
    with pytest.raises(InputError, match="put the published file there"):
        find_split(tmp_path, "buol/front3d/validation")
    (tmp_path / "validation_list.txt").write_bytes(text)
    split = find_split(tmp_path, "buol/front3d/validation")
    assert split.describe()["published"] == "buol/front3d/validation"
    assert split.name == "validation_list"
    assert "published" not in find_split(tmp_path, "other").describe()
