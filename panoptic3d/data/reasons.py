"""Why a file of a data set is refused: stable slugs that reports and tests count by, and the sentence that goes with them."""

import os

from panoptic3d.errors import FOR_DATA_SETS, BadFileError

# slug -> what it means. A slug never changes its meaning; new ones may be added.
REASONS: dict[str, str] = {
    # the file as such
    "missing": "the file is not there",
    "empty": "the file has no bytes",
    "unreadable": "the operating system refuses to read it",
    "too_large": "it unpacks to more than its place can hold",
    "ambiguous": "two files claim the same place",
    "truncated": "it starts as it should and ends too early",
    "corrupt": "it is whole in length and its content does not decode or fails its checksum",
    "not_png": "it is no PNG",
    "not_jpeg": "it is no JPEG",
    "not_exr": "it is no OpenEXR image",
    "not_npz": "it is no npz archive",
    "not_npy": "it is no npy array",
    "not_packed": "it is no packed sample or no packed data set",
    "wrong_version": "it was packed in a format that this version does not know",
    # the arrays in it
    "wrong_key": "the array or channel that its name promises is not in it",
    "pickled": "it holds Python objects, which are never loaded",
    "wrong_shape": "the array or image has another size",
    "wrong_dtype": "the array has another type",
    "wrong_mode": "the image has other channels or another bit depth",
    # the values in them
    "bad_class": "a class id outside of the taxonomy",
    "negative_instance": "an instance id below zero",
    "huge_instance": "an instance id that does not fit into 32 bits",
    "wide_instance": "an instance id of a prediction that does not fit into 16 bits",
    "nan_depth": "a depth that is not a number",
    "infinite_depth": "an infinite depth",
    "negative_depth": "a depth below zero",
    "nan_distance": "a distance that is not a number",
    "infinite_distance": "an infinite distance",
    "negative_distance": "a distance below zero in an unsigned field",
    "bad_weight": "a loss weight outside of 0..255",
    "no_voxels": "a sample without volumes where they are needed, or where other samples of the data set have some",
    "foreign_taxonomy": "its classes are not those of its data set",
    "bad_name": "it says to be another sample than the one of its place",
    "bad_pose": "a camera pose that is no rigid motion",
    "bad_intrinsics": "a camera matrix without positive focal lengths",
    # lists of samples
    "bad_line": "a line of a split that is no <scene>/<frame>",
    "duplicate": "a sample that is listed twice",
    "not_text": "a split that is no UTF-8 text",
}


def bad_file(
    path: str | os.PathLike[str], reason: str, *, expected: str, found: str, key: str | None = None
) -> BadFileError:
    """The error to raise: names the file, the key, what was expected and what was found."""
    assert reason in REASONS, f"{reason} is no known slug"
    place = f"{os.fspath(path)}, key `{key}`" if key else os.fspath(path)
    message = f"{place}: expected {expected}, found {found} ({reason}); {FOR_DATA_SETS}."
    return BadFileError(message, path=os.fspath(path), reason=reason, key=key)
