"""The config of a training run. `settings` belongs to the method, whose config class validates it."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from panoptic3d.config import Config
from panoptic3d.data.loader import LoaderConfig

Beta = Annotated[float, Field(ge=0, lt=1)]
Precision = Literal["fp32", "bf16", "fp16"]


class DataConfig(Config):
    root: str
    split: str | None = None  # all that lies there without one
    num_samples: int | None = Field(default=None, ge=1)  # only the first of the split
    validation_root: str | None = None  # the same as `root` without one
    validation_split: str | None = None


class OptimizerConfig(Config):
    name: Literal["sgd", "adam", "adamw"] = "adamw"
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    has_decay_on_vectors: bool = False  # norms and biases
    momentum: float = Field(default=0.9, ge=0, lt=1)  # of sgd
    betas: tuple[Beta, Beta] = (0.9, 0.999)  # of adam and adamw
    rate_of_part: dict[str, float] = Field(default_factory=dict)  # a factor for a part's learning rate


class ScheduleConfig(Config):
    """The factor of the learning rate as a function of the stage's step."""

    name: Literal["constant", "step", "cosine", "poly"] = "constant"
    warmup_steps: int = Field(default=0, ge=0)
    warmup_from: float = Field(default=0.0, ge=0)
    milestones: tuple[int, ...] = ()  # of `step`
    gamma: float = Field(default=0.1, gt=0)  # of `step`
    power: float = Field(default=0.9, gt=0)  # of `poly`
    final: float = Field(default=0.0, ge=0)  # where `cosine` and `poly` end


class StageConfig(Config):
    """Some steps with some of the method's parts. What is not trained is frozen, its norms too."""

    name: str
    steps: int = Field(ge=1)
    train: tuple[str, ...] = ()  # names of the method's parts; none: all of them
    has_voxels: bool = True  # False: only the 2D parts train, and samples are read without their volumes
    optimizer: OptimizerConfig | None = None  # the run's without one
    schedule: ScheduleConfig | None = None
    # A head that saw no thing on one rank has no gradient there. Switch it off where every parameter is always used.
    find_unused_parameters: bool = True


class CheckpointConfig(Config):
    every: int = Field(default=500, ge=1)  # steps
    keep: int = Field(default=2, ge=1)  # the newest; the best one by PRQ is kept besides


class ValidationConfig(Config):
    every: int = Field(default=0, ge=0)  # steps; 0: never
    num_samples: int | None = Field(default=None, ge=1)  # spread over the split; none: all of it
    protocol: str = "strict"
    num_scenes_shown: int = Field(default=0, ge=0)  # given to the trackers


class FaultsConfig(Config):
    """How much may go wrong before a run gives up, over all ranks and the whole run; beside `loader.max_bad_samples`."""

    max_non_finite_steps: int = Field(default=20, ge=0)
    num_dumps: int = Field(default=3, ge=0)  # batches with a non-finite loss that are kept for `train --replay`


class TrackingConfig(Config):
    wandb: Literal["disabled", "offline", "online"] = "disabled"
    project: str = "panoptic3d"
    entity: str | None = None
    name: str | None = None
    tensorboard: bool = False


class TrainingConfig(Config):
    method: str  # a built-in method, or `package.module:Class`
    settings: Config  # of the method; its type depends on `method`
    data: DataConfig
    stages: tuple[StageConfig, ...] = Field(min_length=1)
    loader: LoaderConfig = LoaderConfig()  # `batch_size` is that of one rank
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    precision: Precision = "fp32"
    accumulation: int = Field(default=1, ge=1)  # batches a step
    clip_norm: float | None = Field(default=None, gt=0)
    ema_decay: float | None = Field(default=None, gt=0, lt=1)
    start_from: str | None = None  # a shipped checkpoint's name, or a folder with weights such as another run's
    # The slots whose weights are taken, such as [trunk, rays], from a network whose other slots are filled otherwise.
    start_from_slots: tuple[str, ...] | None = None
    start_from_smaller: bool = False  # weights of fewer channels fill the first ones of a wider network
    compile_2d: bool = False
    activation_checkpointing: bool = False
    checkpoint: CheckpointConfig = CheckpointConfig()
    validation: ValidationConfig = ValidationConfig()
    faults: FaultsConfig = FaultsConfig()
    tracking: TrackingConfig = TrackingConfig()
    folder: str | None = None  # `runs/<name of the config>` without one
    log_every: int = Field(default=10, ge=1)
    seed: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    is_deterministic: bool = False  # refuses operations that are not, at some cost on CUDA
    rank_timeout_s: float = Field(default=60.0, gt=0)  # how long a rank waits for another before the job ends

    @property
    def num_steps(self) -> int:
        return sum(stage.steps for stage in self.stages)

    @model_validator(mode="after")
    def _stages_have_names_of_their_own(self) -> "TrainingConfig":
        names = [stage.name for stage in self.stages]
        if len(set(names)) != len(names):
            raise ValueError(f"two stages share a name ({', '.join(names)}); give each its own")
        return self
