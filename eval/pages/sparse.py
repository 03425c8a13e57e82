"""The page of the sparse engine's speed beside MinkowskiEngine's."""

from collections.abc import Mapping
from typing import Any

from eval.pages.markdown import machine_line, table

_INTRO = """
# Results: sparse convolution on a CPU

A 3x3x3 submanifold convolution from raw coordinates to gradients, with the time to build the kernel map. Each engine runs in
its own process, and the engines take turns. [The sparse engine](../sparse.md) explains the sets and what follows.

    panoptic3d bench sparse --sections peers --peer-python PATH
"""


def sparse_page(found: Mapping[str, Any]) -> str:
    parts = [_INTRO.strip()]
    for number, (name, measured) in enumerate(found.items(), start=1):
        peers = measured["peers"]
        parts += [f"## Run {number}", machine_line(measured, name), _seconds(peers["rows"]), _summary(peers)]
    return "\n\n".join(parts)


def _seconds(rows: list[Mapping[str, Any]]) -> str:
    """One row per set and width, with the threads side by side."""
    of: dict[tuple[str, int], dict[int, Mapping[str, Any]]] = {}
    for row in rows:
        of.setdefault((row["set"], row["channels"]), {})[row["threads"]] = row
    threads = sorted({row["threads"] for row in rows})
    header = ["voxels of", "channels"]
    for count in threads:
        header += [f"ours, {count} thread{'s' if count > 1 else ''}", "MinkowskiEngine", "times faster"]
    cells = []
    for (name, channels), by_threads in of.items():
        line = [name, str(channels)]
        for count in threads:
            ours, theirs = (by_threads[count][engine]["seconds"] for engine in ("ours", "minkowski"))
            line += [f"{ours:.3f} s", f"{theirs:.3f} s", f"{theirs / ours:.2f}"]
        cells.append(line)
    return table(header, cells)


def _summary(peers: Mapping[str, Any]) -> str:
    faster, memory = peers["times_faster"]["minkowski"], peers["peak_mib"]
    rows = [
        ["times faster than MinkowskiEngine, geometric mean", f"{faster['geometric_mean']:.2f}", ""],
        ["times faster, slowest row", f"{faster['least']:.2f}", ""],
    ]
    for label, values, key in (
        ("two threads against one, geometric mean", peers["two_threads"], "geometric_mean"),
        ("share of the GEMM rate, median row", peers["share_of_sgemm"], "median"),
        ("share of the GEMM rate, best row", peers["share_of_sgemm"], "most"),
    ):
        rows.append([label, f"{values['ours'][key]:.2f}", f"{values['minkowski'][key]:.2f}"])
    label = f"peak memory, {memory['set']}, {memory['channels']} channels"
    rows.append([label, f"{memory['ours']['peak_mib']} MiB", f"{memory['minkowski']['peak_mib']} MiB"])
    return table(["", "ours", "MinkowskiEngine"], rows)
