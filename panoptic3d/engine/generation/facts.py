"""Statistics of one generated sample, cheap enough to compute for all."""

from typing import Any

import numpy as np

from panoptic3d.structures.sample import DISTANCE_TRUNCATION_VOX, LABEL_BAND_VOX, Sample

DEPTH_BIN_M, NUM_DEPTH_BINS = 0.5, 20
SIZE_EDGES = (0.0, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # shares of the picture
_MIN_THING_PIXELS = 50


def facts_of(sample: Sample) -> dict[str, Any]:
    truth = sample.truth
    assert truth is not None
    num_classes = len(sample.taxonomy)
    depth = sample.depth_m.numpy()
    semantic = sample.semantic_2d.numpy()
    distance = truth.distance_vox.abs().numpy()
    labelled = truth.semantic.numpy()[distance < LABEL_BAND_VOX]
    shares, classes = _things(sample)
    seen = depth[depth > 0]
    low, middle, high = np.quantile(seen, (0.01, 0.5, 0.99)).tolist() if seen.size else (0.0, 0.0, 0.0)
    depth_bins = np.minimum((seen / DEPTH_BIN_M).astype(int), NUM_DEPTH_BINS - 1)
    return {
        "pixels_by_class": np.bincount(semantic.ravel(), minlength=num_classes).tolist(),
        "voxels_by_class": np.bincount(labelled, minlength=num_classes).tolist(),
        "things_by_class": np.bincount(np.array(classes, int), minlength=num_classes).tolist(),
        "thing_sizes": np.histogram(shares, SIZE_EDGES)[0].tolist(),
        "num_things": len(shares),
        "voxels_below_1": int((distance < LABEL_BAND_VOX).sum()),
        "voxels_below_3": int((distance < DISTANCE_TRUNCATION_VOX).sum()),
        "depth_histogram": np.bincount(depth_bins, minlength=NUM_DEPTH_BINS).tolist(),
        "depth_m": [round(low, 3), round(middle, 3), round(high, 3)],
        "brightness": round(float(sample.image.float().mean()), 2),
    }


def _things(sample: Sample) -> tuple[list[float], list[int]]:
    """Share of the picture and class of every thing with enough pixels."""
    semantic, instance = sample.semantic_2d.numpy().ravel(), sample.instance_2d.numpy().ravel()
    is_thing = np.isin(semantic, sample.taxonomy.thing_ids)
    numbers, first, counts = np.unique(instance[is_thing], return_index=True, return_counts=True)
    kept = counts >= _MIN_THING_PIXELS
    classes = semantic[is_thing][first[kept]]
    assert len(numbers) == len(counts)
    return (counts[kept] / semantic.size).tolist(), classes.tolist()
