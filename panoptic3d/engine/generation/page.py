"""The statistics of a generated data set: numbers as JSON, a page without network, and a sheet of samples."""

import base64
import html
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from panoptic3d.data.roots import open_root
from panoptic3d.engine.generation.facts import DEPTH_BIN_M, SIZE_EDGES
from panoptic3d.engine.generation.plan import GenerationPlan
from panoptic3d.files import write_bytes_atomically, write_text_atomically
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY

Record = dict[str, Any]
_SHEET_COLUMNS = 8


def write_statistics(out: Path, records: list[Record], plan: GenerationPlan) -> None:
    """`statistics.json`, `statistics.html` and `samples.png` in the root."""
    figures = statistics([record["facts"] for record in records])
    write_text_atomically(out / "statistics.json", json.dumps(figures, indent=1) + "\n")
    chosen = [records[n]["key"] for n in np.linspace(0, len(records) - 1, min(40, len(records))).astype(int)]
    sheet = sample_sheet(out, chosen)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    write_bytes_atomically(out / "samples.png", buffer.getvalue())
    write_text_atomically(out / "statistics.html", _page(figures, sheet, plan))


def statistics(facts: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over samples; shares of all pixels, voxels and things."""

    def column(name: str) -> np.ndarray:
        return np.array([fact[name] for fact in facts], dtype=np.float64)

    def by_class(name: str) -> dict[str, float]:
        counts = column(name).sum(axis=0)
        shares = (counts / max(counts.sum(), 1)).round(5).tolist()
        return {known.name: share for known, share in zip(FRONT3D_TAXONOMY.classes, shares, strict=True)}

    depth = column("depth_m")
    return {
        "num_samples": len(facts),
        "things_per_sample": round(float(column("num_things").mean()), 3),
        "samples_without_things": int((column("num_things") == 0).sum()),
        "voxels_below_1": round(float(column("voxels_below_1").mean()), 1),
        "voxels_below_3": round(float(column("voxels_below_3").mean()), 1),
        "depth_m_1_50_99_percent": [round(float(value), 3) for value in np.median(depth, axis=0)],
        "brightness": round(float(column("brightness").mean()), 2),
        "pixel_share_by_class": by_class("pixels_by_class"),
        "voxel_share_by_class": by_class("voxels_by_class"),
        "thing_share_by_class": by_class("things_by_class"),
        "depth_histogram": {"bin_m": DEPTH_BIN_M, "share": _shares(column("depth_histogram"))},
        "thing_size_histogram": {"edges": list(SIZE_EDGES), "share": _shares(column("thing_sizes"))},
    }


def _shares(counts: np.ndarray) -> list[float]:
    summed = counts.sum(axis=0)
    return [round(float(value), 5) for value in summed / max(summed.sum(), 1)]


def sample_sheet(out: Path, keys: list[str]) -> Image.Image:
    """Photos in reading order."""
    root = open_root(out)
    photos = [root.read(key, has_voxels=False).image.permute(1, 2, 0).numpy() for key in keys]
    height, width = (max(photo.shape[axis] for photo in photos) for axis in (0, 1))
    rows = -(-len(photos) // _SHEET_COLUMNS)
    sheet = np.full((rows * (height + 4), _SHEET_COLUMNS * (width + 4), 3), 255, np.uint8)
    for number, photo in enumerate(photos):
        row, column = divmod(number, _SHEET_COLUMNS)
        top, left = row * (height + 4), column * (width + 4)
        sheet[top : top + photo.shape[0], left : left + photo.shape[1]] = photo
    return Image.fromarray(sheet)


def _page(figures: dict[str, Any], sheet: Image.Image, plan: GenerationPlan) -> str:
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=85)
    picture = base64.b64encode(buffer.getvalue()).decode()
    scalars = {name: value for name, value in figures.items() if not isinstance(value, dict)}
    rows = "".join(f"<tr><td>{name.replace('_', ' ')}</td><td>{value}</td></tr>" for name, value in scalars.items())
    depth, sizes = figures["depth_histogram"], figures["thing_size_histogram"]
    charts = [
        _bars("Things by class", figures["thing_share_by_class"]),
        _bars("Pixels by class", figures["pixel_share_by_class"]),
        _bars("Labelled voxels by class", figures["voxel_share_by_class"]),
        _bars("Depth in metres", {f"{n * depth['bin_m']:g}": share for n, share in enumerate(depth["share"])}),
        _bars(
            "Size of things (share of the picture, from)",
            {f"{edge:.1%}": share for edge, share in zip(sizes["edges"], sizes["share"], strict=False)},
        ),
    ]
    options = html.escape(json.dumps(plan.describe(), indent=1))
    return (
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>Generated rooms</title><style>"
        "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1c2530}"
        "table{border-collapse:collapse}td{padding:.15rem .8rem .15rem 0;border-bottom:1px solid #dde3ea}"
        ".charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(20rem,1fr));gap:1.5rem}img{width:100%}"
        "svg{width:100%}text{font:11px system-ui,sans-serif;fill:#1c2530}rect{fill:#2b6cb0}summary{cursor:pointer}</style>"
        f"<h1>Generated rooms</h1><p>{figures['num_samples']:,} samples.</p>"
        f"<img alt='samples' src='data:image/jpeg;base64,{picture}'>"
        f"<h2>Numbers</h2><table>{rows}</table><h2>Distributions</h2><div class='charts'>{''.join(charts)}</div>"
        f"<details><summary>Options</summary><pre>{options}</pre></details></html>\n"
    )


def _bars(title: str, shares: dict[str, float]) -> str:
    """A bar chart as SVG."""
    longest = max(max(shares.values(), default=0.0), 1e-9)
    lines = []
    for number, (name, share) in enumerate(shares.items()):
        y = 18 * number
        lines.append(
            f"<text x='84' y='{y + 12}' text-anchor='end'>{html.escape(name)}</text>"
            f"<rect x='90' y='{y + 2}' width='{220 * share / longest:.1f}' height='12'/>"
            f"<text x='{96 + 220 * share / longest:.1f}' y='{y + 12}'>{share:.1%}</text>"
        )
    drawing = f"<svg viewBox='0 0 360 {18 * len(shares)}'>{''.join(lines)}</svg>"
    return f"<figure><figcaption>{html.escape(title)}</figcaption>{drawing}</figure>"
