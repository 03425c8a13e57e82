"""The interface between a method and the training loop: a module whose forward is the objective, and scenes to evaluate."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import ClassVar

from torch import Tensor, nn

from panoptic3d.config import Config
from panoptic3d.structures.batch import Batch
from panoptic3d.structures.scene import PanopticScene


class Method(nn.Module, ABC):
    """A network together with its objective. DDP wraps this module, so everything that trains happens in `forward`.

    Every draw of random numbers inside of `forward` comes from a stream named by the step and the sample's key, never from
    the global stream and never from the rank: two ranks of one sample then train as one rank of two.
    """

    settings_kind: ClassVar[type[Config]]  # of the constructor's only argument
    # Of `network_config`, for methods that no `MethodCard` tells of: with `build()`, which gives what `predict` runs.
    network_kind: ClassVar[type[Config] | None] = None
    network: nn.Module  # what a checkpoint keeps and `predict` loads
    network_config: Config  # what is written beside the weights
    # By part: the step from which the run trains it. A curriculum of a part counts from there; none given: from 0.
    first_steps: Mapping[str, int] = MappingProxyType({})

    @abstractmethod
    def forward(self, batch: Batch, step: int) -> Mapping[str, Tensor]:
        """Weighted terms by their names in the log. Their sum is the objective: the mean over the samples of the batch."""

    @abstractmethod
    def parts(self) -> Mapping[str, Sequence[nn.Module]]:
        """Parts that a stage can train or freeze, by name, such as `2d` and `3d`. Together they are the whole network."""

    def trains(self, part: str) -> bool:
        """Whether the stage lets any parameter of a part learn."""
        return any(parameter.requires_grad for module in self.parts()[part] for parameter in module.parameters())

    @abstractmethod
    def scenes(self, batch: Batch) -> Sequence[PanopticScene]:
        """Decided scenes, one a sample, from the photo and the camera alone."""


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while; every part then has the mode that it had."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode
