"""Draws docs/images/evaluation-dialects.svg: one wall and one chair, seen from above, as four evaluators compare them.

Run from the repository: `python eval/pictures/dialects.py`. The shapes are made by the evaluator's own code.
"""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np

from panoptic3d.metrics.bit_volume import grown, pack_voxels
from panoptic3d.metrics.protocol import Protocol, load_protocol

TARGET = Path(__file__).resolve().parents[2] / "docs" / "images" / "evaluation-dialects.svg"
SHAPE = (22, 5, 17)  # x, y, z; the picture shows the middle of y
_CELL, _GAP, _TOP = 9, 26, 46
_COLORS = {"both": "#7a5195", "truth": "#5b8fd6", "prediction": "#ef8a47", "outside": "#e4e4e4", "free": "#ffffff"}
_CAPTIONS = {
    "panorecon": ("grows to +x +y +z only", "mask not turned with the volumes"),
    "uni3d": ("grows to +x +y +z only", "mask not turned with the volumes"),
    "buol": ("works on turned volumes:", "grows to -x -y +z; mask fits"),
    "strict": ("grows to all sides", "mask fits"),
}


def frustum() -> np.ndarray:
    """What a camera below the picture sees, a little to the right, so that its mirror image differs."""
    x, _, z = np.indices(SHAPE)
    return (x > 9.6 - 0.62 * z) & (x < 13.4 + 0.62 * z) & (z >= 1)


def shells() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Voxels of the true and of the predicted surface; the prediction is one voxel too far to the right and too deep."""
    wall, chair = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    wall[1:21, :, 13] = True
    chair[9:14, :, 7] = chair[9, :, 5:8] = True
    return {"wall": (wall, np.roll(wall, 1, axis=2)), "chair": (chair, np.roll(chair, (1, 1), axis=(0, 2)))}


def compared(shell: np.ndarray, protocol: Protocol, mask: np.ndarray) -> np.ndarray:
    ranges = protocol.thickening.ranges
    return grown(pack_voxels(np.flatnonzero(shell), SHAPE, ranges), ranges).dense() & mask


def draw() -> str:
    width, height = SHAPE[0] * _CELL, SHAPE[2] * _CELL
    panels = [
        f'<g transform="translate({_GAP + place * (width + _GAP)},{_TOP})">{_panel(load_protocol(name))}</g>'
        for place, name in enumerate(_CAPTIONS)
    ]
    total = f'width="{_GAP + len(panels) * (width + _GAP)}" height="{_TOP + height + 118}"'
    style = "text{font:12px sans-serif;fill:#333}.name{font-weight:bold;font-size:14px}"
    background = f'<rect {total} fill="#ffffff"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {total}><style>{style}</style>{background}{"".join(panels)}'
        f'<g transform="translate({_GAP},{_TOP + height + 92})">{_legend()}</g></svg>\n'
    )


def _panel(protocol: Protocol) -> str:
    mask = frustum()
    if protocol.evaluation_mask.orientation == "as_shipped":
        mask = mask[::-1, ::-1]
    kinds = np.where(mask, "free", "outside").astype(object)[:, 2]
    lines = []
    for name, (truth, prediction) in shells().items():
        a, b = compared(truth, protocol, mask), compared(prediction, protocol, mask)
        for which, chosen in (("truth", a & ~b), ("prediction", b & ~a), ("both", a & b)):
            kinds[chosen[:, 2]] = which
        lines.append(f"{name}: IoU {(a & b).sum() / (a | b).sum():.2f}")
    cells = [*_runs(kinds), _grid_lines()]
    surface = [
        f'<circle cx="{(x + 0.5) * _CELL}" cy="{(SHAPE[2] - z - 0.5) * _CELL}" r="1.6" fill="#111"/>'
        for x, y, z in np.argwhere(np.any([truth for truth, _ in shells().values()], axis=0))
        if y == 2
    ]
    below = (*_CAPTIONS[protocol.name], "; ".join(lines))
    texts = [f'<text y="{SHAPE[2] * _CELL + 18 + 17 * row}">{text}</text>' for row, text in enumerate(below)]
    return f'<text class="name" y="-12">{protocol.name}</text>{"".join((*cells, *surface, *texts))}'


def _runs(kinds: np.ndarray) -> Iterator[str]:
    """Neighbours of one colour as one rectangle."""
    for z in range(SHAPE[2]):
        for kind, places in groupby(range(SHAPE[0]), key=lambda x: kinds[x, z]):
            run = list(places)
            box = f'x="{run[0] * _CELL}" y="{(SHAPE[2] - 1 - z) * _CELL}" width="{len(run) * _CELL}" height="{_CELL}"'
            yield f'<rect {box} fill="{_COLORS[kind]}"/>'


def _grid_lines() -> str:
    width, height = SHAPE[0] * _CELL, SHAPE[2] * _CELL
    upright = "".join(f"M{x * _CELL} 0V{height}" for x in range(SHAPE[0] + 1))
    level = "".join(f"M0 {z * _CELL}H{width}" for z in range(SHAPE[2] + 1))
    return f'<path d="{upright}{level}" stroke="#d0d0d0" stroke-width="0.5"/>'


def _legend() -> str:
    words = {
        "truth": "ground truth only", "prediction": "prediction only", "both": "both", "outside": "outside of the mask",
    }  # fmt: skip
    items = [
        f'<rect x="{150 * place}" y="-10" width="12" height="12" fill="{_COLORS[key]}" stroke="#999"/>'
        f'<text x="{150 * place + 18}">{text}</text>'
        for place, (key, text) in enumerate(words.items())
    ]
    dot = f'<circle cx="{150 * len(words) + 6}" cy="-4" r="2" fill="#111"/>'
    return "".join((*items, dot, f'<text x="{150 * len(words) + 18}">true surface voxel (x to the right, z up)</text>'))


if __name__ == "__main__":
    TARGET.write_text(draw())
