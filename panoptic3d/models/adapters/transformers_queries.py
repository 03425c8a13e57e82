"""Mask2Former and OneFormer of `transformers` as the 2D stage: their queries and masks, with depth from any source.

They say nothing of depth, so the caller brings it: a depth network, or what a phone has measured. Everything after that
(which queries are kept, how they become segments, what is lifted) is decided as for the mask transformer.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn

from panoptic3d.backbones.pyramid import Pyramid
from panoptic3d.errors import InputError
from panoptic3d.models.adapters.stage import PyramidWithPhoto
from panoptic3d.models.mask_transformer.config import MaskTransformerConfig
from panoptic3d.models.mask_transformer.decision import DEPTH, SegmentDecision
from panoptic3d.models.mask_transformer.joint_decoder import QueryMaps
from panoptic3d.models.mask_transformer.pixel_decoder import PixelFeatures
from panoptic3d.models.slots import Panoptic2D
from panoptic3d.optional import require
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.taxonomy import VOID, Taxonomy

DepthSource = Callable[[UInt8[Tensor, "b 3 h w"], tuple[Camera, ...]], Float[Tensor, "b h w"]]  # metres along the axis

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # normalisation of the models' input


@dataclass(frozen=True, eq=False)
class Answer:
    """Outputs of these models under common names. Masks and features have stride 4."""

    class_logits: Float[Tensor, "b q labels"]  # "no object" last
    mask_logits: Float[Tensor, "b q h4 w4"]
    embeddings: Float[Tensor, "b q c"]
    mask_features: Float[Tensor, "b d h4 w4"]


class TransformersQueries:
    """Not a module, so that its weights are not saved in our checkpoints. The trunk must be a `TrunkWithPhoto`.

    `class_of_label` says which class of the taxonomy a label of the model is; other labels are void.
    """

    def __init__(
        self,
        model: nn.Module,
        depth: DepthSource,
        class_of_label: Mapping[int, int],
        config: MaskTransformerConfig,
        taxonomy: Taxonomy,
        task_inputs: Int64[Tensor, "1 tokens"] | None = None,
    ) -> None:
        self.model, self.depth, self.class_of_label = model.eval(), depth, dict(class_of_label)
        self.decide, self.taxonomy, self.task_inputs = SegmentDecision(config, taxonomy), taxonomy, task_inputs

    @torch.no_grad()
    def __call__(self, pyramid: Pyramid, cameras: tuple[Camera, ...]) -> Panoptic2D:
        assert isinstance(pyramid, PyramidWithPhoto), "the trunk must be a TrunkWithPhoto"
        answer = ask(self.model, pyramid.photo, self.task_inputs)
        said = QueryMaps(
            class_logits=our_classes(answer.class_logits, self.class_of_label, len(self.taxonomy)),
            mask_logits=answer.mask_logits,
            depth_share=torch.zeros_like(answer.mask_logits),
            embeddings=answer.embeddings,
            depth_embeddings=answer.embeddings,
        )
        found = self.decide(PixelFeatures((), answer.mask_features, None), said, cameras)
        size = (found.maps[DEPTH].shape[1], found.maps[DEPTH].shape[2])
        return Panoptic2D(found.instances, {**found.maps, DEPTH: self._depth_of(pyramid.photo, cameras, size)})

    def _depth_of(
        self, photo: UInt8[Tensor, "b 3 h w"], cameras: tuple[Camera, ...], size: tuple[int, int]
    ) -> Float[Tensor, "b h2 w2"]:
        """Depth of the image without its padding, at the resolution of the maps; pixels are never averaged."""
        picture = photo[:, :, : cameras[0].height, : cameras[0].width]
        return F.interpolate(self.depth(picture, cameras)[:, None], size=size, mode="nearest-exact")[:, 0]


def load_model(folder: Path) -> nn.Module:
    """A model that `save_pretrained` wrote. Nothing is downloaded, and no code of the folder runs."""
    transformers = require("transformers", "the adapter of Mask2Former and OneFormer")
    try:
        return transformers.AutoModelForUniversalSegmentation.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_safetensors=True
        )
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{folder} holds no model of universal segmentation ({reason}); give a folder made by save_pretrained."
        ) from None


def ask(model: nn.Module, photo: UInt8[Tensor, "b 3 h w"], task_inputs: Tensor | None = None) -> Answer:
    device = next(model.parameters()).device
    mean, std = (torch.tensor(v, device=device)[:, None, None] for v in (_MEAN, _STD))
    pixels = (photo.to(device).float() / 255 - mean) / std
    needs_task = getattr(getattr(model, "config", None), "model_type", "") == "oneformer"
    task = {}
    if needs_task:
        if task_inputs is None:
            raise InputError("a OneFormer is told its task; give `task_inputs`, the tokens of 'the task is panoptic'.")
        task = {"task_inputs": task_inputs.expand(len(photo), -1).to(device)}
    said: Any = model(pixel_values=pixels, **task)
    if needs_task:
        embeddings, features = said.transformer_decoder_object_queries, said.pixel_decoder_hidden_states[0]
    else:
        embeddings, features = said.transformer_decoder_last_hidden_state, said.pixel_decoder_last_hidden_state
    tensors = (said.class_queries_logits, said.masks_queries_logits, embeddings, features)
    return Answer(*(tensor.float().to(photo.device) for tensor in tensors))


def our_classes(
    logits: Float[Tensor, "b q labels"], class_of_label: Mapping[int, int], num_classes: int
) -> Float[Tensor, "b q classes"]:
    """Probabilities of labels of one class add up. "No object" stays the last."""
    num_labels = logits.shape[2] - 1
    columns = [torch.full_like(logits[..., 0], -torch.inf) for _ in range(num_classes)]
    for class_id in {*class_of_label.values(), VOID}:
        labels = [label for label in range(num_labels) if class_of_label.get(label, VOID) == class_id]
        if labels:
            columns[class_id] = logits[..., labels].logsumexp(dim=2)
    return torch.stack((*columns, logits[..., -1]), dim=2)
