"""Nine real frames of one home that overlap, alone and fused. One home carries no claim: the numbers are printed only."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from eval.fusion.predicted import PredictedViews
from eval.fusion.rooms import Room, cut_to_views, read_views, view_sums
from panoptic3d import fuse
from panoptic3d.data.roots import open_root
from panoptic3d.metrics.bootstrap import mean_scores
from panoptic3d.metrics.protocol import load_protocol
from panoptic3d.models.checkpoints.find import find_checkpoint
from panoptic3d.structures.scene import PanopticScene

_HOME = "70f7c6c1-c48f-4106-bcef-40b80b84bbad"
_FRAMES = ("0002", "0006", "0007", "0008", "0009", "0012", "0014", "0015", "0017")  # all see a part of 0008

pytestmark = [pytest.mark.real, pytest.mark.slow]


def _room(real_root: Path, views: PredictedViews | None) -> Room:
    return read_views(open_root(real_root / "front3d"), [f"{_HOME}/{frame}" for frame in _FRAMES], views)


def _prq(scenes: Iterable[PanopticScene], room: Room) -> float:
    rows = view_sums(scenes, room.frames, load_protocol("strict"))
    return 100 * float(mean_scores(np.sum([row["prq"] for row in rows], axis=0), "classes_seen")[0])


def test_fused_truth_is_the_truth_of_every_frame(real_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With ids that say nothing across frames. What two frames tell of one voxel differs: each carries a cut of its own."""
    room = _room(real_root, None)
    prq = _prq(cut_to_views(fuse(room.scenes, room.poses), room, room.poses), room)
    with capsys.disabled():
        print(f"\ntruth of {len(_FRAMES)} real frames, fused: PRQ {prq:.1f}")
    assert prq > 90


@pytest.mark.parametrize("checkpoint", ["tiny", "any-camera"])
def test_what_a_network_gains(checkpoint: str, real_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    room = _room(real_root, PredictedViews(find_checkpoint(checkpoint)))
    alone = _prq(room.scenes, room)
    fused = _prq(cut_to_views(fuse(room.scenes, room.poses), room, room.poses), room)
    with capsys.disabled():
        print(f"\n{checkpoint} on {len(_FRAMES)} real frames: PRQ {alone:.2f} alone, {fused:.2f} fused")
    assert alone > 0
    assert fused > 0
