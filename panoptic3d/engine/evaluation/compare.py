"""Compare two results on the same images: is the difference significant?"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from panoptic3d.engine.evaluation.result import sums_from_rows
from panoptic3d.engine.evaluation.tables import depth_source
from panoptic3d.errors import InputError
from panoptic3d.files import read_file
from panoptic3d.metrics.bootstrap import paired_test
from panoptic3d.metrics.table import Table
from panoptic3d.metrics.tally import Tally, scores_of


def read_results(path: Path) -> dict[str, dict[str, Any]]:
    """Protocol name -> result, of a file that `evaluate --json` wrote."""
    try:
        tree = json.loads(read_file(path))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give a file that evaluate --json wrote.") from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise InputError(f"{path} is no JSON; give a file that evaluate --json wrote.") from None
    results = tree if isinstance(tree, list) else [tree]
    if not all(isinstance(r, dict) and {"protocol", "per_scene", "split"} <= r.keys() for r in results):
        raise InputError(f"{path} holds no result of an evaluation; give a file that evaluate --json wrote.")
    return {result["protocol"]: result for result in results}


def compare(path_a: Path, path_b: Path) -> list[Table]:
    """A table for each protocol that both files hold."""
    a, b = read_results(path_a), read_results(path_b)
    shared = [name for name in a if name in b]
    if not shared:
        raise InputError(
            f"{path_a} ({', '.join(a)}) and {path_b} ({', '.join(b)}) share no protocol; score both alike."
        )
    return [_compare_one(a[name], b[name], (path_a.name, path_b.name)) for name in shared]


def _compare_one(a: Mapping[str, Any], b: Mapping[str, Any], names: tuple[str, str]) -> Table:
    _check_same_images(a, b, names)
    scenes = sorted(a["per_scene"])
    sums_a, sums_b = (np.stack([sums_from_rows(r["per_scene"][scene]) for scene in scenes]) for r in (a, b))
    mean_over = _mean_over(a)
    rows = []
    scores_a, scores_b = (scores_of(Tally(sums.sum(axis=0)), mean_over) for sums in (sums_a, sums_b))
    for group in ("all", "things", "stuff"):
        for key in ("prq", "rsq", "rrq"):
            first, second = (getattr(getattr(s, group), key) for s in (scores_a, scores_b))
            label = key.upper() if group == "all" else f"{key.upper()} {group}"
            rows.append([label, f"{100 * first:.2f}", f"{100 * second:.2f}", f"{100 * (second - first):+.2f}"])
    return Table(
        f"{a['protocol']}: A = {_told(a, names[0])}, B = {_told(b, names[1])}",
        ("", "A", "B", "B - A"),
        rows,
        _notes(sums_a, sums_b, a),
    )


def _told(result: Mapping[str, Any], name: str) -> str:
    given = depth_source(result)
    return name if given is None else f"{name} with depth ({given})"


def _notes(sums_a: np.ndarray, sums_b: np.ndarray, result: Mapping[str, Any]) -> list[str]:
    if len(sums_a) < 2:
        return ["no test: one scene cannot be resampled"]
    test = paired_test(sums_a, sums_b, _mean_over(result))
    low, high = 100 * test.interval.low, 100 * test.interval.high
    return [
        f"PRQ of B - A within [{low:+.2f}, {high:+.2f}] points at 95 % (paired bootstrap over {test.num_scenes} scenes)",
        f"p = {test.p_value:.4f} (A and B exchanged at random within scenes)",
    ]


def _mean_over(result: Mapping[str, Any]) -> Any:
    return result["mean_over"]


def _check_same_images(a: Mapping[str, Any], b: Mapping[str, Any], names: tuple[str, str]) -> None:
    for key, what in (("sha256", "split"), ("size", "number of images")):
        if a["split"][key] != b["split"][key]:
            seen = f"{a['split'][key]} in {names[0]}, {b['split'][key]} in {names[1]}"
            raise InputError(f"the two results are about different images: {what} {seen}; score both on one split.")
    if a["protocol_fingerprint"] != b["protocol_fingerprint"]:
        raise InputError(
            f"{a['protocol']} had different rules when {names[0]} and {names[1]} were made; score both again."
        )
    if set(a["per_scene"]) != set(b["per_scene"]):
        raise InputError(
            f"{names[0]} and {names[1]} could not score the same scenes; mend the ground truth and score again."
        )
