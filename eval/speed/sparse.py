"""Sparse convolution on a CPU: side by side with MinkowskiEngine, against dense convolution, and a U-Net's training step."""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from panoptic3d.errors import Panoptic3dError
from panoptic3d.sparse import Kernel, SparseConfig, conv, make_plan, voxel_set, voxels_of_mask
from panoptic3d.sparse.layers.unet import SparseUNet, SparseUNetConfig
from panoptic3d.sparse.weights import from_dense_weight

_PARTS = Path(__file__).resolve().parent / "sparse_parts"
sys.path.insert(0, str(_PARTS))
from sets import GRID, named_sets  # noqa: E402 - a neighbour of this script, not a package

SECTIONS = ("peers", "variants", "dense", "unet")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--peer-python", metavar="PATH", help="a Python that has MinkowskiEngine; skipped without")
    parser.add_argument("--real", metavar="FOLDER", help="real samples; PANOPTIC3D_REAL by default, skipped without")
    parser.add_argument("--rounds", type=int, default=3, help="alternating rounds of which the best counts")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--channels", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS))


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    work = {"peers": peers, "variants": variants, "dense": dense_crossover, "unet": unet_step}
    return {section: work[section](arguments) for section in arguments.sections}


def peers(arguments: argparse.Namespace) -> dict[str, Any]:
    """3x3x3 submanifold, forward and backward, from coordinates to gradients, engines taking turns."""
    engines = {"ours": sys.executable}
    if arguments.peer_python:
        engines["minkowski"] = arguments.peer_python
    return _compared(arguments, engines, named_sets(arguments.real))


def variants(arguments: argparse.Namespace) -> dict[str, Any]:
    """The engine beside the other ways to do it in plain PyTorch, on the sets of at most 100 thousand voxels."""
    sets = {name: coords for name, coords in named_sets(arguments.real).items() if len(coords) <= 100_000}
    names = ("ours", "gather-scatter", "im2col", "bricks")
    return _compared(arguments, dict.fromkeys(names, sys.executable), sets)


def _compared(arguments: argparse.Namespace, engines: dict[str, str], sets: dict[str, np.ndarray]) -> dict[str, Any]:
    rows = []
    with tempfile.TemporaryDirectory() as folder, _workers(engines) as workers:
        rates = dict.fromkeys(arguments.threads, 0.0)
        for number, (name, coords) in enumerate(sets.items()):
            path = Path(folder) / f"{number}.npy"
            np.save(path, coords)
            flops_per_channel_pair = 6 * _num_pairs(coords)
            for threads in arguments.threads:
                for channels in arguments.channels:
                    order = {"coords": str(path), "channels": channels, "threads": threads}
                    best = _best(workers, order, arguments.rounds)
                    rate = _ask(workers["ours"], {"sgemm": True, "threads": threads})["flops_per_s"]
                    rates[threads] = max(rates[threads], rate)
                    row = {"set": name, "voxels": len(coords), "channels": channels, "threads": threads}
                    for engine, seconds in best.items():
                        flops = flops_per_channel_pair * channels**2
                        row[engine] = {"seconds": round(seconds, 4), "gflops_per_s": round(flops / seconds / 1e9, 1)}
                    rows.append(row)
                    print(json.dumps(row), file=sys.stderr, flush=True)
        report = {"sgemm_gflops": {t: round(r / 1e9) for t, r in rates.items()}, "rows": rows}
    for row in rows:
        for engine in engines:
            row[engine]["share_of_sgemm"] = round(row[engine]["gflops_per_s"] * 1e9 / rates[row["threads"]], 2)
    report["share_of_sgemm"] = {engine: _shares(rows, engine) for engine in engines}
    others = [engine for engine in engines if engine != "ours"]
    report["times_faster"] = {engine: _ratios(rows, engine) for engine in others}
    report["two_threads"] = {engine: _gain(rows, engine) for engine in engines}
    report["peak_mib"] = _peaks(arguments, engines, sets)
    return report


def _best(workers: dict[str, subprocess.Popen], order: dict[str, Any], rounds: int) -> dict[str, float]:
    """Wall seconds of the best round after one to warm up; engines alternate, so that both see the same machine."""
    best = dict.fromkeys(workers, float("inf"))
    for number in range(rounds + 1):
        for engine, worker in workers.items():
            seconds = _ask(worker, order)["wall_s"]
            best[engine] = min(best[engine], seconds) if number else best[engine]
    return best


def _ratios(rows: list[dict[str, Any]], engine: str) -> dict[str, float]:
    ratios = [row[engine]["seconds"] / row["ours"]["seconds"] for row in rows]
    return {"geometric_mean": _geometric_mean(ratios), "least": round(min(ratios), 2)}


def _gain(rows: list[dict[str, Any]], engine: str) -> dict[str, float] | None:
    """How many times faster in wall time two threads are than one, over the rows that were timed with both."""
    timed = {(row["set"], row["channels"], row["threads"]): row[engine]["seconds"] for row in rows}
    gains = [timed[name, c, 1] / timed[name, c, 2] for name, c, t in timed if t == 1 and (name, c, 2) in timed]
    if not gains:
        return None
    return {"geometric_mean": _geometric_mean(gains), "least": round(min(gains), 2), "most": round(max(gains), 2)}


def _geometric_mean(values: list[float]) -> float:
    return round(float(np.exp(np.log(values).mean())), 2)


def _shares(rows: list[dict[str, Any]], engine: str) -> dict[str, float]:
    shares = [row[engine]["share_of_sgemm"] for row in rows]
    return {"median": round(float(np.median(shares)), 2), "most": max(shares)}


def _peaks(arguments: argparse.Namespace, engines: dict[str, str], sets: dict[str, np.ndarray]) -> dict[str, Any]:
    """Peak memory of a fresh process over the largest set and most channels, and how much of it came with the work."""
    peaks = {}
    name, coords = max(sets.items(), key=lambda item: len(item[1]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "largest.npy"
        np.save(path, coords)
        for engine, python in engines.items():
            with _workers({engine: python}) as workers:
                order = {"coords": str(path), "channels": max(arguments.channels), "threads": 1}
                answer = _ask(workers[engine], order)
            peaks[engine] = {key: round(answer[key]) for key in ("peak_mib", "grown_mib")}
    return {"set": name, "channels": max(arguments.channels), **peaks}


@contextmanager
def _workers(engines: dict[str, str]) -> Iterator[dict[str, subprocess.Popen]]:
    workers = {}
    try:
        for engine, python in engines.items():
            workers[engine] = subprocess.Popen(
                [python, "-W", "ignore", str(_PARTS / "worker.py"), engine],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
            )
            _answer_of(workers[engine], engine)
        yield workers
    finally:
        for worker in workers.values():
            worker.kill()
            worker.communicate()


def _ask(worker: subprocess.Popen, order: dict[str, Any]) -> dict[str, float]:
    assert worker.stdin is not None
    worker.stdin.write(json.dumps(order) + "\n")
    worker.stdin.flush()
    return _answer_of(worker, str(order))


def _answer_of(worker: subprocess.Popen, asked: str) -> dict[str, Any]:
    assert worker.stdout is not None
    for line in worker.stdout:
        if line.startswith("{"):
            return json.loads(line)
    raise Panoptic3dError(f"the worker for {asked} left without an answer; see its complaint above.")


def _num_pairs(coords: np.ndarray) -> int:
    voxels = voxel_set(torch.from_numpy(coords), 1, (GRID, GRID, GRID))
    return int((make_plan(voxels, voxels, Kernel(3)).neighbours("coarse") >= 0).sum())


def dense_crossover(arguments: argparse.Namespace) -> dict[str, Any]:
    """Forward and backward over a 64^3 grid by occupancy (solid slabs), sparse against `conv3d` of the whole grid, in
    processor seconds of one thread.
    """
    torch.set_num_threads(1)
    report = {}
    for channels in arguments.channels:
        weight = torch.randn(channels, channels, 3, 3, 3, requires_grad=True)
        volume = torch.randn(1, channels, 64, 64, 64, requires_grad=True)
        dense = _best_of(arguments.rounds, lambda v=volume, w=weight: _backward(F.conv3d(v, w, padding=1), v, w))
        sparse = {
            f"{share:.2f}": _sparse_seconds(share, weight, arguments.rounds) for share in (0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
        }
        crossover = next((share for share, seconds in sparse.items() if seconds > dense), None)
        report[channels] = {"dense_s": dense, "sparse_s_by_occupancy": sparse, "dense_is_faster_from": crossover}
    return report


def _sparse_seconds(occupancy: float, dense_weight: torch.Tensor, rounds: int) -> float:
    mask = torch.zeros(1, 64, 64, 64, dtype=torch.bool)
    for start in range(0, 64, 16):  # slabs, as walls and furniture are: occupied cells have occupied neighbours
        mask[:, :, start : start + round(16 * occupancy)] = True
    voxels = voxels_of_mask(mask)
    weight = from_dense_weight(dense_weight).detach().requires_grad_()
    features = torch.randn(len(voxels), weight.shape[1], requires_grad=True)
    config = SparseConfig(dense_from_occupancy=None)
    return _best_of(
        rounds,
        lambda: _backward(conv(features, weight, make_plan(voxels, voxels, Kernel(3), config)), features, weight),
    )


def unet_step(arguments: argparse.Namespace) -> dict[str, Any]:
    """One training step of a 3-level U-Net of 16-32-64 channels over about 90 thousand voxels: time and memory."""
    torch.set_num_threads(max(arguments.threads))
    sets = named_sets(arguments.real)
    name = next((name for name in sets if "< 3" in name), "spheres, 100 k")
    coords = torch.from_numpy(sets[name])
    net = SparseUNet(SparseUNetConfig(num_in=16))
    optimizer = torch.optim.Adam(net.parameters())
    features, before = torch.randn(len(coords), 16), _peak_mib()

    def step() -> None:
        voxels = voxel_set(coords, 1, (GRID, GRID, GRID))
        loss = net(features, voxels)[0].features.square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    seconds = _best_of(arguments.rounds, step, time.perf_counter)
    processor_seconds = _best_of(1, step)
    return {
        "set": name,
        "voxels": len(coords),
        "threads": torch.get_num_threads(),
        "seconds": seconds,
        "processor_s": processor_seconds,
        "peak_mib": _peak_mib(),
        "grown_mib": _peak_mib() - before,
    }


def _backward(out: torch.Tensor, *inputs: torch.Tensor) -> None:
    torch.autograd.grad(out, inputs, torch.ones_like(out))


def _best_of(rounds: int, work: Callable[[], None], clock: Callable[[], float] = time.process_time) -> float:
    """Best of several rounds after one to warm up, by default in processor seconds, which a busy machine leaves alone."""
    best = float("inf")
    for number in range(rounds + 1):
        start = clock()
        work()
        best = min(best, clock() - start) if number else best
    return round(best, 4)


def _peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
