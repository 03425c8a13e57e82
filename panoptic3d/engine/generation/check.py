"""Compare a generated data set with the published hashes of its recipe.

The same versions on the same kind of processor give the same bytes. Another processor may round another last digit, so
that a JPEG or a distance differs by one step: such a sample is told apart from one that shows something else.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from panoptic3d.config import fingerprint
from panoptic3d.engine.generation.plan import RECIPES, GenerationConfig, load_recipe
from panoptic3d.engine.generation.room import digest
from panoptic3d.engine.generation.run import Record, read_records
from panoptic3d.errors import InputError
from panoptic3d.files import write_text_atomically

_MAX_PIXEL_SHARE, _MAX_VOXEL_SHARE, _MAX_BRIGHTNESS = 0.005, 0.01, 0.5
_COMPARED = ("pixels_by_class", "voxels_below_1", "voxels_below_3", "brightness")


@dataclass(frozen=True)
class CheckReport:
    """Keys by what became of them."""

    identical: tuple[str, ...]
    alike: tuple[str, ...]
    different: tuple[str, ...]
    unpublished: tuple[str, ...]

    @property
    def is_same(self) -> bool:
        return not self.different and bool(self.identical or self.alike)

    def summary(self) -> str:
        parts = [f"{len(self.identical)} identical to the published ones"]
        if self.alike:
            parts.append(f"{len(self.alike)} alike but for rounding (other processor or versions)")
        if self.different:
            parts.append(f"{len(self.different)} different, first {self.different[0]}")
        if self.unpublished:
            parts.append(f"{len(self.unpublished)} beyond the published prefix")
        return f"check: {', '.join(parts)}"


def hashes_path(recipe: str) -> Path:
    return RECIPES / f"{Path(recipe).stem}-hashes.json"


def check_against_recipe(root: str | Path, recipe: str, split: str) -> CheckReport:
    path = hashes_path(recipe)
    if not path.is_file():
        raise InputError(f"the recipe {recipe!r} has no published hashes ({path} is not there).")
    published = json.loads(path.read_text())
    if published["fingerprint"] != fingerprint(load_recipe(recipe).generation):
        raise InputError(f"{path} was made with another version of the recipe; make it again.")
    known = published["splits"].get(split, {})
    return compare(read_records(Path(root)), known)


def compare(records: dict[str, Record], published: dict[str, dict[str, Any]]) -> CheckReport:
    groups: dict[str, list[str]] = {"identical": [], "alike": [], "different": [], "unpublished": []}
    for key, record in sorted(records.items()):
        wanted = published.get(key)
        if wanted is None:
            groups["unpublished"].append(key)
        elif wanted["digest"] == digest(record):
            groups["identical"].append(key)
        else:
            groups["alike" if _is_alike(record["facts"], wanted) else "different"].append(key)
    return CheckReport(**{name: tuple(keys) for name, keys in groups.items()})


def _is_alike(facts: dict[str, Any], wanted: dict[str, Any]) -> bool:
    pixels, expected = facts["pixels_by_class"], wanted["pixels_by_class"]
    moved = sum(abs(a - b) for a, b in zip(pixels, expected, strict=True))
    voxels = [abs(facts[name] - wanted[name]) / max(wanted[name], 1) for name in ("voxels_below_1", "voxels_below_3")]
    return (
        moved <= _MAX_PIXEL_SHARE * sum(expected)
        and max(voxels) <= _MAX_VOXEL_SHARE
        and abs(facts["brightness"] - wanted["brightness"]) <= _MAX_BRIGHTNESS
    )


def publish(recipe: str, roots: dict[str, Path]) -> Path:
    """Write the hashes of the samples that lie in one root a split."""
    splits = {
        split: {
            key: {"digest": digest(record), **{name: record["facts"][name] for name in _COMPARED}}
            for key, record in sorted(read_records(root).items())
        }
        for split, root in roots.items()
    }
    config: GenerationConfig = load_recipe(recipe).generation
    lines = [f'"fingerprint": "{fingerprint(config)}"']
    bodies = []
    for split, samples in splits.items():
        rows = ",\n".join(f'  "{key}": {json.dumps(value, separators=(",", ":"))}' for key, value in samples.items())
        bodies.append(f'"{split}": {{\n{rows}\n}}')
    lines.append('"splits": {\n' + ",\n".join(bodies) + "\n}")
    path = hashes_path(recipe)
    write_text_atomically(path, "{\n" + ",\n".join(lines) + "\n}\n")
    return path
