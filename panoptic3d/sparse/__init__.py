"""Sparse convolution: voxel sets, plans built once, operations, layers, back ends. docs/sparse.md is the tour."""

from panoptic3d.sparse.backends.choice import BACKENDS, SelfTestResult, self_test
from panoptic3d.sparse.config import DEFAULT_SPARSE_CONFIG, SparseConfig
from panoptic3d.sparse.convolution import conv, conv_transpose
from panoptic3d.sparse.dense import from_dense, to_dense
from panoptic3d.sparse.interpolation import from_parent, image_features_at, interpolated, upsampled
from panoptic3d.sparse.joining import join, meet, moved_onto, prune
from panoptic3d.sparse.kernel import Convention, Kernel
from panoptic3d.sparse.norms import batch_norm, instance_norm
from panoptic3d.sparse.plan import Plan, PlanBook, make_plan
from panoptic3d.sparse.pooling import global_pool, pool, unpool
from panoptic3d.sparse.scatter import scatter
from panoptic3d.sparse.voxels import (
    all_voxels,
    clipped,
    coarsened,
    generated,
    intersection,
    mirrored,
    pruned,
    reached_coarse,
    rows_in,
    rows_of_cells,
    union,
    voxel_set,
    voxels_of_mask,
)

__all__ = [
    "BACKENDS",
    "DEFAULT_SPARSE_CONFIG",
    "Convention",
    "Kernel",
    "Plan",
    "PlanBook",
    "SelfTestResult",
    "SparseConfig",
    "all_voxels",
    "batch_norm",
    "clipped",
    "coarsened",
    "conv",
    "conv_transpose",
    "from_dense",
    "from_parent",
    "generated",
    "global_pool",
    "image_features_at",
    "instance_norm",
    "interpolated",
    "intersection",
    "join",
    "make_plan",
    "meet",
    "mirrored",
    "moved_onto",
    "pool",
    "prune",
    "pruned",
    "reached_coarse",
    "rows_in",
    "rows_of_cells",
    "scatter",
    "self_test",
    "to_dense",
    "union",
    "unpool",
    "upsampled",
    "voxel_set",
    "voxels_of_mask",
]
