"""Queries that become segments with their depth (section 3.3).

Two streams of as many queries read the pixel decoder's maps: one says what and where, the other how far. Query j of one
stream and query j of the other look at each other in every layer. Both read the maps only within the segment's mask so far.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from panoptic3d.geometry.precision import widened, without_autocast
from panoptic3d.models.mask_transformer.attention import Attention, FeedForward, Mlp
from panoptic3d.models.mask_transformer.config import JointDecoderConfig
from panoptic3d.models.mask_transformer.pixel_decoder import PixelFeatures
from panoptic3d.models.mask_transformer.positions import sine_positions

_NUM_LEVELS = 3


@dataclass(frozen=True, eq=False)
class QueryMaps:
    """What the queries say: classes ("no object" last), mask logits, and depth as a share of the depth scale."""

    class_logits: Float[Tensor, "b q classes"]
    mask_logits: Float[Tensor, "b q h w"]
    depth_share: Float[Tensor, "b q h w"]
    embeddings: Float[Tensor, "b q c"]  # of the segments, normalised: what voxels are compared with
    depth_embeddings: Float[Tensor, "b q c"]


class QueryStream(nn.Module):
    """One of the two streams: its queries, its layers, and what reads its maps."""

    def __init__(self, width: int, config: JointDecoderConfig) -> None:
        super().__init__()
        self.features = nn.Embedding(config.num_queries, width)
        self.positions = nn.Embedding(config.num_queries, width)
        self.levels = nn.Embedding(_NUM_LEVELS, width)
        self.cross = nn.ModuleList(Attention(width, config.num_heads) for _ in range(config.num_layers))
        self.among = nn.ModuleList(Attention(width, config.num_heads) for _ in range(config.num_layers))
        self.feed = nn.ModuleList(FeedForward(width, config.hidden) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(width)
        self.maps = Mlp(width)

    def read(
        self,
        layer: int,
        x: Float[Tensor, "b q c"],
        map_: Float[Tensor, "b k c"],
        places: Float[Tensor, "k c"],
        is_allowed: Bool[Tensor, "b q k"],
    ) -> Float[Tensor, "b q c"]:
        """Queries look at a map of the pixel decoder."""
        memory = map_ + self.levels.weight[layer % _NUM_LEVELS]
        return self.cross[layer](x, x + self.positions.weight, memory + places, memory, is_allowed)

    def confer(self, layer: int, x: Float[Tensor, "b q c"]) -> Float[Tensor, "b q c"]:
        """Queries of the stream look at one another, then each by itself."""
        placed = x + self.positions.weight
        return self.feed[layer](self.among[layer](x, placed, placed, x))

    def map_of(self, normed: Float[Tensor, "b q c"], features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b q h w"]:
        """In float32: with the steps of bfloat16 a depth of 4 m would jump by 10 cm."""
        with without_autocast(features.device):
            return torch.einsum("bqc,bchw->bqhw", self.maps(widened(normed)), widened(features))


class JointDecoder(nn.Module):
    def __init__(self, width: int, num_classes: int, config: JointDecoderConfig) -> None:
        super().__init__()
        self.segments = QueryStream(width, config)
        self.depths = QueryStream(width, config)
        self.pairs = nn.ModuleList(Attention(width, config.num_heads) for _ in range(config.num_layers))
        self.classes = nn.Linear(width, num_classes + 1)

    def forward(self, features: PixelFeatures, *, with_layers: bool = False) -> tuple[QueryMaps, ...]:
        """The prediction behind the last layer; with `with_layers` those before it too, in order, the first of no layer."""
        memories = [map_.flatten(2).transpose(1, 2) for map_ in features.coarse]
        places = [_places(map_) for map_ in features.coarse]
        seen = [_resized(features.mask_features, map_) for map_ in features.coarse]
        batch = len(features.mask_features)
        segments = self.segments.features.weight.expand(batch, -1, -1)
        depths = self.depths.features.weight.expand(batch, -1, -1)
        said = []
        for layer in range(len(self.pairs)):
            if with_layers:
                said.append(self._said(segments, depths, features))
            at = layer % _NUM_LEVELS
            is_allowed = self._allowed(segments, seen[at])
            segments = self.segments.read(layer, segments, memories[at], places[at], is_allowed)
            depths = self.depths.read(layer, depths, memories[at], places[at], is_allowed)
            segments, depths = self._paired(layer, segments, depths)
            segments, depths = self.segments.confer(layer, segments), self.depths.confer(layer, depths)
        return (*said, self._said(segments, depths, features))

    def _paired(self, layer: int, segments: Tensor, depths: Tensor) -> tuple[Tensor, Tensor]:
        """Each query attends to the two tokens of its pair, not to the 200 of all (section 11, 14)."""
        pair = torch.stack((segments, depths), dim=2)
        position = torch.stack((self.segments.positions.weight, self.depths.positions.weight), dim=1)
        placed = pair + position
        batch = len(pair)
        rows = self.pairs[layer](*(x.flatten(0, 1) for x in (pair, placed, placed, pair)))
        return rows[:, 0].unflatten(0, (batch, -1)), rows[:, 1].unflatten(0, (batch, -1))

    @torch.no_grad()
    def _allowed(self, segments: Float[Tensor, "b q c"], seen: Float[Tensor, "b c h w"]) -> Bool[Tensor, "b q k"]:
        """Where the mask is likelier than not; everywhere for a query whose mask is empty. Resizing the features instead of
        the products gives the same masks for less.
        """
        is_likely = (self.segments.map_of(self.segments.norm(segments), seen).sigmoid() >= 0.5).flatten(2)
        return is_likely | ~is_likely.any(dim=2, keepdim=True)

    def _said(self, segments: Tensor, depths: Tensor, features: PixelFeatures) -> QueryMaps:
        assert features.depth_features is not None, "the pixel decoder that goes with this decoder gives them"
        segments, depths = self.segments.norm(segments), self.depths.norm(depths)
        return QueryMaps(
            class_logits=widened(self.classes(segments)),
            mask_logits=self.segments.map_of(segments, features.mask_features),
            depth_share=self.depths.map_of(depths, features.depth_features).sigmoid(),
            embeddings=widened(segments),
            depth_embeddings=widened(depths),
        )


def _places(map_: Float[Tensor, "b c h w"]) -> Float[Tensor, "k c"]:
    return sine_positions(map_.shape[2], map_.shape[3], map_.shape[1], map_.device).flatten(1).t()


def _resized(features: Float[Tensor, "b c h w"], like: Float[Tensor, "b c h2 w2"]) -> Float[Tensor, "b c h2 w2"]:
    return F.interpolate(features, size=(like.shape[2], like.shape[3]), mode="bilinear")
