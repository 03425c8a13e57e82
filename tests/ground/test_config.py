from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panoptic3d.config import Config, dump_yaml, fingerprint, load_config, parse_overrides
from panoptic3d.errors import ConfigError


class Optimizer(Config):
    name: Literal["adam", "sgd"] = "adam"
    learning_rate: float = 1e-3


class Model(Config):
    width: int = 16
    levels: tuple[int, ...] = (64, 128, 256)


class Run(Config):
    seed: int
    model: Model = Model()
    optimizers: tuple[Optimizer, ...] = ()
    note: str | None = None


def _write(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_yaml_then_overrides_then_validation(tmp_path: Path) -> None:
    path = _write(tmp_path, "run.yaml", "seed: 1\nmodel: {width: 32}\n")
    run = load_config(Run, path, ["--model.width", "8", "--note=two words", "--model.levels", "[1, 2]"])
    assert run == Run(seed=1, model=Model(width=8, levels=(1, 2)), note="two words")
    assert load_config(Run, path, ["--seed", "-3"]).seed == -3


def test_extends_merges_underneath(tmp_path: Path) -> None:
    _write(tmp_path, "base.yaml", "seed: 1\nmodel: {width: 32, levels: [4]}\n")
    child = _write(tmp_path, "child.yaml", "extends: base.yaml\nmodel: {width: 64}\n")
    assert load_config(Run, child) == Run(seed=1, model=Model(width=64, levels=(4,)))
    _write(tmp_path, "base.yaml", "extends: child.yaml\nseed: 1\n")
    with pytest.raises(ConfigError, match="extends itself"):
        load_config(Run, child)


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        ("seed: 1\nmodel: {widht: 3}", [], r"unknown key `model.widht` \(did you mean `model.width`\?\)"),
        ("seed: 1\noptimizers: [{lerning_rate: 3}]", [], r"did you mean `optimizers.0.learning_rate`"),
        ("seed: 1\nzzz: 3", [], r"unknown key `zzz` \(known here: model, note, optimizers, seed\)"),
        ("model: {}", [], "`seed` is missing"),
        ("seed: soon", [], "`seed` is 'soon': input should be a valid integer"),
        ("seed: 1\nseed: 2", [], "the key 'seed' is given twice"),
        ("- 1", [], "a list where a mapping"),
        ("seed: [", [], "no valid YAML"),
        ("seed: 1\x00", [], "no valid YAML"),
        ("seed: 1\n---\nseed: 2", [], "no valid YAML"),
        ("seed: 1\noptimizers: [{learning_rate: .nan}]", [], "finite number"),
        ("seed: !!python/object/apply:os.getcwd []", [], "no valid YAML"),
        ("seed: 1", ["--model.width", "1", "--model.width", "2"], "given twice"),
        ("seed: 1", ["model.width", "1"], "write --key.path value"),
        ("seed: 1", ["--model..width", "1"], "empty part"),
        ("seed: 1", ["--model", "3", "--model.width", "1"], "another override has set"),
    ],
)
def test_mistakes_are_named_with_their_path(tmp_path: Path, text: str, words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(Run, _write(tmp_path, "run.yaml", text), words)


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml cannot be read"):
        load_config(Run, tmp_path / "nowhere.yaml")


def test_flags_and_dashes() -> None:
    assert parse_overrides(["--a", "--b-c.d", "1e-3", "--e=x=y"]) == {"a": True, "b_c": {"d": "1e-3"}, "e": "x=y"}


def test_configs_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Model().width = 3


@given(
    seed=st.integers(),
    width=st.integers(),
    rate=st.floats(allow_nan=False, allow_infinity=False),
    note=st.none() | st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"))),
)
def test_dump_then_load_is_the_identity(tmp_path_factory, seed: int, width: int, rate: float, note: str | None) -> None:
    run = Run(seed=seed, model=Model(width=width), optimizers=(Optimizer(learning_rate=rate),), note=note)
    path = _write(tmp_path_factory.mktemp("config"), "run.yaml", dump_yaml(run))
    again = load_config(Run, path)
    assert again == run
    assert fingerprint(again) == fingerprint(run)


def test_fingerprint_follows_values_not_formatting(tmp_path: Path) -> None:
    plain = load_config(Run, _write(tmp_path, "a.yaml", "seed: 1\nmodel: {width: 16}\n"))
    other = load_config(Run, _write(tmp_path, "b.yaml", "model:\n  levels: [64, 128, 256]\nseed: 1 # comment\n"))
    assert fingerprint(plain) == fingerprint(other)
    assert fingerprint(plain) != fingerprint(load_config(Run, tmp_path / "a.yaml", ["--seed", "2"]))
