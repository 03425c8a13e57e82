"""The follower that is always there."""

from pathlib import Path

from panoptic3d.tracking.json_lines import JsonLines, read_json_lines


def test_a_run_that_goes_on_forgets_what_came_after_its_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    first = JsonLines(path)
    for step in (1, 2, 3):
        first.numbers(step, {"loss": step / 2, "norm": float("nan")})
    first.close()
    with path.open("a") as file:
        file.write('{"step": 4, "lo')  # killed
    second = JsonLines(path, from_step=2)
    second.table(3, "classes", ["class", "prq"], [["chair", 0.5]])
    second.close()
    records = read_json_lines(path)
    assert [record["step"] for record in records] == [1, 2, 3]
    assert records[0] == {"step": 1, "loss": 0.5, "norm": None}
    assert records[2]["rows"] == [["chair", 0.5]]
