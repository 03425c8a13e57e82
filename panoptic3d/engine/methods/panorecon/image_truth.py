"""2D ground truth of a batch, resized to the network's input and feature maps."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from panoptic3d.data.targets import Instances2d, instances_of_maps
from panoptic3d.structures.batch import Batch
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.instances import Instances2D
from panoptic3d.structures.taxonomy import Taxonomy

_MIN_MASK_IOU = 0.5  # a detection must cover more of a true mask to be it


@dataclass(frozen=True, eq=False)
class ImageTruth:
    camera: Camera  # of the image as the network sees it
    things: Instances2d  # there
    depth_m: Float[Tensor, "h w"]  # at the size of the depth map; 0 where unknown

    @property
    def boxes_px(self) -> Float[Tensor, "n 4"]:
        return self.things.boxes.float()

    @property
    def class_ids(self) -> Int64[Tensor, " n"]:
        return torch.tensor(self.things.classes, dtype=torch.int64, device=self.things.boxes.device)


def image_truth(
    batch: Batch,
    member: int,
    camera: Camera,
    depth_size: tuple[int, int],
    taxonomy: Taxonomy,
    min_pixels: int,
    max_instances: int | None,
) -> ImageTruth:
    """Labels and depth are taken from the nearest pixel, never mixed."""
    size = (camera.height, camera.width)
    things = instances_of_maps(
        _nearest(batch.semantic_2d[member], size),
        _nearest(batch.instance_2d[member], size),
        taxonomy,
        min_pixels,
        max_instances,
    )
    return ImageTruth(camera, things, _nearest(batch.depth_m[member], depth_size))


def shuffled_numbers(things: Instances2d, num_channels: int, generator: torch.Generator) -> dict[int, int]:
    """File id -> number, distinct. Numbers go beyond the channels only where there are more instances than those."""
    highest = max(num_channels, len(things.ids))
    drawn = torch.randperm(highest, generator=generator)[: len(things.ids)] + 1
    return dict(zip(things.ids, drawn.tolist(), strict=True))


def channel_of(number: int, num_channels: int) -> int:
    """Channels are dealt out again when they are used up, as the lift does it."""
    return (number - 1) % num_channels + 1


def numbered(rows: Mapping[int, Float[Tensor, "h w"]], camera: Camera, device: torch.device) -> Instances2D:
    """Masks by number as detections by number: the lift gives the n-th channel n, and numbers without a mask stay empty."""
    count = max(rows, default=0)
    found = Instances2D.empty(camera, device)
    if count == 0:
        return found
    masks = torch.zeros((count, camera.height, camera.width), device=device)
    for number, mask in rows.items():
        masks[number - 1] = mask
    return Instances2D(
        camera=camera,
        boxes_px=torch.zeros((count, 4), device=device),
        class_ids=torch.zeros(count, dtype=torch.int64, device=device),
        scores=torch.ones(count, device=device),
        masks=masks,
        is_confident=torch.ones(count, dtype=torch.bool, device=device),
    )


def matched(found: Instances2D, things: Instances2d, takes_best: bool) -> dict[int, int]:
    """File id -> row of the detection that shows it. Every true mask in turn takes one that none before it has taken."""
    overlap = mask_iou(things.masks, found.masks > 0.5)
    rows: dict[int, int] = {}
    for instance, row in zip(things.ids, overlap, strict=True):
        row[list(rows.values())] = 0
        fitting = (row > _MIN_MASK_IOU).nonzero()[:, 0]
        if len(fitting):
            rows[instance] = int(row.argmax() if takes_best else fitting[0])
    return rows


def mask_iou(first: Bool[Tensor, "n h w"], second: Bool[Tensor, "m h w"]) -> Float[Tensor, "n m"]:
    a, b = first.flatten(1).float(), second.flatten(1).float()
    shared = a @ b.t()
    return shared / (a.sum(dim=1)[:, None] + b.sum(dim=1)[None] - shared).clamp(min=1)


def _nearest(map_: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(map_.shape) == size:
        return map_
    rows, columns = (_centres(n, m, map_.device) for n, m in zip(map_.shape, size, strict=True))
    return map_[rows[:, None], columns]


def _centres(length: int, wanted: int, device: torch.device) -> Int64[Tensor, " {wanted}"]:
    """Nearest-neighbour resize: the pixel under the centre of each target pixel, so 1, 3, 5, ... at half the size."""
    return ((2 * torch.arange(wanted, device=device) + 1) * length) // (2 * wanted)
