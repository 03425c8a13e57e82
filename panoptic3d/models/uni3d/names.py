"""The names of Uni-3D's published weights (section 9 of its specification) and what they are called here.

Rules are read from ours to theirs: the longest prefix, then the parts inside of a module.
"""

import re

_PIXEL = "sem_seg_head.pixel_decoder."
_JOINT = "sem_seg_head.predictor."
_NET = "completion."

# our prefix -> their prefix
_PREFIXES = {
    "trunk.conv1.": "backbone.stem.conv1.",
    "trunk.bn1.": "backbone.stem.conv1.norm.",
    **{f"trunk.layer{i}.": f"backbone.res{i + 1}." for i in range(1, 5)},
    "panoptic.pixel_decoder.project.": f"{_PIXEL}input_proj.",
    "panoptic.pixel_decoder.level_embed": f"{_PIXEL}transformer.level_embed",
    "panoptic.pixel_decoder.layers.": f"{_PIXEL}transformer.encoder.layers.",
    "panoptic.pixel_decoder.lateral.0.": f"{_PIXEL}adapter_1.",
    "panoptic.pixel_decoder.lateral.1.": f"{_PIXEL}adapter_1.norm.",
    "panoptic.pixel_decoder.smooth.0.": f"{_PIXEL}layer_1.",
    "panoptic.pixel_decoder.smooth.1.": f"{_PIXEL}layer_1.norm.",
    "panoptic.pixel_decoder.mask_features.": f"{_PIXEL}mask_features.",
    "panoptic.pixel_decoder.depth_features.": f"{_PIXEL}depth_features.",
    "panoptic.joint_decoder.classes.": f"{_JOINT}class_embed.",
    "panoptic.joint_decoder.pairs.": f"{_JOINT}cross_transformer_attention_layers.",
    **{
        f"panoptic.joint_decoder.{stream}.{ours}.": f"{_JOINT}{theirs}."
        for stream, part, layer, maps in (
            ("segments", "", "transformer", "mask_embed"),
            ("depths", "depth_", "depth_transformer", "depth_embed"),
        )
        for ours, theirs in (
            ("features", f"{part}query_feat"),
            ("positions", f"{part}query_embed"),
            ("levels", f"{part}level_embed"),
            ("norm", f"{part}decoder_norm"),
            ("cross", f"{layer}_cross_attention_layers"),
            ("among", f"{layer}_self_attention_layers"),
            ("feed", f"{layer}_ffn_layers"),
            ("maps", maps),
        )
    },
    **{
        f"voxel_net.inputs.{name}.": f"{_NET}input_encoders.{i}."
        for i, name in enumerate(("depth", "features", "classes"))
    },
    "voxel_net.encode128.": f"{_NET}level_encoders.0.",
    "voxel_net.encode64.": f"{_NET}level_encoders.1.",
    **{f"voxel_net.adapters.{i}.": f"{_NET}feature_adapters.{i}.0." for i in range(3)},
    **{f"voxel_net.bottleneck.down.{i}.": f"{_NET}level_encoders.{i + 2}." for i in range(3)},
    **{f"voxel_net.bottleneck.up.{i}.": f"{_NET}level_decoders.{i + 2}.0." for i in range(3)},
    "voxel_net.generate128.conv.": f"{_NET}level_decoders.1.0.",
    "voxel_net.generate128.norm.": f"{_NET}level_decoders.1.1.",
    "voxel_net.generate128.block.": f"{_NET}level_decoders.1.3.",
    "voxel_net.generate256.conv.": f"{_NET}level_decoders.0.0.",
    "voxel_net.generate256.norm.": f"{_NET}level_decoders.0.1.",
    "voxel_net.occupancy64.": f"{_NET}level_occupancy_heads.2.",
    "voxel_net.occupancy128.": f"{_NET}level_occupancy_heads.1.linear.",
    "voxel_net.embed64.": f"{_NET}level_segm_embeddings.2.",
    "voxel_net.embed128.": f"{_NET}level_segm_embeddings.1.",
    "voxel_net.embed256.norm.": f"{_NET}level_segm_embeddings.0.0.",
    "voxel_net.embed256.block.": f"{_NET}level_segm_embeddings.0.2.",
    **{f"voxel_net.project{256 >> i}.": f"{_NET}level_segm_query_projection.{i}." for i in range(3)},
    **{
        f"voxel_net.{ours}.{part}.": f"{_NET}{theirs}.{number}."
        for ours, theirs in (("occupancy256", "level_occupancy_heads.0"), ("surface", "geometry_head"))
        for part, number in (("norm", 0), ("block", 2), ("out", 3))
    },
}

# Inside of a module, by the beginning of our name: pattern -> replacement, all of them in turn.
_INSIDE = {
    "trunk.layer": (
        (r"\.bn(\d)\.", r".conv\1.norm."),
        (r"\.downsample\.0\.", ".shortcut."),
        (r"\.downsample\.1\.", ".shortcut.norm."),
    ),
    "panoptic.pixel_decoder.layers.": (
        (r"\.attention\.offsets\.", ".self_attn.sampling_offsets."),
        (r"\.attention\.weights\.", ".self_attn.attention_weights."),
        (r"\.attention\.values\.", ".self_attn.value_proj."),
        (r"\.attention\.out\.", ".self_attn.output_proj."),
    ),
    "voxel_net.": (
        (r"\.norm(\d)\.", r".bn\1."),
        (r"\.shortcut\.conv\.", ".downsample.0."),
        (r"\.shortcut\.norm\.", ".downsample.1."),
        (r"\.shortcut\.weight", ".downsample.weight"),
    ),
}  # fmt: skip
_ATTENTION = (
    (r"\.projections$", ".in_proj_weight"),
    (r"\.shifts$", ".in_proj_bias"),
    (r"\.out\.", ".out_proj."),
)


def their_name(our_name: str) -> str:
    """The name in a published checkpoint. The kind of a sparse kernel's last part is the caller's business."""
    prefix = max((p for p in _PREFIXES if our_name.startswith(p)), key=len)
    rest = our_name.removeprefix(prefix)
    for beginning, rules in _INSIDE.items():
        if our_name.startswith(beginning):
            rest = _replaced(f".{rest}", rules)[1:]
    return _PREFIXES[prefix] + _in_attention(our_name, rest)


def _in_attention(our_name: str, rest: str) -> str:
    """Theirs wrap torch's attention in a module that also holds the norm."""
    kinds = {".cross.": "multihead_attn", ".among.": "self_attn", ".pairs.": "self_attn"}
    inner = next((name for part, name in kinds.items() if part in our_name and "joint_decoder" in our_name), None)
    layer, _, leaf = rest.partition(".")
    if inner is None or leaf.startswith("norm"):
        return rest
    return f"{layer}.{inner}{_replaced(f'.{leaf}', _ATTENTION)}"


def _replaced(text: str, rules: tuple[tuple[str, str], ...]) -> str:
    for pattern, replacement in rules:
        text = re.sub(pattern, replacement, text)
    return text
