"""The terms of a two-stage detector (PanoRecon, section 4.1) on rows that a sampler has chosen."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

_ANCHOR_BETA = 1 / 9


def objectness_term(positive: Float[Tensor, " p"], negative: Float[Tensor, " q"]) -> Tensor:
    """Binary cross entropy of the sampled anchors' logits, their mean."""
    logits = torch.cat((positive, negative))
    truth = torch.cat((torch.ones_like(positive), torch.zeros_like(negative)))
    return F.binary_cross_entropy_with_logits(logits, truth, reduction="sum") / max(len(logits), 1)


def anchor_box_term(code: Float[Tensor, "p 4"], truth: Float[Tensor, "p 4"], num_sampled: int) -> Tensor:
    """Summed over positives, divided by all that were sampled."""
    return F.smooth_l1_loss(code, truth, beta=_ANCHOR_BETA, reduction="sum") / max(num_sampled, 1)


def roi_class_term(
    logits: Float[Tensor, "n classes"], labels: Int64[Tensor, " n"], class_weights: Float[Tensor, " classes"] | None
) -> Tensor:
    """Cross entropy, the mean weighted by the classes. The reference weighs background by 0.001 (section 10, 13)."""
    return F.cross_entropy(logits, labels, weight=class_weights) if len(labels) else logits.sum()


def roi_box_term(
    codes: Float[Tensor, "n classes4"], labels: Int64[Tensor, " n"], truth: Float[Tensor, "p 4"]
) -> Tensor:
    """The box code of the true class of every positive row (label > 0), divided by all rows."""
    positives = (labels > 0).nonzero()[:, 0]
    chosen = codes.unflatten(1, (-1, 4))[positives, labels[positives]]
    return F.smooth_l1_loss(chosen, truth, beta=1.0, reduction="sum") / max(len(labels), 1)


def roi_mask_term(
    logits: Float[Tensor, "p classes m m"], labels: Int64[Tensor, " p"], truth: Float[Tensor, "p m m"]
) -> Tensor:
    """Binary cross entropy of the mask of the true class, the mean over all its cells."""
    if not len(labels):
        return logits.sum()
    chosen = logits[torch.arange(len(labels), device=labels.device), labels]
    return F.binary_cross_entropy_with_logits(chosen, truth)


def mask_targets(
    masks: Bool[Tensor, "p h w"], boxes_px: Float[Tensor, "p 4"], size: int
) -> Float[Tensor, "p {size} {size}"]:
    """Each mask cut out by its box (rounded to pixels, at least one of them) and resized bilinearly."""
    height, width = masks.shape[1:]
    targets = masks.new_zeros((len(masks), size, size), dtype=torch.float32)
    for row, (mask, box) in enumerate(zip(masks, boxes_px.round().long().tolist(), strict=True)):
        left, top = (min(max(v, 0), n - 1) for v, n in zip(box[:2], (width, height), strict=True))
        right, bottom = max(box[2], left) + 1, max(box[3], top) + 1
        cut = mask[top:bottom, left:right].float()
        targets[row] = F.interpolate(cut[None, None], size=(size, size), mode="bilinear")[0, 0]
    return targets
