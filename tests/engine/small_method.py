"""A real method small enough for tests of the loop: a depth decoder and a sparse U-Net for the classes of seen voxels."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from panoptic3d.config import Config
from panoptic3d.engine.methods.base import Method
from panoptic3d.geometry.pinhole import pixel_grid, unproject
from panoptic3d.randomness import torch_generator
from panoptic3d.sparse.layers.unet import SparseUNet, SparseUNetConfig
from panoptic3d.sparse.voxels import voxel_set
from panoptic3d.structures.batch import Batch
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.structures.sparse_voxels import SparseVoxels
from panoptic3d.structures.taxonomy import FLOOR, FRONT3D_TAXONOMY

_NUM_CLASSES = len(FRONT3D_TAXONOMY)


class SmallConfig(Config):
    method: Literal["small"] = "small"
    width: int = 4
    dtype: Literal["float32", "float64"] = "float32"
    norm: Literal["batch", "none"] = "none"
    steps_of_depth_alone: int = 0
    poison: tuple[str, ...] = ()  # keys of samples whose loss is NaN
    dropout: float = 0.0


class SmallNetwork(nn.Module):
    def __init__(self, config: SmallConfig) -> None:
        super().__init__()
        norm = nn.BatchNorm2d(config.width) if config.norm == "batch" else nn.Identity()
        drop = nn.Dropout(config.dropout)
        self.depth = nn.Sequential(
            nn.Conv2d(3, config.width, 3, 2, 1), norm, nn.ReLU(), drop, nn.Conv2d(config.width, 1, 3, 1, 1)
        )
        self.voxels = SparseUNet(SparseUNetConfig(num_in=4, channels=(config.width, 2 * config.width), norm="instance"))
        self.classes = nn.Linear(config.width, _NUM_CLASSES)


class SmallMethod(Method):
    settings_kind: ClassVar[type[Config]] = SmallConfig

    def __init__(self, config: SmallConfig) -> None:
        super().__init__()
        self.network_config = config
        self.network = SmallNetwork(config).to(getattr(torch, config.dtype))
        self.dtype = getattr(torch, config.dtype)

    def parts(self) -> Mapping[str, Sequence[nn.Module]]:
        return {"2d": [self.network.depth], "3d": [self.network.voxels, self.network.classes]}

    def forward(self, batch: Batch, step: int) -> Mapping[str, Tensor]:
        depth_m = self._depth(batch)
        error = (depth_m - batch.depth_m.to(self.dtype)).abs().flatten(1).mean(1)
        factor = torch.tensor([float("nan") if key in self.network_config.poison else 1.0 for key in batch.keys])
        terms = {"depth": (factor.to(error) * error).mean()}
        if step >= self.network_config.steps_of_depth_alone:
            terms["classes"] = self._class_term(batch, step)
        return terms

    @torch.no_grad()
    def scenes(self, batch: Batch) -> Sequence[PanopticScene]:
        voxels = self._lifted(batch, self._depth(batch))
        label = self._logits(voxels, batch).argmax(1)
        scenes = []
        for number, (truth, camera) in enumerate(zip(batch.truths, batch.cameras, strict=True)):
            mine = voxels.coords[:, 0] == number
            x, y, z = voxels.coords[mine][:, 1:].long().unbind(1)
            distance = torch.full(truth.grid.shape, 3.0)
            semantic = torch.zeros(truth.grid.shape, dtype=torch.uint8)
            distance[x, y, z] = 0.0
            semantic[x, y, z] = torch.where(label[mine] > 0, label[mine], FLOOR).to(torch.uint8)
            instance = torch.zeros(truth.grid.shape, dtype=torch.int32)
            scenes.append(PanopticScene(distance, semantic, instance, camera, truth.grid))
        return scenes

    def _depth(self, batch: Batch) -> Tensor:
        pixels = batch.image.to(self.dtype) / 255
        return 2 + F.interpolate(self.network.depth(pixels), size=pixels.shape[2:], mode="bilinear")[:, 0]

    def _class_term(self, batch: Batch, step: int) -> Tensor:
        """Per sample, then the mean over samples: so that ranks of one add up to a rank of two."""
        voxels = self._lifted(batch, batch.depth_m.to(self.dtype))
        logits = self._logits(voxels, batch)
        losses = []
        for number, (key, truth) in enumerate(zip(batch.keys, batch.truths, strict=True)):
            mine = voxels.coords[:, 0] == number
            cells = voxels.coords[mine][:, 1:].long()
            target = truth.dense_semantic()[cells[:, 0], cells[:, 1], cells[:, 2]].long()
            chosen = torch.rand(len(target), generator=torch_generator(step, "voxels", key)) < 0.9
            losses.append(F.cross_entropy(logits[mine][chosen], target[chosen], reduction="sum") / max(1, chosen.sum()))
        return torch.stack(losses).mean()

    def _logits(self, voxels: SparseVoxels, batch: Batch) -> Tensor:
        shape = torch.tensor(voxels.shape, dtype=self.dtype)
        features = torch.cat((voxels.coords[:, 1:] / shape, torch.ones(len(voxels), 1)), dim=1).to(self.dtype)
        return self.network.classes(self.network.voxels(features, voxels)[0].features)

    def _lifted(self, batch: Batch, depth_m: Tensor) -> SparseVoxels:
        grid = batch.truths[0].grid
        coords = [torch.zeros(0, 4, dtype=torch.int32)]
        for number, (depth, camera) in enumerate(zip(depth_m, batch.cameras, strict=True)):
            pixels = pixel_grid(camera.height, camera.width, dtype=torch.float64).view(-1, 2)
            points = unproject(pixels, depth.detach().double().flatten(), camera.intrinsics)
            index = grid.index_from_camera(points).round().int()
            inside = ((index >= 0) & (index < torch.tensor(grid.shape))).all(1)
            index = index[inside]
            coords.append(torch.cat((torch.full((len(index), 1), number, dtype=torch.int32), index), dim=1))
        return voxel_set(torch.cat(coords), len(batch), grid.shape)
