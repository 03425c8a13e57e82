"""A checkpoint with other fillings in some of its slots: lifts, decoders and whatever else has no weights or the same ones.

    python -m eval.race.exchange CHECKPOINT EXCHANGE.yaml --out DIR

EXCHANGE.yaml is laid over the network's config, slot by slot: one with a name is filled anew (`decode: {name: centres}`), of
one without the given keys change. DIR is a checkpoint like any other: `panoptic3d predict --checkpoint DIR`.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from panoptic3d.config import merged, read_yaml_tree
from panoptic3d.files import write_text_atomically
from panoptic3d.models.checkpoints.folder import CONFIG, WEIGHTS, read_config_tree
from panoptic3d.models.checkpoints.load import load_network


def exchanged(checkpoint: Path, changes: Mapping[str, Any], out: Path) -> Path:
    """`out`, where the weights lie beside the changed config. They must fit it to the tensor."""
    out.mkdir(parents=True, exist_ok=True)
    tree = read_config_tree(checkpoint)
    for slot, change in changes.items():
        is_filled_anew = not isinstance(change, Mapping) or "name" in change
        tree[slot] = change if is_filled_anew else merged(tree.get(slot) or {}, change)
    write_text_atomically(out / CONFIG, json.dumps(tree, indent=2) + "\n")
    shutil.copyfile(checkpoint / WEIGHTS, out / WEIGHTS)
    load_network(out)
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("changes", type=Path, metavar="EXCHANGE.yaml")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    asked = parser.parse_args()
    print(exchanged(asked.checkpoint, read_yaml_tree(asked.changes), asked.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
