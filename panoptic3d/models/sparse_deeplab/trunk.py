"""The sparse trunk: three stems side by side, four residual stages (section 6.1)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from panoptic3d.models.sparse_deeplab.config import SparseDeepLabConfig
from panoptic3d.sparse import Kernel, PlanBook, coarsened
from panoptic3d.sparse.layers.blocks import ResidualBlock
from panoptic3d.structures.sparse_voxels import SparseVoxels

_NUM_PLACE = 2  # sign and metres behind the surface
_STRIDED_POINT = Kernel(1, 2)  # a 1^3 kernel of stride 2: reads only the voxel at the coarse voxel's corner


@dataclass(frozen=True, eq=False)
class TrunkLevel:
    voxels: SparseVoxels
    features: Float[Tensor, "n c"]


class SparseTrunk(nn.Module):
    """Classes times occupancy, beside the place along the ray, at stride 2; then down to stride 16."""

    def __init__(self, config: SparseDeepLabConfig) -> None:
        super().__init__()
        self.num_classes = config.num_classes
        stem, width = config.stem_channels, 2 * config.stem_channels
        self.semantic, self.occupancy, self.place = (
            ResidualBlock(num_in, stem, 2, shortcut=_STRIDED_POINT, shortcut_bias=True)
            for num_in in (config.num_classes, 1, _NUM_PLACE)
        )
        self.channels = (width, 2 * width, 4 * width, 8 * width)
        self.stages = nn.ModuleList(
            nn.ModuleList((_first_block(before, after), ResidualBlock(after, after)))
            for before, after in zip((width, *self.channels[:3]), self.channels, strict=True)
        )

    def forward(
        self, features: Float[Tensor, "n f"], voxels: SparseVoxels, book: PlanBook
    ) -> tuple[TrunkLevel, TrunkLevel, TrunkLevel, TrunkLevel]:
        """Strides 2, 4, 8, 16."""
        target = coarsened(voxels, 2)
        classes, occupancy, place = features.split((self.num_classes, 1, _NUM_PLACE), dim=1)
        x = torch.cat(
            (
                self.semantic(classes, voxels, target, book) * self.occupancy(occupancy, voxels, target, book),
                self.place(place, voxels, target, book),
            ),
            dim=1,
        )
        levels = []
        for number, stage in enumerate(self.stages):
            source, target = target, target if number == 0 else coarsened(target, 2)
            first, second = stage.children()
            x = second(first(x, source, target, book), target, target, book)
            levels.append(TrunkLevel(target, x))
        return levels[0], levels[1], levels[2], levels[3]


def _first_block(num_in: int, num_out: int) -> ResidualBlock:
    if num_in == num_out:
        return ResidualBlock(num_in, num_out)
    return ResidualBlock(num_in, num_out, 2, shortcut=_STRIDED_POINT)
