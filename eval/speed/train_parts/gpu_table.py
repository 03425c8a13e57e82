"""One call on a machine with a GPU: a table of training speeds over batch sizes, precisions and compilation.

    python eval/speed/train_parts/gpu_table.py [--config CONFIG] [--data ROOT] [--out FILE.json]

Without --data it makes rooms of boxes first. A case that does not fit the device says so in its row and the table goes on.
"""

import argparse
import itertools
import json
import sys
import tempfile
from pathlib import Path

from panoptic3d.data.frames import sample_from_frame
from panoptic3d.data.front3d_writer import write_front3d_sample, write_frustum_mask
from panoptic3d.data.packed.pack import pack_root
from panoptic3d.data.roots import open_root
from panoptic3d.engine.methods.table import load_training_config
from panoptic3d.engine.training.speed import Case, measure, table
from panoptic3d.machine import describe_machine
from panoptic3d.rooms.analytic.boxes import random_room, render

_COLUMNS = (
    "stage", "batch", "precision", "compiled", "samples_per_s", "steps_per_s", "peak_memory_mib", "bound",
    "data", "forward", "backward", "step", "error",
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--config", default="configs/panorecon/joint.yaml", metavar="FILE")
    parser.add_argument("--data", metavar="ROOT", help="samples to train on (default: rooms made here)")
    parser.add_argument("--rooms", type=int, default=16, metavar="N", help="how many to make")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 2, 4], metavar="N")
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"], metavar="NAME")
    parser.add_argument("--compiled", nargs="+", default=["false", "true"], choices=("false", "true"))
    parser.add_argument("--workers", type=int, default=8, metavar="N", help="of the loader")
    parser.add_argument("--steps", type=int, default=10, metavar="N")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="change keys of the config")
    parser.add_argument("--out", metavar="FILE.json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = arguments.data or str(_make_rooms(Path(folder), arguments.rooms))
        rows = _rows(arguments, data)
    print(table(rows, _COLUMNS))
    if arguments.out:
        Path(arguments.out).write_text(json.dumps({**describe_machine(), "rows": rows}, indent=1) + "\n")
    return 0 if any("error" not in row for row in rows) else 1


def _rows(arguments: argparse.Namespace, data: str) -> list[dict]:
    common = {
        "data": f"{{root: {data}}}",
        "start_from": "null",
        "device": arguments.device,
        "loader.num_workers": arguments.workers,
    }
    words = [f"--{key}={value}" for key, value in common.items()] + [f"--{word}" for word in arguments.set]
    stages = [stage.name for stage in load_training_config(Path(arguments.config), words).stages]
    cases = itertools.product(stages, arguments.batch_sizes, arguments.precisions, arguments.compiled)
    rows = []
    for stage, batch, precision, compiled in cases:
        own = (f"--loader.batch_size={batch}", f"--precision={precision}", f"--compile_2d={compiled}")
        figures = measure(Case(arguments.config, stage, (*words, *own), arguments.steps, num_warmup=3, num_threads=4))
        row = {"stage": stage, "batch": batch, "precision": precision, "compiled": compiled, **figures}
        row |= {name: value for name, value in figures.get("seconds_a_step", {}).items() if "." not in name}
        print(json.dumps(row), file=sys.stderr)
        rows.append(row)
    return rows


def _make_rooms(folder: Path, num_rooms: int) -> Path:
    for seed in range(num_rooms):
        frame = render(random_room(seed))
        write_front3d_sample(folder / "released", sample_from_frame(frame, f"room-{seed}", "0001"))
    write_frustum_mask(folder / "released", frame.frustum_mask)
    source = open_root(folder / "released")
    pack_root(source, folder / "rooms", source.keys())
    return folder / "rooms"


if __name__ == "__main__":
    sys.exit(main())
