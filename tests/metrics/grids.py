"""Small random grids of labels for the tests of this room."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from panoptic3d.metrics.evaluation_mask import Frustum
from panoptic3d.metrics.labelled import LabelledVoxels, PixelLabels
from panoptic3d.metrics.panoptic_quality import Truth

SHAPE = (11, 9, 70)  # more than one word along z


@dataclass(frozen=True, eq=False)
class Volumes:
    distance: np.ndarray
    semantic: np.ndarray
    instance: np.ndarray

    @property
    def labelled(self) -> LabelledVoxels:
        return LabelledVoxels.from_volumes(self.distance, self.semantic, self.instance)

    @property
    def triple(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.distance, self.semantic, self.instance


def blocks(rng: np.random.Generator, num_blocks: int, shape: tuple[int, int, int] = SHAPE) -> Volumes:
    """Boxes of labels, odd ones among them: things without an id, stuff with one, mixed classes, nothing at the surface."""
    distance = rng.choice(np.array([0.0, 0.5, 63 / 64, 1.0, -0.5, -1.0, 2.0], dtype=np.float16), shape)
    semantic, instance = np.zeros(shape, np.uint8), np.zeros(shape, np.uint16)
    for _ in range(num_blocks):
        low = [int(rng.integers(0, size - 1)) for size in shape]
        box = tuple(slice(a, a + int(rng.integers(1, 7))) for a in low)
        semantic[box] = rng.choice([0, 1, 3, 3, 5, 10, 11, 12])
        instance[box] = rng.choice([0, 0, 4, 7, 9, 150, 300])
        if rng.random() < 0.3:
            semantic[box][rng.random(semantic[box].shape) < 0.3] = rng.choice([0, 3, 10, 11])
    return Volumes(distance, semantic, instance)


def jittered(rng: np.random.Generator, truth: Volumes) -> Volumes:
    """Something like a prediction of it: shifted, renamed, partly forgotten."""
    shift = tuple(int(s) for s in rng.integers(-1, 2, 3))
    distance, semantic, instance = (np.roll(volume, shift, (0, 1, 2)) for volume in truth.triple)
    forgotten = rng.random(semantic.shape) < 0.1
    semantic = np.where(forgotten, 0, semantic).astype(np.uint8)
    return Volumes(distance, semantic, np.where(instance == 7, 40_000, instance).astype(np.uint16))


def pixels_of(rng: np.random.Generator, truth: Volumes, size: tuple[int, int] = (20, 24)) -> PixelLabels:
    """A 2D label map that shows some of the volume's instances, with walls and floor under ids of their own."""
    things = [(int(c), int(i)) for c, i in {*zip(truth.semantic.ravel(), truth.instance.ravel(), strict=True)} if i]
    choices = [*sorted(things), (10, 41), (11, 8), (0, 0), (12, 77)]
    rows = rng.integers(0, len(choices), size)
    rows[: size[0] // 2] = rng.integers(0, len(choices))  # one label with many pixels
    labels = np.array(choices)[rows]
    return PixelLabels(labels[..., 0].astype(np.uint8), labels[..., 1].astype(np.int32))


def truth_of(rng: np.random.Generator, truth: Volumes, frustum: np.ndarray | None = None) -> Truth:
    mask = rng.random(truth.semantic.shape) < 0.9 if frustum is None else frustum
    return Truth(truth.labelled, pixels_of(rng, truth), Frustum(mask))


seeds = st.integers(0, 2**32 - 1)
