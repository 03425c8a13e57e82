"""The names of an up-projection in published weights: PanoRecon's and BUOL's are both of Hu et al. (2019)."""

UP_PROJECTION = {
    "narrow.conv.": "conv1.",
    "narrow.norm.": "bn1.",
    "refine.conv.": "conv1_2.",
    "refine.norm.": "bn1_2.",
    "shortcut.conv.": "conv2.",
    "shortcut.norm.": "bn2.",
}
