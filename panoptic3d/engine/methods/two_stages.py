"""What methods of two stages share: a 2D stage and a 3D stage, of which either trains alone or both do."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from panoptic3d.backbones.pyramid import Pyramid
from panoptic3d.engine.methods.base import Method, evaluating
from panoptic3d.models.pipeline import Pipeline
from panoptic3d.models.slots import Panoptic2D
from panoptic3d.structures.batch import Batch
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.scene import PanopticScene

Terms = dict[str, Tensor]


class TwoStages(Method):
    """A part trains if any of its parameters asks for a gradient, and only the terms of such parts are computed. The other
    part then stays in evaluation mode, its norms included.
    """

    network: Pipeline

    def parts(self) -> Mapping[str, Sequence[nn.Module]]:
        slots = dict(self.network.named_children())
        return {"2d": (slots["trunk"], slots["panoptic"], slots["rays"]), "3d": (slots["voxel_net"],)}

    def train(self, mode: bool = True) -> "TwoStages":
        super().train(mode)
        for module in (module for part, modules in self.parts().items() if not self.trains(part) for module in modules):
            module.eval()
        return self

    def scenes(self, batch: Batch) -> Sequence[PanopticScene]:
        with evaluating(self):
            return self.network.infer(batch.image, batch.cameras)


def no_panoptic(pyramid: Pyramid, cameras: tuple[Camera, ...]) -> Panoptic2D:
    """In place of the panoptic stage: the truth brings its maps, or a training looks at single parts of it."""
    return Panoptic2D(())


def add_terms(samples: list[Terms], more: list[Terms]) -> None:
    for sample, terms in zip(samples, more, strict=True):
        sample |= terms


def mean_terms(samples: list[Terms]) -> Terms:
    """Means over the samples of a batch."""
    return {name: torch.stack([terms[name] for terms in samples]).mean() for name in samples[0]}
