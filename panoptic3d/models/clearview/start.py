"""The initial prediction of voxels from the maps alone, and learned corrections of it.

Near the visible surface the maps know best: how far away it is, which cells it fills, where the centre of its thing lies. The
voxel net begins with that answer and learns corrections: a shift of the surface, a share by which it is believed, a better
centre. Behind the surface the share falls, and the net speaks for itself.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from panoptic3d.geometry.precision import widened
from panoptic3d.models.clearview.gather import Evidence, VisibleEvidence
from panoptic3d.models.clearview.seeds import Votes
from panoptic3d.structures.sparse_voxels import SparseVoxels
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY, Taxonomy

_BAND_VOX, _HALF_DIAGONAL = 2.0, 0.87  # of the band that is refined; of a cell whose side is 1
_TRUSTED = 3.0  # the logit of the share on the surface; it falls by one a voxel
_FAR_VOX = 8.0
_MOST_SURE = 4.0  # the logit that a pixel alone may add for or against a thing


class StartFromMaps(nn.Module):
    def __init__(self, width: int, taxonomy: Taxonomy = FRONT3D_TAXONOMY) -> None:
        super().__init__()
        self.things, self.stuff = list(taxonomy.thing_ids), list(taxonomy.stuff_ids)
        self.voted = nn.Parameter(torch.ones(()))  # weight in the heat map: surface that votes for a cell
        self.filled = nn.Parameter(torch.ones(()))  # weight in the occupancy: voxels that contain the surface
        self.seen = nn.Parameter(torch.ones(()))  # weight in the logit of "no thing": the class of the pixel
        # Per voxel: how much of the maps' distance and vote to keep, and a shift of the surface in voxels.
        self.said = nn.Linear(width, 3)
        nn.init.normal_(self.said.weight, std=1e-3)
        nn.init.zeros_(self.said.bias)

    def occupancy(self, evidence: Evidence, voxels: SparseVoxels) -> Float[Tensor, " n"]:
        """Only ever in favour: what lies behind the surface may be occupied by something else."""
        reach = _BAND_VOX + _HALF_DIAGONAL * (voxels.stride - 1)
        gap = evidence.visible(voxels).signed_vox.abs()
        return self.filled * (reach - gap).clamp(0, _TRUSTED)

    def distance(
        self, features: Float[Tensor, "n c"], visible: VisibleEvidence, own_vox: Float[Tensor, " n"]
    ) -> Float[Tensor, " n"]:
        said = widened(self.said(features))
        share = (said[:, 0] + _TRUSTED - visible.signed_vox.abs()).sigmoid()
        shifted = (visible.signed_vox.clamp(-_FAR_VOX, _FAR_VOX) + said[:, 2]).abs()
        return share * shifted + (1 - share) * own_vox

    def votes(
        self,
        features: Float[Tensor, "n c"],
        visible: VisibleEvidence,
        seen: Float[Tensor, "n classes"],
        own: Votes,
    ) -> Votes:
        """`seen`: log probabilities of the classes of the pixel."""
        assert visible.centre_vox is not None
        centre, embedding, nothing = own
        share = (widened(self.said(features))[:, 1] + _TRUSTED - visible.signed_vox.abs()).sigmoid()
        centre = centre + share[:, None] * (visible.centre_vox - centre)
        against = torch.logsumexp(seen[:, self.stuff], dim=1) - torch.logsumexp(seen[:, self.things], dim=1)
        return Votes(centre, embedding, nothing + self.seen * share * against.clamp(-_MOST_SURE, _MOST_SURE))
