"""A run's weights as a checkpoint of the package, in half floats: `python -m eval.race.ship RUN NAME`."""

import argparse
import json
import shutil
from pathlib import Path

from safetensors.torch import save

from eval.gpu.state_files import product_weights
from eval.race.budget import budget_of, checkpoint_of
from panoptic3d.engine.training.checkpoint import CONFIG, ORIGIN, read_weights
from panoptic3d.errors import InputError
from panoptic3d.files import write_bytes_atomically, write_text_atomically
from panoptic3d.models.registry import load_network
from panoptic3d.models.shipped import weights_folder
from panoptic3d.models.weights import WEIGHTS


def ship(run: Path, folder: Path) -> None:
    """`origin.json` says what the weights have cost. A model card that is there already stays as it is."""
    source = checkpoint_of(run)
    budget = budget_of(source)
    if budget is None:
        raise InputError(
            f"{run} has no records of its training; ship a run, so that the card can say what it has cost."
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes_atomically(folder / WEIGHTS, save(product_weights(read_weights(source))))
    shutil.copyfile(source / CONFIG, folder / CONFIG)
    origin = json.loads((source / ORIGIN).read_text()) | {"budget": budget}
    write_text_atomically(folder / ORIGIN, json.dumps(origin, indent=1) + "\n")
    load_network(folder)  # what cannot be loaded is not shipped in silence


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    arguments = parser.parse_args()
    folder = weights_folder() / arguments.name
    ship(arguments.run, folder)
    size_mb = (folder / WEIGHTS).stat().st_size / 1e6
    print(f"{folder}: {size_mb:.1f} MB; write its MODEL_CARD.md")


if __name__ == "__main__":
    main()
