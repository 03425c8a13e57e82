"""The names of PanoRecon's published weights (section 8) and what they are called here, both ways.

Rules are read from ours to theirs, the longest prefix first, since one of our modules always is one of theirs.
"""

import re

from panoptic3d.models.up_projection.names import UP_PROJECTION

_SUB = "submodule."
_UNET = "frustum3d.model.model."

# our prefix -> their prefix
_PREFIXES = {
    "trunk.": "encoder2d.",
    "rays.squeeze.conv.": "depth2d.model.D.conv.",
    "rays.squeeze.norm.": "depth2d.model.D.bn.",
    "rays.fused.conv.": "depth2d.model.MFF.conv.",
    "rays.fused.norm.": "depth2d.model.MFF.bn.",
    "rays.read.0.conv.": "depth2d.model.R.conv0.",
    "rays.read.0.norm.": "depth2d.model.R.bn0.",
    "rays.read.1.conv.": "depth2d.model.R.conv1.",
    "rays.read.1.norm.": "depth2d.model.R.bn1.",
    "rays.depth.": "depth2d.model.R.conv2.",
    **{f"rays.climb.{i}.": f"depth2d.model.D.up{i + 1}." for i in range(4)},
    **{f"rays.fuse.{i}.": f"depth2d.model.MFF.up{i + 1}." for i in range(4)},
    "panoptic.proposals.conv.": "instance2d.rpn.head.conv.",
    "panoptic.proposals.objectness.": "instance2d.rpn.head.cls_logits.",
    "panoptic.proposals.regression.": "instance2d.rpn.head.bbox_pred.",
    "panoptic.box_head.stage.": "instance2d.roi_heads.box.feature_extractor.head.layer2.",
    "panoptic.box_head.classes.": "instance2d.roi_heads.box.predictor.cls_score.",
    "panoptic.box_head.regression.": "instance2d.roi_heads.box.predictor.bbox_pred.",
    "panoptic.mask_head.stage.": "instance2d.roi_heads.mask.feature_extractor.head.layer2.",
    "panoptic.mask_head.up.": "instance2d.roi_heads.mask.predictor.conv5_mask.",
    "panoptic.mask_head.logits.": "instance2d.roi_heads.mask.predictor.mask_fcn_logits.",
    **{f"voxel_net.inputs.{name}.": f"{_UNET}encoder_{name}.0." for name in ("depth", "features", "instances")},
    "voxel_net.encode128.": f"{_UNET}encoder.",
    "voxel_net.encode64.": f"{_UNET}{_SUB}encoder.",
    **{f"voxel_net.bottleneck.down.{i}.": f"{_UNET}{_SUB * (i + 2)}encoder." for i in range(3)},
    **{f"voxel_net.bottleneck.up.{i}.": f"{_UNET}{_SUB * (i + 2)}decoder.0." for i in range(3)},
    "voxel_net.generate128.conv.": f"{_UNET}{_SUB}decoder.0.",
    "voxel_net.generate128.norm.": f"{_UNET}{_SUB}decoder.1.",
    "voxel_net.generate128.block.": f"{_UNET}{_SUB}decoder.3.",
    "voxel_net.generate256.conv.": f"{_UNET}decoder.0.",
    "voxel_net.generate256.norm.": f"{_UNET}decoder.1.",
    "voxel_net.heads64.occupancy.": f"{_UNET}{_SUB}proxy_occupancy_64_head.0.",
    "voxel_net.heads128.occupancy.": f"{_UNET}proxy_occupancy_128_head.0.linear.",
    **{
        f"voxel_net.heads64.{ours}.{part}.": f"{_UNET}{_SUB}proxy_{ours}_64_head.{theirs}."
        for ours in ("instance", "semantic")
        for part, theirs in (("blocks.0", 0), ("blocks.1", 1), ("out", 2))
    },
    **{
        f"voxel_net.heads128.{ours}.{part}.": f"{_UNET}proxy_{ours}_128_head.{theirs}."
        for ours in ("instance", "semantic")
        for part, theirs in (("block", 0), ("out", 1))
    },
    **{
        f"voxel_net.heads256.{ours}.{part}.": f"frustum3d.{theirs}_head.network.{number}."
        for ours, theirs in (
            ("occupancy", "occupancy_256"),
            ("surface", "surface"),
            ("semantic", "semantic"),
            ("instance", "instance"),
        )
        for part, number in (("norm", 0), ("block", 2), ("out", 3))
    },
}

# Inside of a module: our part -> their part.
_BLOCK = {"shortcut.conv.": "downsample.0.", "shortcut.norm.": "downsample.1.", "shortcut.": "downsample."}

# The first upload (December 2021) -> now.
_OLD_NAMES = {
    "proxy_output": "proxy_occupancy_128_head",
    "proxy_instances_128_head": "proxy_instance_128_head",
    "proxy_conv1": "proxy_occupancy_64_head",
    "proxy_semantics": "proxy_semantic_64_head",
    "proxy_instances": "proxy_instance_64_head",
    "completion_256_head": "occupancy_256_head",
    "completion_head": "surface_head",
}


def their_name(our_name: str) -> str:
    """The present name in a published checkpoint. The kind of a sparse kernel's last part is the caller's business."""
    prefix = max((p for p in _PREFIXES if our_name.startswith(p)), key=len)
    rest = our_name.removeprefix(prefix)
    inner = UP_PROJECTION if prefix.startswith(("rays.climb", "rays.fuse.")) else _BLOCK
    for ours, theirs in inner.items():
        at = re.search(rf"(^|\.){re.escape(ours)}", rest)
        if at:
            rest = rest[: at.start()] + at.group(1) + theirs + rest[at.end() :]
            break
    return _PREFIXES[prefix] + rest


def present_name(name: str) -> str:
    """A name of the first upload as it is called now; other names stay."""
    return ".".join(_OLD_NAMES.get(part, part) for part in name.split("."))


def old_name(name: str) -> str:
    """The name of the first upload; names that never changed stay."""
    back = {now: old for old, now in _OLD_NAMES.items()}
    return ".".join(back.get(part, part) for part in name.split("."))
