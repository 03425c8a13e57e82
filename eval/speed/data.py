"""Reading samples for training: released files against packed ones, one core, in CPU seconds."""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from panoptic3d.data.frames import sample_from_frame
from panoptic3d.data.front3d_writer import write_front3d_sample, write_frustum_mask
from panoptic3d.data.packed.pack import pack_root
from panoptic3d.data.roots import DataRoot, open_root
from panoptic3d.rooms.analytic.boxes import random_room, render

_KIB = 1024
_WEIGH = """
import re, sys
from pathlib import Path
from panoptic3d.data.roots import open_root
import OpenEXR, PIL.Image, zstandard
peak_kib = lambda: int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
root, before = open_root(sys.argv[1], sys.argv[2]), peak_kib()
for key in sys.argv[3:]:
    root.read(key)
print(peak_kib() - before)
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", metavar="ROOT", help="a root in a released layout (default: rooms of boxes, made here)"
    )
    parser.add_argument("--samples", type=int, default=4, metavar="N", help="of the root, spread over it (default 4)")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="the best one counts (default 3)")


def measure(arguments: argparse.Namespace) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        source = open_root(arguments.data) if arguments.data else _make_rooms(Path(folder) / "rooms", arguments.samples)
        keys = source.keys()
        keys = keys[:: max(1, len(keys) // arguments.samples)][: arguments.samples]
        packed = Path(folder) / "packed"
        start = time.process_time()
        report = pack_root(source, packed, keys)
        pack_s = time.process_time() - start
        if report.failed:
            raise RuntimeError(f"cannot measure: {report.failed[0].message}")
        figures = _compare(source, open_root(packed), keys, arguments.repeats)
        sizes = report.to_json()
        for name in ("released", "packed"):
            figures[name]["bytes_per_sample"] = sizes[f"{name}_bytes"] // len(keys)
            figures[name]["peak_memory_mib"] = _peak_memory_mib(
                source if name == "released" else open_root(packed), keys
            )
    return {
        "data": str(arguments.data or "rooms of boxes"),
        "layout": source.layout,
        "num_samples": len(keys),
        **figures,
        "times_faster": round(figures["packed"]["samples_per_core_s"] / figures["released"]["samples_per_core_s"], 1),
        "packed_share_of_bytes": round(sizes["packed_share"], 4),
        "pack_cpu_s_per_sample": round(pack_s / len(keys), 3),
    }


def _compare(released: DataRoot, packed: DataRoot, keys: list[str], repeats: int) -> dict[str, dict]:
    """In turns, so that whatever else the machine does meets both."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    best_s = {"released": float("inf"), "packed": float("inf")}
    for root in (released, packed):
        root.read(keys[0])  # the frustum mask of the root, imports
    for _ in range(repeats):
        for name, root in (("released", released), ("packed", packed)):
            start = time.process_time()
            for key in keys:
                root.read(key)
            best_s[name] = min(best_s[name], (time.process_time() - start) / len(keys))
    torch.set_num_threads(threads)
    return {
        name: {"cpu_ms_per_sample": round(1e3 * seconds, 2), "samples_per_core_s": round(1 / seconds, 2)}
        for name, seconds in best_s.items()
    }


def _peak_memory_mib(root: DataRoot, keys: list[str]) -> int | None:
    """What a fresh process needs at most above its imports to read some samples one after the other (Linux only).

    Not `getrusage`: its peak outlives the `exec` and would be that of this process.
    """
    if not Path("/proc/self/status").exists():
        return None
    command = [sys.executable, "-c", _WEIGH, str(root.path), root.layout, *keys]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(result.stdout) // _KIB


def _make_rooms(root: Path, num_samples: int) -> DataRoot:
    for seed in range(num_samples):
        sample = sample_from_frame(render(random_room(seed), seed=seed), "rooms", f"{seed:04d}")
        write_front3d_sample(root, sample)
        assert sample.truth is not None
        write_frustum_mask(root, sample.truth.frustum_mask)
    return open_root(root)
