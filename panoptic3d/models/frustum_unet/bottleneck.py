"""The dense U-Net at 64^3 and below."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from panoptic3d.models.frustum_unet.blocks import DenseBlock


class Bottleneck(nn.Module):
    """Three levels down and up again; skips are concatenated in front. Twice the channels that go in come out."""

    def __init__(self, width: int) -> None:
        super().__init__()
        a, b, c = 2 * width, 4 * width, 4 * width
        self.down = nn.ModuleList(
            nn.Sequential(DenseBlock(num_in, num_out, 2), DenseBlock(num_out, num_out))
            for num_in, num_out in ((width, a), (a, b), (b, c))
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose3d(num_in, num_out, 4, stride=2, padding=1, bias=False)
            for num_in, num_out in ((2 * a, width), (2 * b, a), (c, b))
        )

    def forward(self, x: Float[Tensor, "b c x y z"]) -> Float[Tensor, "b c2 x y z"]:
        return self._up(self.up[0], self.inner(x), x)

    def inner(self, x: Float[Tensor, "b c x y z"]) -> Float[Tensor, "b c4 x2 y2 z2"]:
        """All but the last step up."""
        skips = [x]
        for step in self.down:
            skips.append(step(skips[-1]))
        x = skips.pop()
        for step in reversed(self.up[1:]):
            x = self._up(step, x, skips.pop())
        return x

    def _up(self, step: nn.Module, x: Tensor, skip: Tensor) -> Tensor:
        return torch.cat((skip, F.relu(F.instance_norm(step(x)))), dim=1)
