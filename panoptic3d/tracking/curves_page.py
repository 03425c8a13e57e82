"""`curves.html` in a run's folder: every number of a training over its steps. One file, no server, no script."""

import html
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from panoptic3d.files import write_text_atomically
from panoptic3d.tracking.json_lines import read_json_lines
from panoptic3d.tracking.tracker import Tracker

Series = list[tuple[int, float]]
_EVERY_S = 20.0  # a page is written at most so often while steps are made
_MOST_POINTS = 400
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 380, 200, 46, 22, 10
_FIRST = ("train/loss", "validation/prq", "validation/things/prq", "validation/stuff/prq", "train/learning_rate")
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:80rem;padding:0 1rem;color:#1c2530;background:#fff}"
    "main{display:grid;grid-template-columns:repeat(auto-fill,minmax(24rem,1fr));gap:1rem}figure{margin:0}"
    "svg{width:100%;height:auto}text{font:11px system-ui,sans-serif;fill:currentColor}path.line{fill:none;stroke:#0072b2;"
    "stroke-width:1.5}path.grid{stroke:currentColor;opacity:.15}@media(prefers-color-scheme:dark){body{color:#dfe6ee;"
    "background:#14191f}path.line{stroke:#56b4e9}}"
)


class CurvesPage(Tracker):
    """Begins with what `metrics.jsonl` beside it holds, so that a run that goes on has one page."""

    def __init__(self, folder: Path, records: Path, from_step: int = 0) -> None:
        self._path, self._title = folder / "curves.html", folder.name
        self._series: dict[str, Series] = {}
        self._written_s = -_EVERY_S
        for record in read_json_lines(records):
            if record["step"] <= from_step:
                self._add(record["step"], record)

    def numbers(self, step: int, values: Mapping[str, float | int]) -> None:
        self._add(step, values)
        if time.monotonic() - self._written_s >= _EVERY_S:
            self._write()

    def close(self) -> None:
        if self._series:
            self._write()

    def _add(self, step: int, values: Mapping[str, object]) -> None:
        for name, value in values.items():
            if "/" in name and isinstance(value, (int, float)):
                self._series.setdefault(name, []).append((step, float(value)))

    def _write(self) -> None:
        write_text_atomically(self._path, curves_page(self._title, self._series))
        self._written_s = time.monotonic()


def curves_page(title: str, series: Mapping[str, Series]) -> str:
    order = sorted(series, key=lambda name: (_FIRST.index(name) if name in _FIRST else len(_FIRST), name))
    figures = "".join(f"<figure>{_chart(name, series[name])}</figure>" for name in order)
    return (
        "<!doctype html><html lang='en'><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style>"
        f"<h1>{html.escape(title)}</h1><main>{figures}</main></html>\n"
    )


def _chart(name: str, series: Series) -> str:
    points = _thinned(series)
    steps, values = [step for step, _ in points], [value for _, value in points]
    low, high = min(values), max(values)
    first, last = steps[0], steps[-1]

    def place(step: int, value: float) -> str:
        x = _LEFT + (_WIDTH - _LEFT - 8) * (step - first) / max(last - first, 1)
        y = _HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - _TOP - 16) * (value - low) / (high - low if high > low else 1.0)
        return f"{x:.1f} {y:.1f}"

    line = "M" + "L".join(place(step, value) for step, value in points)
    grid = "".join(f"<path class='grid' d='M{place(first, v)}L{place(last, v)}'/>" for v in {low, high})
    label = f"{name}: {values[-1]:.5g} at step {last:,}"
    return (
        f"<svg viewBox='0 0 {_WIDTH} {_HEIGHT}' role='img' aria-label='{html.escape(label, quote=True)}'>{grid}"
        f"<path class='line' d='{line}'/><text x='0' y='12'>{html.escape(label)}</text>"
        f"<text x='0' y='{_TOP + 22}'>{high:.4g}</text><text x='0' y='{_HEIGHT - _BOTTOM}'>{low:.4g}</text>"
        f"<text x='{_LEFT}' y='{_HEIGHT - 6}'>{first:,}</text>"
        f"<text x='{_WIDTH - 8}' y='{_HEIGHT - 6}' text-anchor='end'>{last:,}</text></svg>"
    )


def _thinned(series: Sequence[tuple[int, float]]) -> Series:
    """Means of neighbours, so that a long run is as small a page as a short one."""
    size = -(-len(series) // _MOST_POINTS)
    chunks = [series[start : start + size] for start in range(0, len(series), size)]
    return [(chunk[-1][0], sum(value for _, value in chunk) / len(chunk)) for chunk in chunks]
