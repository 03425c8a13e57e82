"""Settings of the training of clearview."""

from pydantic import Field

from panoptic3d.config import Config
from panoptic3d.data.sensor_faults import SensorFaults
from panoptic3d.models.clearview.config import ClearviewConfig


class ClearviewWeights(Config):
    """Weights of the loss terms. A weight of 0 removes its term, as the ablations do."""

    depth: float = 1.0  # teaches the spread
    depth_error: float = 4.0
    slope: float = 1.0
    cue: float = 2.0  # depth that is right up to a factor, or to scale and shift
    cue_slope: float = 1.0
    normals: float = 0.0  # of metric depth, and of depth up to a factor
    pixel_classes: float = 1.0
    layout: float = 1.0
    planes: float = 1.0
    stance: float = 2.0
    ceiling: float = 0.5
    pixel_votes: float = 2.0
    vote_spread: float = 0.5
    occupancy_64: float = 2.0
    occupancy_128: float = 2.0
    occupancy_256: float = 2.0
    heat: float = 0.5
    seed_classes: float = 0.5
    votes: float = 0.1
    membership: float = 1.0
    classes: float = 1.0
    distance: float = 1.0
    shell: float = 2.0


class ClearviewTrainingConfig(Config):
    network: ClearviewConfig = ClearviewConfig()
    weights: ClearviewWeights = ClearviewWeights()
    seed: int = 0  # of the random choices in training
    imagenet: bool = True  # start the trunk from ImageNet weights
    keeps_norms: bool | None = (
        None  # the statistics of the trunk's norms stay as they came; if not given: as `imagenet`
    )
    imagenet_file: str = ""  # a local file; else the pip package of the trunk
    # The share of samples whose voxels read the true depth (blurred by `depth_jitter`) instead of the network's own: from
    # the first value down to the second over so many steps from where the volume begins to learn.
    true_depth: tuple[float, float] = (0.8, 0.1)
    true_depth_steps: int = Field(default=3000, ge=1)
    depth_jitter: float = Field(default=0.02, ge=0)  # relative, one for an image
    helps_with_things: bool = False  # those samples read true classes, votes and stance as well
    # Faults of a sensor, applied to the true depth of those samples: the voxel net learns to trust good depth and to repair
    # bad depth. None: the true depth has no faults.
    sensor: SensorFaults | None = None
    seed_jitter_cells: float = Field(default=0.6, ge=0)
    extra_seeds: int = Field(default=4, ge=0)  # strong places without a thing, which voxels must learn to refuse
    spare: float = Field(default=0.5, ge=0)  # wrongly occupied voxels that are refined too, for each right one
    # The share of space, in blocks drawn anew for each sample and step, in which the finest level is refined and judged. Its
    # terms are means over voxels or over segments, so that those of a share are those of the whole, but for noise.
    finest_share: float = Field(default=1.0, gt=0, le=1)
    steps_64: int = Field(default=200, ge=0)  # for so many steps the volume ends at 64^3
