"""One self-contained HTML file: the tables, and the images with the lowest scores as pictures."""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from panoptic3d.engine.evaluation.pictures import front_view, top_view
from panoptic3d.engine.evaluation.records import SampleRecord
from panoptic3d.engine.evaluation.score import EvaluationPlan, labelled_of
from panoptic3d.engine.evaluation.tables import tables_of
from panoptic3d.engine.evaluation.truth import read_photo, read_true_frame
from panoptic3d.errors import BadFileError
from panoptic3d.files import write_text_atomically
from panoptic3d.metrics.labelled import LabelledVoxels
from panoptic3d.metrics.measure import Measure
from panoptic3d.metrics.table import Table
from panoptic3d.metrics.tally import scores_of

_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#1c1c1c;background:#fff}
table{border-collapse:collapse;margin:.4rem 0 1rem}td,th{padding:.15rem .6rem;text-align:right;border-bottom:1px solid #ddd}
td:first-child,th:first-child{text-align:left}figure{margin:1.2rem 0}img{width:19%;min-width:150px;background:#f4f4f4}
.note{color:#555;margin:.1rem 0}h2{margin-top:2.2rem}.swatch{display:inline-block;width:.8em;height:.8em;margin:0 .3em 0 .9em}
@media(prefers-color-scheme:dark){body{background:#161616;color:#e6e6e6}td,th{border-color:#333}img{background:#222}.note{color:#aaa}}
"""


def write_report(
    path: Path,
    plan: EvaluationPlan | None,
    records: Sequence[SampleRecord],
    results: Sequence[Mapping[str, Any]],
    num_worst: int,
    measures: Sequence[Measure] = (),
) -> None:
    """`plan` is None when stored records are scored again: without volumes the report has no pictures."""
    parts = [f"<h1>Evaluation</h1><p class=note>{_escape(_subtitle(results[0]))}</p>"]
    for result in results:
        parts.append(f"<h2>{_escape(result['protocol'])}</h2>")
        parts += [_html_table(table) for table in tables_of(result, measures)]
    if plan is not None:
        parts.append(_worst(plan, records, results[0]["protocol"], num_worst))
    page = f"<!doctype html><meta charset=utf-8><title>Evaluation</title><style>{_STYLE}</style>{''.join(parts)}\n"
    write_text_atomically(path, page)


def worst_records(records: Sequence[SampleRecord], protocol: str, count: int) -> list[tuple[float, SampleRecord]]:
    """By the PRQ of the image alone, over the classes that occur in it; skipped images have none."""
    scored = [
        (scores_of(record.protocols[protocol].score.tally, "classes_seen").all.prq, record)
        for record in records
        if protocol in record.protocols and not record.protocols[protocol].score.is_skipped
    ]
    return sorted(scored, key=lambda pair: (pair[0], pair[1].key))[:count]


def _worst(plan: EvaluationPlan, records: Sequence[SampleRecord], protocol: str, count: int) -> str:
    legend = "".join(
        f"<span class=swatch style='background:rgb{c.color}'></span>{c.name}" for c in plan.taxonomy.classes[1:]
    )
    intro = (
        "<p class=note>Photo; ground truth from the camera; prediction from the camera; both from above (camera below). "
        "Surface voxels, things tinted by instance.</p>"
    )
    figures = [_figure(plan, record, prq) for prq, record in worst_records(records, protocol, count)]
    return f"<h2>The {len(figures)} lowest scores ({_escape(protocol)})</h2>{intro}<p>{legend}</p>{''.join(figures)}"


def _figure(plan: EvaluationPlan, record: SampleRecord, prq: float) -> str:
    frame = read_true_frame(plan.data, record.key)
    truth = frame.truth.voxels
    try:
        prediction = labelled_of(plan.prediction(record.key, truth.shape))
    except BadFileError:
        prediction = LabelledVoxels.nothing(truth.shape)
    views = [
        *(front_view(side, frame.grid, frame.camera, plan.taxonomy) for side in (truth, prediction)),
        *(top_view(side, plan.taxonomy) for side in (truth, prediction)),
    ]
    photo = read_photo(plan.data, record.key)
    if photo is not None:
        views.insert(0, photo)
    failure = f" — {record.failure['message']}" if record.failure else ""
    caption = _escape(f"{record.key}: PRQ of the image {100 * prq:.1f}{failure}")
    return f"<figure>{''.join(map(_image, views))}<figcaption>{caption}</figcaption></figure>"


def _image(picture: UInt8[np.ndarray, "h w 3"]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, "PNG", optimize=True)
    return f"<img alt='' src='data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}'>"


def _html_table(table: Table) -> str:
    head = "".join(f"<th>{_escape(cell)}</th>" for cell in table.header)
    rows = "".join("<tr>" + "".join(f"<td>{_escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
    notes = "".join(f"<p class=note>{_escape(note)}</p>" for note in table.notes)
    return f"<h3>{_escape(table.title)}</h3><table><tr>{head}</tr>{rows}</table>{notes}"


def _subtitle(result: Mapping[str, Any]) -> str:
    split = result["split"]
    made = f"torch {torch.__version__}, {result['hardware']}, commit {result['commit'] or 'unknown'}"
    return f"{split['name']} ({split['size']} images, sha256 {split['sha256']}); {made}"


def _escape(text: str) -> str:
    return html.escape(str(text))
