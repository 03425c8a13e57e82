"""The names of BUOL's published weights (appendix A) and what they are called here, from ours to theirs.

The longest prefix first, since one of our modules always is one of theirs.
"""

import re

from panoptic3d.models.up_projection.names import UP_PROJECTION

_UNIT_2D = {"conv.": "0.", "norm.": "1."}
_UNIT_3D = {"block.conv.": "0.", "block.norm.": "1."}
_SEPARABLE_2D = {"depthwise.conv.": "0.0.", "depthwise.norm.": "0.1.", "pointwise.conv.": "1.", "pointwise.norm.": "2."}
_SEPARABLE_3D = {
    "wide.block.conv.": "0.0.",
    "wide.block.norm.": "0.1.",
    "point.block.conv.": "1.",
    "point.block.norm.": "2.",
}
_RESIDUAL_3D = {
    "first.conv.": "conv1.",
    "first.norm.": "norm1.",
    "second.conv.": "conv2.",
    "second.norm.": "norm2.",
    "shortcut.conv.": "downsample.0.",
    "shortcut.norm.": "downsample.1.",
}
_HEADS_2D = {"semantic_logits": "semantic2d", "centre_heat": "center2d", "centre_offsets": "offset2d"}
_HEADS_3D = {
    "semantic": "semantic3d",
    "centre_heat": "center3d",
    "centre_offsets": "offset3d",
    "occupancy": "occupancy3d",
    "distance": "geometry",
}
_STEMS = {"semantic": "conv_sem", "occupancy": "conv_occ", "place": "conv_dep"}

# Patterns of one of our prefixes -> their prefix, and the names inside of it.
_RULES: tuple[tuple[str, str, dict[str, str]], ...] = (
    (r"trunk\.", "bb2d.", {}),
    (r"panoptic\.(\w+)\.aspp\.views\.(\d)\.", r"bu2d.\1.aspp.convs.\2.", _UNIT_2D),
    (r"panoptic\.(\w+)\.aspp\.mean\.", r"bu2d.\1.aspp.convs.4.aspp_pooling.1.", {}),
    (r"panoptic\.(\w+)\.aspp\.project\.", r"bu2d.\1.aspp.project.", _UNIT_2D),
    (r"panoptic\.(\w+)\.skip\.(\d)\.", r"bu2d.\1.project.\2.", _UNIT_2D),
    (r"panoptic\.(\w+)\.fuse\.(\d)\.", r"bu2d.\1.fuse.\2.0.", _SEPARABLE_2D),
    (r"panoptic\.(\w+)\.heads\.(\w+)\.0\.", r"bu2d.\1.classifier.\2.0.0.", _SEPARABLE_2D),
    (r"panoptic\.(\w+)\.heads\.(\w+)\.1\.", r"bu2d.\1.classifier.\2.1.", {}),
    (r"rays\.squeeze\.", "depth.D.", {"conv.": "conv.", "norm.": "bn."}),
    (r"rays\.fused\.", "depth.MFF.", {"conv.": "conv.", "norm.": "bn."}),
    (r"rays\.climb\.(\d)\.", r"depth.D.up{\1+1}.", UP_PROJECTION),
    (r"rays\.fuse\.(\d)\.", r"depth.MFF.up{\1+1}.", UP_PROJECTION),
    (r"rays\.planes\.read\.(\d)\.conv\.", r"depth.C.0.conv\1.", {}),
    (r"rays\.planes\.read\.(\d)\.norm\.", r"depth.C.0.bn\1.", {}),
    (r"rays\.planes\.logits\.", "depth.C.0.conv2.", {}),
    (r"rays\.read\.(\d)\.conv\.", r"depth.C.1.conv\1.", {}),
    (r"rays\.read\.(\d)\.norm\.", r"depth.C.1.bn\1.", {}),
    (r"rays\.depth\.", "depth.C.1.conv2.", {}),
    (r"voxel_net\.trunk\.stages\.(\d)\.(\d)\.", r"bb3d.layer{\1+1}.\2.", _RESIDUAL_3D),
    (r"voxel_net\.trunk\.(semantic|occupancy|place)\.", r"bb3d.\1.", _RESIDUAL_3D),
    (r"voxel_net\.(\w+)\.aspp\.views\.(\d)\.", r"bu3d.\1.aspp.convs.\2.", _UNIT_3D),
    (r"voxel_net\.(\w+)\.aspp\.mean\.", r"bu3d.\1.aspp.convs.4.aspp_pooling.1.", {}),
    (r"voxel_net\.(\w+)\.aspp\.project\.", r"bu3d.\1.aspp.project.", _UNIT_3D),
    (r"voxel_net\.(\w+)\.skip\.(\d)\.", r"bu3d.\1.project.\2.", _UNIT_3D),
    (r"voxel_net\.(\w+)\.up\.(\d)\.", r"bu3d.\1.upsample.\2.", {}),
    (r"voxel_net\.(\w+)\.fuse\.(\d)\.", r"bu3d.\1.fuse.\2.0.", _SEPARABLE_3D),
    (r"voxel_net\.(\w+)\.heads\.(\w+)\.0\.", r"bu3d.\1.classifier.\2.0.0.", _SEPARABLE_3D),
    (r"voxel_net\.(\w+)\.heads\.(\w+)\.1\.", r"bu3d.\1.classifier.\2.1.", {}),
)


def their_name(our_name: str) -> str:
    """The name in a published checkpoint. The kind of a sparse kernel's last part is the caller's business."""
    for pattern, theirs, inside in _RULES:
        match = re.match(pattern, our_name)
        if match:
            prefix = _with_numbers(match.expand(theirs))
            return _with_their_words(prefix) + _inner(our_name[match.end() :], inside)
    raise KeyError(our_name)


def _with_numbers(prefix: str) -> str:
    return re.sub(r"\{(\d)\+1\}", lambda match: str(int(match.group(1)) + 1), prefix)


def _with_their_words(prefix: str) -> str:
    words = prefix.split(".")
    table = _HEADS_3D if words[0] == "bu3d" else _HEADS_2D
    if words[0] == "bb3d":
        words[1] = _STEMS.get(words[1], words[1])
    if "classifier" in words:
        at = words.index("classifier") + 1
        words[at] = table[words[at]]
    return ".".join(words)


def _inner(rest: str, inside: dict[str, str]) -> str:
    for ours, theirs in inside.items():
        if rest.startswith(ours):
            return theirs + rest.removeprefix(ours)
    return rest
