"""The page of a run: every number that it had, before and after it was interrupted, and nothing from elsewhere."""

import json
import re
from pathlib import Path

from panoptic3d.tracking.curves_page import CurvesPage, curves_page


def test_a_page_draws_every_number_and_asks_nobody(tmp_path: Path) -> None:
    page = CurvesPage(tmp_path, tmp_path / "metrics.jsonl")
    for step in range(1, 6):
        page.numbers(step, {"train/loss": 1 / step, "epoch": 0, "train/a<b": 2.0})
    page.close()
    text = (tmp_path / "curves.html").read_text()
    assert text.count("<svg") == 2
    assert "train/loss: 0.2 at step 5" in text
    assert "a<b" not in text
    assert not re.search(r"(?:https?:)?//|<script|url[(]", text)


def test_a_run_that_goes_on_has_one_page_and_forgets_what_came_after_its_checkpoint(tmp_path: Path) -> None:
    records = tmp_path / "metrics.jsonl"
    records.write_text("".join(json.dumps({"step": n, "train/loss": float(n)}) + "\n" for n in (1, 2, 3, 4)))
    page = CurvesPage(tmp_path, records, from_step=2)
    page.numbers(3, {"train/loss": 30.0})
    page.close()
    text = (tmp_path / "curves.html").read_text()
    assert "train/loss: 30 at step 3" in text
    assert text.count("L") >= 2


def test_a_long_run_is_no_larger_than_a_short_one() -> None:
    short = curves_page("run", {"train/loss": [(n, 1.0) for n in range(400)]})
    long = curves_page("run", {"train/loss": [(n, 1.0) for n in range(40_000)]})
    assert len(long) < 1.2 * len(short)
