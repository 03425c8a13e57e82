"""Training curves as an SVG, from the records of runs: a number over the samples that were seen."""

import html
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from eval.race.budget import budget_of, checkpoint_of, samples_a_step
from panoptic3d.config import read_yaml_tree
from panoptic3d.errors import InputError
from panoptic3d.tracking.json_lines import read_json_lines

Curve = Sequence[tuple[float, float]]
_SIZE, _LEFT, _RIGHT, _TOP, _BOTTOM = (760, 420), 64, 190, 24, 48
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#7f7f7f")  # Okabe and Ito


def curves_of(runs: Mapping[str, str], metric: str) -> dict[str, Curve]:
    """Of each run, over samples seen in it and in the runs that it started from."""
    return {name: _curve(Path(folder), metric) for name, folder in runs.items()}


def _curve(run: Path, metric: str) -> Curve:
    config = read_yaml_tree(run / "config.yaml")
    a_step = samples_a_step(run)
    before = 0
    if config.get("start_from") is not None:
        budget = budget_of(checkpoint_of(run))
        assert budget is not None, "a run has records"
        before = sum(part["samples_seen"] for part in budget["runs"][:-1])
    records = [r for r in read_json_lines(run / "metrics.jsonl") if r.get(metric) is not None]
    if not records:
        raise InputError(f"{run} has no record of {metric}; choose a number that its metrics.jsonl holds.")
    return [(before + record["step"] * a_step, record[metric]) for record in records]


def draw(curves: Mapping[str, Curve], label: str, across: str = "samples seen") -> str:
    points = [point for curve in curves.values() for point in curve]
    right = max((x for x, _ in points), default=1.0)
    low, high = min(0.0, min((y for _, y in points), default=0.0)), max((y for _, y in points), default=1.0)
    xs, ys = _ticks(0.0, right), _ticks(low, high if high > low else low + 1)
    width, height = _SIZE[0] - _LEFT - _RIGHT, _SIZE[1] - _TOP - _BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        return _LEFT + width * x / xs[-1], _TOP + height * (1 - (y - ys[0]) / (ys[-1] - ys[0]))

    parts = [f'<rect width="{_SIZE[0]}" height="{_SIZE[1]}" fill="#ffffff"/>']
    for x in xs:
        u, v = place(x, ys[0])
        parts.append(f'<path d="M{u:.1f} {_TOP}V{v:.1f}" stroke="#e5e5e5"/>')
        parts.append(_text(u, v + 18, f"{x:,.0f}", "middle"))
    for y in ys:
        u, v = place(0.0, y)
        parts.append(f'<path d="M{u:.1f} {v:.1f}H{_LEFT + width}" stroke="#e5e5e5"/>')
        parts.append(_text(u - 8, v + 4, f"{y:g}", "end"))
    parts.append(_text(_LEFT + width / 2, _SIZE[1] - 10, across, "middle"))
    parts.append(_text(_LEFT, _TOP - 8, label, "start"))
    for number, (name, curve) in enumerate(curves.items()):
        color = _COLORS[number % len(_COLORS)]
        path = " ".join(f"{u:.1f},{v:.1f}" for u, v in (place(x, y) for x, y in curve))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        v = _TOP + 14 + 20 * number
        parts.append(f'<path d="M{_LEFT + width + 12} {v - 4}h18" stroke="{color}" stroke-width="2"/>')
        parts.append(_text(_LEFT + width + 36, v, name, "start"))
    size = f'width="{_SIZE[0]}" height="{_SIZE[1]}" viewBox="0 0 {_SIZE[0]} {_SIZE[1]}"'
    body = "\n".join(parts)
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">\n{body}\n</svg>\n'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="#333333">{html.escape(text)}</text>'


def _ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers that enclose the range."""
    raw = (high - low) / about
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= raw)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(step * number, 10) for number in range(first, last + 1)]
