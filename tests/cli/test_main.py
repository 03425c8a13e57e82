import json
import os
import platform
import subprocess
import sys

import pytest

from panoptic3d.cli.main import VERBS, main
from panoptic3d.cli.process import settle
from panoptic3d.version import __version__

# Calls that are right in their words and name what is not there, so that what answers is the verb and not the parser.
_CALLS = {
    "predict": ["photo.png", "--out", "x"],
    "view": ["x"],
    "evaluate": ["--data", "x", "--split", "y", "--checkpoint", "z"],
    "train": ["x.yaml"],
    "data generate": ["--out", "x", "--recipe", "no-such"],
}


def test_the_contract_names_these_verbs() -> None:
    assert set(VERBS) == {
        "predict", "fuse", "view", "app", "evaluate", "train", "import-checkpoint", "bench", "doctor",
        "data generate", "data verify", "data pack", "data inspect", "data assets",
    }  # fmt: skip


@pytest.mark.parametrize("verb", _CALLS)
def test_a_verb_that_finds_nothing_says_so_in_one_sentence(verb: str, capsys: pytest.CaptureFixture) -> None:
    code = main([*verb.split(), *_CALLS[verb]])
    captured = capsys.readouterr()
    assert code == 2
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err


@pytest.mark.parametrize(
    "words", [[], ["predicd"], ["predict"], ["data"], ["data", "verfy"], ["bench", "no-such"], ["doctor", "--nonsense"]]
)
def test_a_wrong_call_is_one_sentence_and_exit_code_2(words: list[str], capsys: pytest.CaptureFixture) -> None:
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("panoptic3d: ")
    assert captured.err.count("\n") == 1


def test_debug_changes_nothing_of_how_the_process_is_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    settled: list[list[str]] = []
    monkeypatch.setattr(sys.modules[main.__module__], "settle", settled.append)
    monkeypatch.setattr(sys, "argv", ["panoptic3d", "--debug", "train", "no-such.yaml"])
    assert main() == 2
    assert settled == [["train", "no-such.yaml"]]


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture) -> None:
    assert main(["--debug", "view", "x"]) == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as leave:
        main([*verb.split(), "--help"])
    assert leave.value.code == 0
    assert f"usage: panoptic3d {verb}" in capsys.readouterr().out


def test_module_and_version() -> None:
    command = [sys.executable, "-m", "panoptic3d", "--version"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == f"panoptic3d {__version__}\n"


def test_doctor_passes_here_and_speaks_json(capsys: pytest.CaptureFixture) -> None:
    assert main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["devices"][0] == "cpu"
    assert all(test["passed"] for test in report["self_tests"] if test["is_needed"])
    assert sum(test["is_needed"] for test in report["self_tests"]) >= 4
    assert main(["doctor"]) == 0
    assert "self-tests" in capsys.readouterr().out


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other libraries have their own ways")
@pytest.mark.parametrize(("verb", "is_kept"), [("predict", True), ("train", False)])
def test_memory_that_comes_and_goes_stays_with_the_process(verb: str, is_kept: bool) -> None:
    """The second large array costs no page faults; in a process of its own, since this is for good."""
    code = (
        f"import resource; from panoptic3d.cli.process import settle; settle([{verb!r}]); import numpy as np\n"
        "def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "np.ones(10_000_000); before = faults(); np.ones(10_000_000); print(faults() - before)"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert (int(ran.stdout) < 30) == is_kept  # at least 39 pages of 2 MB, usually 19,532 of 4 KB


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    settle(["train"])
    assert os.environ["GOMP_SPINCOUNT"] == "7"


def test_doctor_explains_which_kernel_computes(capsys: pytest.CaptureFixture) -> None:
    assert main(["doctor", "--explain", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    taken = {(row["plan"].partition(" of ")[0], *row["channels"], row["purpose"]): row for row in told["plans"]}
    assert taken["3^3 over a whole grid", 64, 64, "training"]["kernel"] == "dense in the mask"
    assert taken["3^3 over a thick surface", 16, 16, "prediction"]["kernel"] == "Winograd's tiles"
    assert taken["4^3 up to a thick surface", 48, 16, "training"]["kernel"] == "products first, a step up"
    thin = taken["3^3 over a thin surface", 64, 64, "training"]
    assert thin["kernel"] == "gathered taps"
    assert "of the lines' cells are occupied" in thin["obstacles"]["gathered lines"]
