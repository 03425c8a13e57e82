"""Two results side by side: only on the same images and rules."""

import json
from pathlib import Path

import pytest

from panoptic3d.cli import main
from panoptic3d.engine.evaluation.compare import compare
from panoptic3d.engine.evaluation.run import carry_out
from panoptic3d.errors import InputError
from tests.engine.conftest import Workshop


@pytest.fixture
def pair(workshop: Workshop) -> tuple[Path, Path]:
    a, b = workshop.folder / "a.json", workshop.folder / "b.json"
    carry_out(workshop.order(json=str(a), protocols=("strict", "uni3d")))
    workshop.prediction("c/0000").unlink()
    carry_out(workshop.order(json=str(b)))
    return a, b


def test_the_difference_comes_with_a_test(pair: tuple[Path, Path], capsys: pytest.CaptureFixture) -> None:
    assert main(["evaluate", "--compare", str(pair[0]), str(pair[1])]) == 0
    out = capsys.readouterr().out
    assert "strict: A = a.json, B = b.json" in out
    assert "paired bootstrap over 3 scenes" in out
    table = compare(*pair)[0]
    a, b = (json.loads(path.read_text()) for path in pair)
    assert [float(cell) for cell in table.rows[0][1:3]] == [round(100 * a[0]["prq"], 2), round(100 * b["prq"], 2)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"split": {"sha256": "0", "size": 4}}, "about different images: split"),
        ({"protocol_fingerprint": "0"}, "had different rules"),
        ({"per_scene": {}}, "could not score the same scenes"),
        ({"protocol": "other"}, "share no protocol"),
    ],
)
def test_what_cannot_be_compared_is_refused(pair: tuple[Path, Path], change: dict, message: str) -> None:
    tree = json.loads(pair[1].read_text())
    pair[1].write_text(json.dumps(tree | change))
    with pytest.raises(InputError, match=message):
        compare(*pair)


@pytest.mark.parametrize(
    ("text", "message"), [("{", "is no JSON"), ("[1]", "holds no result"), (None, "cannot be read")]
)
def test_a_file_that_is_no_result_is_named(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "x.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=message):
        compare(path, path)
