"""Our own form of weights: a folder with safetensors, the config and, where they were imported, where they came from."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from panoptic3d.config import canonical_json, validate_config
from panoptic3d.errors import BadFileError, reading
from panoptic3d.files import sha256_of_file, write_bytes_atomically, write_text_atomically
from panoptic3d.models.checkpoints.weights import ADVICE, CONFIG, WEIGHTS, load_network_of, read_config_tree
from panoptic3d.models.panorecon.build import build_panorecon
from panoptic3d.models.panorecon.checkpoint.matching import KeyReport, has_old_names, is_only_2d, match, norm_of
from panoptic3d.models.panorecon.checkpoint.published import read_published
from panoptic3d.models.panorecon.checkpoint.table import to_their_state
from panoptic3d.models.panorecon.config import Mode, PanoReconConfig, config_for_published_weights
from panoptic3d.models.panorecon.names import old_name
from panoptic3d.models.pipeline import Pipeline

ORIGIN = "origin.json"


@dataclass(frozen=True, eq=False)
class Imported:
    """What an import did."""

    config: PanoReconConfig
    report: KeyReport
    is_only_2d: bool
    left_aside: tuple[str, ...]  # training state of the file


def import_published(path: Path, out: Path, mode: Mode = "faithful") -> Imported:
    """Reads, checks every key, and writes the folder; a file with anything unaccounted for writes nothing."""
    published = read_published(path)
    config = config_for_published_weights(mode, norm_of(published.state))
    with torch.device("meta"):
        model = build_panorecon(config)
    report, state = match(published.state, model)
    if not report.is_complete:
        message = f"{path} is not a whole PanoRecon checkpoint: {report.complaint}; nothing was written."
        raise BadFileError(message, path=str(path), reason="keys")
    imported = Imported(config, report, is_only_2d(published.state), published.beside)
    out.mkdir(parents=True, exist_ok=True)
    write_bytes_atomically(out / WEIGHTS, save({name: tensor.contiguous() for name, tensor in state.items()}))
    write_text_atomically(out / CONFIG, json.dumps(json.loads(canonical_json(config)), indent=2) + "\n")
    origin = {
        "family": "panorecon",
        "file": path.name,
        "sha256": sha256_of_file(path),
        "stages": "2d" if imported.is_only_2d else "2d and 3d",
        "names": "first upload" if has_old_names(published.state) else "present",
        "num_tensors": len(state),
        "left_aside": list(published.beside),
    }
    write_text_atomically(out / ORIGIN, json.dumps(origin, indent=2) + "\n")
    return imported


def load_folder(folder: Path, config: PanoReconConfig | None = None) -> Pipeline:
    """The pipeline with the weights of a folder, under its own config or another that has the same tensors."""
    chosen, is_only_2d = config or read_config(folder), _origin(folder)["stages"] == "2d"
    return load_network_of(folder, lambda: build_panorecon(chosen), "voxel_net." if is_only_2d else None)


def export_published(folder: Path) -> dict[str, dict[str, Tensor]]:
    """What `torch.save` writes to get the published form back, under the names that the file had, or present ones."""
    origin = _origin(folder)
    if getattr(read_config(folder).voxel_net, "even_kernels", None) != "one-sided":
        message = f"{folder} has centred kernels, which the reference has not; only one-sided ones can be exported."
        raise BadFileError(message, path=str(folder), reason="kernels")
    state = to_their_state(load_folder(folder), only_2d=origin["stages"] == "2d")
    if origin["names"] == "first upload":
        state = {old_name(name): tensor for name, tensor in state.items()}
    return {"model": state}


def read_config(folder: Path) -> PanoReconConfig:
    return validate_config(PanoReconConfig, read_config_tree(folder), origin=str(folder / CONFIG))


def _origin(folder: Path) -> dict:
    """Weights that were trained here have none: they are whole, and their names are the present ones."""
    assumed, path = {"stages": "2d and 3d", "names": "present"}, folder / ORIGIN
    with reading(path, "where a checkpoint comes from", advice=ADVICE):
        return assumed | (dict(json.loads(path.read_bytes())) if path.exists() else {})
