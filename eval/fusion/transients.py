"""Photos that show what is not there: what learned weights of their pixels are worth, against controls.

panoptic3d data generate --transients 0.3 --views 8 --seed 20000000 --num 32 --out ROOT
python -m eval.fusion.transients --data ROOT --rooms 4 --json OUT.jsonl [--checkpoint tiny] > TABLE.md
A room that is in OUT.jsonl already is not measured again, and `--predictions DIR` keeps what the network says of each view.
Rooms without transients show what the weights cost there. Other settings of `FusionConfig` by `--beta.power 2` and the like.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32

from eval.fusion.predicted import PredictedViews
from eval.fusion.rooms import Room, cut_to_views, read_room, view_sums
from panoptic3d.config import load_config
from panoptic3d.data.roots import DataRoot, open_root
from panoptic3d.metrics.bootstrap import mean_scores, paired_test
from panoptic3d.metrics.calibration import auroc
from panoptic3d.metrics.hidden_surface import HIDDEN, SEEN, surface_scores
from panoptic3d.metrics.protocol import Protocol, load_protocol
from panoptic3d.models.checkpoints.find import find_checkpoint
from panoptic3d.predictor.fusion.config import FusionConfig
from panoptic3d.predictor.fusion.fuse import fused_scene, gathered_views
from panoptic3d.predictor.fusion.gathered import GatheredViews
from panoptic3d.predictor.fusion.photo_cells import PhotoCells, trunk_features
from panoptic3d.predictor.fusion.photo_weights import learned_beta, reweighted, weights_of
from panoptic3d.predictor.network import PipelineNetwork
from panoptic3d.randomness import numpy_generator
from panoptic3d.structures.sample import Sample
from panoptic3d.structures.scene import PanopticScene

_FAR_VOX = 2.0  # from every true surface: such a voxel is false
_MOST, _LEAST = 0.9, 0.1  # share of a cell's pixels that show the transient: it is one, or it is not
_WAYS = ("equal weights", "free space once", "learned", "learned, shuffled", "true masks (†)")

Maps = Sequence[Float32[np.ndarray, "h w"]]


@dataclass(frozen=True, eq=False)
class Shown:
    """Pixels of the photo of a sample that show a transient."""

    mask: Bool[np.ndarray, "h w"]

    @classmethod
    def read(cls, root: Path, sample: Sample) -> "Shown":
        path = root / sample.scene / f"extra_{sample.frame}.npz"
        size = (sample.camera.height, sample.camera.width)
        if not path.exists():
            return cls(np.zeros(size, np.bool_))
        with np.load(path, allow_pickle=False) as stored:
            if "transient" not in stored.files:
                return cls(np.zeros(size, np.bool_))
            return cls(np.unpackbits(stored["transient"], axis=1, count=size[1]).astype(np.bool_))

    def share(self, cells: PhotoCells) -> Float32[np.ndarray, "h w"]:
        """Of the pixels of each cell."""
        own = torch.from_numpy(self.mask).float()[None]
        return torch.nn.functional.adaptive_avg_pool2d(own, (cells.height, cells.width))[0].numpy()


def measured(
    room: Room, shown: Sequence[Shown], network: PipelineNetwork, protocol: Protocol, config: FusionConfig
) -> dict[str, Any]:
    gathered = gathered_views(room.scenes, room.poses, config)
    order = gathered.place_given
    seen = [replace(room.scenes[place], photo=room.samples[place].image) for place in order]
    beta = learned_beta(gathered, [trunk_features(scene, network) for scene in seen], config)
    own, weights = config.beta.free_share, weights_of(beta, config.beta)
    shares = [shown[place].share(PhotoCells.of(room.scenes[place].camera)) for place in order]
    masks = [np.where(share > 0, 0.0, 1.0).astype(np.float32) for share in shares]
    once = config.model_copy(update={"free_weight": 1.0})
    ways: dict[str, GatheredViews] = {
        "equal weights": gathered,
        "free space once": gathered_views(room.scenes, room.poses, once),
        "learned": reweighted(gathered, weights, own),
        "learned, shuffled": reweighted(gathered, _shuffled(weights), own),
        "true masks (†)": reweighted(gathered, masks, 0.0),
    }
    rows = {way: _scored(fused_scene(views, config), room, shown, protocol) for way, views in ways.items()}
    return {"room": room.name, "num_views": len(room.samples), "ways": rows, "auroc": _auroc(beta, shares)}


def _scored(fused: PanopticScene, room: Room, shown: Sequence[Shown], protocol: Protocol) -> dict[str, Any]:
    cut = list(cut_to_views(fused, room, room.poses))
    false = sum(num_false(scene, sample, own.mask) for scene, sample, own in zip(cut, room.samples, shown, strict=True))
    return {"sums": view_sums(cut, room.frames, protocol), "false": false}


def num_false(scene: PanopticScene, sample: Sample, mask: Bool[np.ndarray, "h w"]) -> int:
    """Surface voxels of a scene in the frame of a sample where its photo shows a transient: on its pixels, before the
    true surface, and farther than two voxels from any true surface.
    """
    assert sample.truth is not None
    true = np.full(scene.grid.num_points, np.inf, np.float32)
    true[sample.truth.linear_index.numpy()] = sample.truth.distance_vox.abs().numpy()
    is_false = (scene.distance_vox < 1).numpy() & (true.reshape(scene.grid.shape) > _FAR_VOX)
    points = scene.grid.camera_from_index(torch.from_numpy(np.argwhere(is_false)).double()).numpy()
    camera = sample.camera
    column = np.floor(points[:, 0] / points[:, 2] * camera.fx_px + camera.cx_px + 0.5).astype(np.int64)
    row = np.floor(points[:, 1] / points[:, 2] * camera.fy_px + camera.cy_px + 0.5).astype(np.int64)
    column, row = np.clip(column, 0, camera.width - 1), np.clip(row, 0, camera.height - 1)
    behind_m = np.where(sample.depth_m.numpy() > 0, sample.depth_m.numpy(), np.inf)
    return int((mask[row, column] & (points[:, 2] < behind_m[row, column])).sum())


def _shuffled(weights: Maps) -> list[Float32[np.ndarray, "h w"]]:
    """Over the cells of all photos."""
    flat = np.concatenate([own.ravel() for own in weights])
    numpy_generator(0, "shuffled weights").shuffle(flat)
    ends = np.cumsum([own.size for own in weights])[:-1]
    return [part.reshape(own.shape) for part, own in zip(np.split(flat, ends), weights, strict=True)]


def _auroc(beta: Maps, shares: Maps) -> float | None:
    """Of beta for cells that show a transient; None without any."""
    share, value = (np.concatenate([own.ravel() for own in maps]) for maps in (shares, beta))
    clear = (share > _MOST) | (share < _LEAST)
    return auroc(value[clear], share[clear] > _MOST) if (share > _MOST).any() else None


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """PRQ pooled over all views; differences to equal weights are paired over rooms."""
    found = [row["auroc"] for row in rows if row["auroc"] is not None]
    lines = [f"{len(rows)} rooms x {rows[0]['num_views']} views, `strict`; {len(found)} rooms with transients."]
    if found:
        lines.append(f"AUROC of beta on their pixels: mean over rooms {np.mean(found):.3f}, least {min(found):.3f}.")
    lines += ["", "| weights | false voxels of transients | PRQ | against equal weights | F1 seen | F1 hidden |"]
    lines += ["| --- | --- | --- | --- | --- | --- |"]
    equal = _sums(rows, "equal weights", "prq")
    for way in _WAYS:
        own = _sums(rows, way, "prq")
        prq = 100 * float(mean_scores(own.sum(axis=0), "classes_seen")[0])
        f1 = [_f1(rows, way, side) for side in (SEEN, HIDDEN)]
        false = sum(row["ways"][way]["false"] for row in rows)
        change = "" if way == "equal weights" or len(rows) < 2 else _change(equal, own)
        lines.append(f"| {way} | {false:,} | {prq:.2f} | {change} | {f1[0]:.2f} | {f1[1]:.2f} |")
    return "\n".join(lines)


def _change(equal: np.ndarray, own: np.ndarray) -> str:
    test = paired_test(equal, own, "classes_seen")
    return f"{100 * test.difference:+.2f} [{100 * test.interval.low:+.2f}, {100 * test.interval.high:+.2f}]"


def _sums(rows: Sequence[Mapping[str, Any]], way: str, kind: str) -> np.ndarray:
    """Of each room, over its views."""
    return np.array([np.sum([view[kind] for view in row["ways"][way]["sums"]], axis=0) for row in rows], np.int64)


def _f1(rows: Sequence[Mapping[str, Any]], way: str, side: int) -> float:
    return 100 * float(surface_scores(_sums(rows, way, "visibility").sum(axis=0))[side, 2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--rooms", type=int, default=20)
    parser.add_argument("--views", type=int, default=8)
    parser.add_argument("--checkpoint")
    parser.add_argument(
        "--predictions", type=Path, metavar="DIR", help="what the network says of each view is kept here"
    )
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--protocol", default="strict")
    arguments, words = parser.parse_known_args()
    config = load_config(FusionConfig, None, words)
    protocol, data = load_protocol(arguments.protocol), open_root(arguments.data)
    views = PredictedViews(find_checkpoint(arguments.checkpoint), arguments.predictions)
    network = PipelineNetwork(views.network, {}, torch.device("cpu"))
    known: dict[str, Any] = {}
    if arguments.json.exists():
        known = {row["room"]: row for row in map(json.loads, arguments.json.read_text().splitlines())}
    names = sorted({key.partition("/")[0] for key in data.split(None).keys})[: arguments.rooms]
    for name in names:
        if name not in known:
            known[name] = _measured_room(data, name, arguments, views, network, protocol, config)
            with arguments.json.open("a") as file:
                file.write(json.dumps(known[name]) + "\n")
    print(table([known[name] for name in names]))


def _measured_room(
    data: DataRoot,
    name: str,
    arguments: argparse.Namespace,
    views: PredictedViews,
    network: PipelineNetwork,
    protocol: Protocol,
    config: FusionConfig,
) -> dict[str, Any]:
    room = read_room(data, name, arguments.views, views)
    shown = [Shown.read(arguments.data, sample) for sample in room.samples]
    return measured(room, shown, network, protocol, config)


if __name__ == "__main__":
    main()
