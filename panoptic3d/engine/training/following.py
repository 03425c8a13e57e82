"""Open the trackers of a run, on the main rank only."""

import json
import uuid

from panoptic3d import distributed
from panoptic3d.config import canonical_json
from panoptic3d.engine.training.config import TrainingConfig
from panoptic3d.engine.training.records import RunFolder
from panoptic3d.tracking.curves_page import CurvesPage
from panoptic3d.tracking.json_lines import JsonLines
from panoptic3d.tracking.tensorboard_tracker import TensorboardTracker
from panoptic3d.tracking.tracker import Tracker, Trackers
from panoptic3d.tracking.wandb_tracker import WandbTracker


def open_trackers(config: TrainingConfig, folder: RunFolder, step: int) -> Tracker:
    """`step` is the one that the run goes on from."""
    if not distributed.is_main():
        return Trackers(())
    asked = config.tracking
    followers: list[Tracker] = [JsonLines(folder.metrics, step), CurvesPage(folder.path, folder.metrics, step)]
    if asked.tensorboard:
        followers.append(TensorboardTracker(folder.path / "tensorboard", step))
    if asked.wandb != "disabled":
        tree = json.loads(canonical_json(config))
        name = asked.name or folder.path.name
        run_id = _wandb_id(folder)
        followers.append(WandbTracker(folder.path, asked.wandb, run_id, asked.project, asked.entity, name, tree))
    return Trackers(followers)


def _wandb_id(folder: RunFolder) -> str:
    """Drawn once a run folder, so that a run that goes on is one run there."""
    facts = folder.read_facts()
    if "wandb_id" not in facts:
        facts["wandb_id"] = uuid.uuid4().hex[:12]
        folder.write_facts(facts)
    return facts["wandb_id"]
