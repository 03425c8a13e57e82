"""Protocols are files: the built-in ones are shipped, a new one is read by its path, a wrong one is named."""

from pathlib import Path

import pytest

from panoptic3d.config import dump_yaml, fingerprint
from panoptic3d.errors import ConfigError
from panoptic3d.metrics.protocol import Protocol, built_in_protocols, load_protocol


@pytest.mark.parametrize("name", built_in_protocols())
def test_a_built_in_protocol_bears_its_name_and_survives_yaml(name: str, tmp_path: Path) -> None:
    protocol = load_protocol(name)
    assert protocol.name == name
    copy = tmp_path / "copy.yaml"
    copy.write_text(dump_yaml(protocol))
    assert load_protocol(copy) == protocol


def test_no_two_protocols_are_the_same() -> None:
    protocols = [load_protocol(name).model_copy(update={"name": "", "summary": ""}) for name in built_in_protocols()]
    assert len({fingerprint(protocol) for protocol in protocols}) == len(protocols)


def test_a_dialect_is_a_file_that_extends_another(repository: Path, tmp_path: Path) -> None:
    dialect = tmp_path / "thin.yaml"
    parent = repository / "panoptic3d" / "metrics" / "assets" / "protocols" / "strict.yaml"
    dialect.write_text(f"extends: {parent}\nname: thin\nthickening: {{x: [0, 0], y: [0, 0], z: [0, 0]}}\n")
    protocol = load_protocol(dialect)
    assert protocol.thickening.ranges == ((0, 0),) * 3
    assert protocol.truth == load_protocol("strict").truth


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"thickening": {"x": [2, 0], "y": [0, 0], "z": [0, 0]}}, r"goes up and stays within 16 voxels, got \[2, 0\]"),
        ({"matchin": {"rule": "optimal"}}, "did you mean `matching`"),
        ({"matching": {"rule": "first_hit", "iou_above": 1.0}}, "iou_above"),
    ],
)
def test_a_wrong_protocol_is_refused_by_name(change: dict, message: str) -> None:
    from panoptic3d.config import validate_config

    with pytest.raises(ConfigError, match=message):
        validate_config(Protocol, load_protocol("strict").model_dump() | change, origin="a test")


def test_a_prediction_has_no_label_map() -> None:
    tree = load_protocol("strict-visible").model_dump()
    with pytest.raises(ValueError, match="has no 2D label map"):
        Protocol.model_validate(tree | {"prediction": tree["truth"]})


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="there is no protocol 'lenient'; choose from buol, panorecon"):
        load_protocol("lenient")
