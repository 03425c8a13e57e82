"""Published weights of a method to a folder of ours, and back to the bit."""

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save
from torch import Tensor

from panoptic3d.config import Config, canonical_json, validate_config
from panoptic3d.errors import BadFileError, reading
from panoptic3d.files import sha256_of_file, write_bytes_atomically, write_text_atomically
from panoptic3d.models.checkpoints.entries import Entry, entries_of
from panoptic3d.models.checkpoints.key_report import KeyReport, match
from panoptic3d.models.checkpoints.published import read_published
from panoptic3d.models.checkpoints.weights import ADVICE, CONFIG, WEIGHTS, load_network_of, read_config_tree
from panoptic3d.models.pipeline import Pipeline

ORIGIN = "origin.json"
Mode = Literal["faithful", "corrected"]


@dataclass(frozen=True)
class Family:
    """What there is to know of a method's published weights."""

    name: str
    title: str
    config_kind: type[Config]
    config_for: Callable[[Mapping[str, Tensor], Mode], Any]  # what runs a published state dict
    build: Callable[[Any], Pipeline]
    their_name: Callable[[str], str]
    stage_2d: tuple[str, ...]  # beginnings of their names in a file of the 2D stage alone
    constants: Mapping[str, Tensor]  # tensors of a file that are no weights
    versions: Mapping[str, int] = field(default_factory=dict)  # of their modules, which rename the keys of older ones
    entry: str = "model"  # of a published file that holds the weights
    is_bare: bool = False  # whether a file may be nothing but weights, as ours on the way back then is
    exports: Callable[[Any], str | None] = lambda config: None  # why a config cannot be written in their form

    def entries(self, model: Pipeline, *, only_2d: bool) -> tuple[Entry, ...]:
        every = entries_of(model, self.their_name)
        return tuple(e for e in every if not only_2d or e.theirs.startswith(self.stage_2d))

    def is_only_2d(self, state: Mapping[str, Tensor]) -> bool:
        return all(name.startswith(self.stage_2d) for name in state)


@dataclass(frozen=True, eq=False)
class Imported:
    """What an import did."""

    config: Config
    report: KeyReport
    is_only_2d: bool
    left_aside: tuple[str, ...]  # training state of the file


def import_published(family: Family, path: Path, out: Path, mode: Mode = "faithful") -> Imported:
    """Reads, checks every key, and writes the folder; a file with anything unaccounted for writes nothing."""
    published = read_published(path, family.title, family.entry, family.is_bare)
    only_2d = family.is_only_2d(published.state)
    config = family.config_for(published.state, mode)
    with torch.device("meta"):
        model = family.build(config)
    report, state = match(published.state, family.entries(model, only_2d=only_2d), family.constants)
    if not report.is_complete:
        message = f"{path} is not a whole {family.title} checkpoint: {report.complaint}; nothing was written."
        raise BadFileError(message, path=str(path), reason="keys")
    out.mkdir(parents=True, exist_ok=True)
    write_bytes_atomically(out / WEIGHTS, save({name: tensor.contiguous() for name, tensor in state.items()}))
    write_text_atomically(out / CONFIG, json.dumps(json.loads(canonical_json(config)), indent=2) + "\n")
    origin = {
        "family": family.name,
        "file": path.name,
        "sha256": sha256_of_file(path),
        "stages": "2d" if only_2d else "2d and 3d",
        "num_tensors": len(state),
        "left_aside": list(published.beside),
    }
    write_text_atomically(out / ORIGIN, json.dumps(origin, indent=2) + "\n")
    return Imported(config, report, only_2d, published.beside)


def load_folder(family: Family, folder: Path, config: Config | None = None) -> Pipeline:
    """The pipeline with the weights of a folder, under its own config or another that has the same tensors. Of a file of the
    2D stage alone the 3D stage keeps its fresh weights.
    """
    chosen = config or read_config(family, folder)
    return load_network_of(folder, lambda: family.build(chosen), "voxel_net." if _is_only_2d(folder) else None)


def export_published(family: Family, folder: Path) -> OrderedDict[str, Tensor]:
    """The published state dict, with the versions that keep the original from renaming its keys."""
    obstacle = family.exports(read_config(family, folder))
    if obstacle is not None:
        message = f"{folder} {obstacle}; only weights in the reference's own form can be exported."
        raise BadFileError(message, path=str(folder), reason="kernels")
    model = load_folder(family, folder)
    state, only_2d = model.state_dict(), _is_only_2d(folder)
    entries = family.entries(model, only_2d=only_2d)
    theirs = OrderedDict((e.theirs, e.to_theirs(state[e.ours]).contiguous()) for e in entries)
    theirs.update(family.constants)
    theirs._metadata = OrderedDict((name, {"version": v}) for name, v in family.versions.items())  # type: ignore[attr-defined]
    return theirs


def read_config(family: Family, folder: Path) -> Any:
    return validate_config(family.config_kind, read_config_tree(folder), origin=str(folder / CONFIG))


def _is_only_2d(folder: Path) -> bool:
    """Weights that were trained here have no origin: they are whole."""
    path = folder / ORIGIN
    with reading(path, "where a checkpoint comes from", advice=ADVICE):
        return path.exists() and json.loads(path.read_bytes()).get("stages") == "2d"
