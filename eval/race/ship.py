"""A run's weights as a checkpoint of the package, in half floats: `python -m eval.race.ship RUN NAME`.

`--set voxel_net.seeds.min_score=0.12` changes what only the decoder reads, chosen on the validation split. MODEL_CARD.md gets
a part that follows from the run; `--scores FILE`, a result of `panoptic3d evaluate --json`, adds its scores.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from safetensors.torch import save

from eval.gpu.state_files import product_weights
from eval.race.budget import budget_of, checkpoint_of
from eval.race.card import card, merged
from panoptic3d.engine.training.checkpoint import CONFIG, ORIGIN, read_weights
from panoptic3d.errors import InputError
from panoptic3d.files import write_bytes_atomically, write_text_atomically
from panoptic3d.models.checkpoints.find import weights_folder
from panoptic3d.models.checkpoints.folder import WEIGHTS
from panoptic3d.models.checkpoints.load import load_network


def ship(run: Path, folder: Path, changes: Sequence[str] = (), scores: Path | None = None) -> None:
    """`origin.json` and MODEL_CARD.md say what the weights have cost. What a person wrote into the card stays."""
    source = checkpoint_of(run)
    budget = budget_of(source)
    if budget is None:
        raise InputError(
            f"{run} has no records of its training; ship a run, so that the card can say what it has cost."
        )
    config = json.loads((source / CONFIG).read_text())
    for change in changes:
        _change(config, change)
    origin = json.loads((source / ORIGIN).read_text()) | {"budget": budget, "changed_after_training": list(changes)}
    weights = save(product_weights(read_weights(source)))
    with TemporaryDirectory() as scratch:  # what cannot be loaded is not shipped
        _write(Path(scratch), weights, config, origin)
        network = load_network(Path(scratch))
    _write(folder, weights, config, origin)
    num_parameters = sum(parameter.numel() for parameter in network.parameters())
    new = card(folder.name, config, origin, len(weights), num_parameters, _results(scores))
    path = folder / "MODEL_CARD.md"
    write_text_atomically(path, merged(folder.name, path.read_text() if path.exists() else None, new))


def _results(path: Path | None) -> list[dict]:
    """One protocol is an object in the file, several are a list."""
    if path is None:
        return []
    found = json.loads(path.read_text())
    return found if isinstance(found, list) else [found]


def _write(folder: Path, weights: bytes, config: dict, origin: dict) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes_atomically(folder / WEIGHTS, weights)
    write_text_atomically(folder / CONFIG, json.dumps(config, indent=2) + "\n")
    write_text_atomically(folder / ORIGIN, json.dumps(origin, indent=1) + "\n")


def _change(config: dict, change: str) -> None:
    """A slot's config may leave defaults out, so a new name is written, and refused by `load_network` if nobody reads it."""
    path, _, value = change.partition("=")
    *parents, name = path.split(".")
    for parent in parents:
        if not isinstance(config.get(parent), dict):
            raise InputError(f"the config has no {path!r} to change.")
        config = config[parent]
    config[name] = json.loads(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--scores", type=Path, metavar="FILE", help="a result of `panoptic3d evaluate --json`")
    arguments = parser.parse_args()
    folder = weights_folder() / arguments.name
    ship(arguments.run, folder, arguments.set, arguments.scores)
    size_mb = (folder / WEIGHTS).stat().st_size / 1e6
    print(f"{folder}: {size_mb:.1f} MB; write the limits into its MODEL_CARD.md")


if __name__ == "__main__":
    main()
