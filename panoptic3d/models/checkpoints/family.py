"""Convert published weights of a method to a checkpoint folder, and back without changing a bit."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from panoptic3d.config import Config
from panoptic3d.errors import BadFileError
from panoptic3d.files import sha256_of_file
from panoptic3d.models.checkpoints.entries import Entry, entries_of
from panoptic3d.models.checkpoints.folder import read_origin
from panoptic3d.models.checkpoints.imported import write_import
from panoptic3d.models.checkpoints.key_report import KeyReport, match
from panoptic3d.models.checkpoints.load import is_only_2d, load_network, network_config_of
from panoptic3d.models.checkpoints.published import read_published
from panoptic3d.models.modes import Mode
from panoptic3d.models.pipeline import Pipeline
from panoptic3d.models.pipeline_config import PipelineConfig

_OLD = "first upload"  # of `names` in origin.json


@dataclass(frozen=True)
class Family:
    """What there is to know of a method's published weights."""

    name: str
    title: str
    config_for: Callable[[Mapping[str, Tensor], Mode], PipelineConfig]  # what runs a published state dict
    their_name: Callable[[str], str]
    stage_2d: tuple[str, ...]  # beginnings of their names in a file of the 2D stage alone
    constants: Mapping[str, Tensor]  # tensors of a published file that are constants and not weights
    versions: Mapping[str, int] = field(default_factory=dict)  # of their modules, which rename the keys of older ones
    entry: str = "model"  # of a published file that holds the weights
    is_bare: bool = False  # whether a file may be nothing but weights, as ours on the way back then is
    exports: Callable[[Any], str | None] = lambda config: None  # why a config cannot be written in their form
    present_name: Callable[[str], str] = str  # of a name in an older file
    old_name: Callable[[str], str] | None = None  # the way back, for families whose names have changed

    def entries(self, model: Pipeline, *, only_2d: bool) -> tuple[Entry, ...]:
        every = entries_of(model, self.their_name)
        return tuple(e for e in every if not only_2d or e.theirs.startswith(self.stage_2d))

    def state_of(self, model: Pipeline, *, only_2d: bool = False) -> OrderedDict[str, Tensor]:
        """What the authors' code would write, constants included."""
        ours = model.state_dict()
        state = OrderedDict((e.theirs, e.to_theirs(ours[e.ours])) for e in self.entries(model, only_2d=only_2d))
        state.update(self.constants)
        return state

    def is_only_2d(self, state: Mapping[str, Tensor]) -> bool:
        return all(self.present_name(name).startswith(self.stage_2d) for name in state)


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
        model = config.build()
    entries = family.entries(model, only_2d=only_2d)
    report, state = match(published.state, entries, family.constants, family.present_name)
    if not report.is_complete:
        message = f"{path} is not a whole {family.title} checkpoint: {report.complaint}; nothing was written."
        raise BadFileError(message, path=str(path), reason="keys")
    origin = {
        "family": family.name,
        "file": path.name,
        "sha256": sha256_of_file(path),
        "stages": "2d" if only_2d else "2d and 3d",
        "names": _OLD if report.renamed else "present",
        "num_tensors": len(state),
        "left_aside": list(published.beside),
    }
    write_import(out, origin, state, config)
    return Imported(config, report, only_2d, published.beside)


def export_published(family: Family, folder: Path) -> OrderedDict[str, Tensor]:
    """The published state dict, with the versions that keep the original from renaming its keys."""
    config = network_config_of(folder)
    obstacle = _other_method(family, config) or family.exports(config)
    if obstacle is not None:
        message = f"{folder} {obstacle}; only weights in the reference's own form can be exported."
        raise BadFileError(message, path=str(folder), reason="kernels")
    state = family.state_of(load_network(folder), only_2d=is_only_2d(folder))
    theirs = OrderedDict((name, tensor.contiguous()) for name, tensor in state.items())
    if family.old_name is not None and read_origin(folder).get("names") == _OLD:
        theirs = OrderedDict((family.old_name(name), tensor) for name, tensor in theirs.items())
    theirs._metadata = OrderedDict((name, {"version": v}) for name, v in family.versions.items())  # type: ignore[attr-defined]
    return theirs


def _other_method(family: Family, config: PipelineConfig) -> str | None:
    if config.method != family.name:
        return f"is a checkpoint of {config.method}"
    published = type(config).model_validate({})
    others = [name for name in config.SLOTS if getattr(config, name).name != getattr(published, name).name]
    others += ["neck"] if config.neck != published.neck else []
    return f"fills {', '.join(others)} otherwise than the reference" if others else None
