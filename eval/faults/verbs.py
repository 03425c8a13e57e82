"""Every verb that writes, on input small enough to be run hundreds of times, and what it leaves when nothing goes wrong.

A verb runs in a process that is forked from this one, where its modules are loaded already: an attack of a thousand starts
would otherwise spend most of its time on imports.
"""

import hashlib
import json
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from eval.faults.inputs import make_inputs
from panoptic3d.cli import main
from panoptic3d.engine.training.checkpoint import all_checkpoints, damage_of
from panoptic3d.tracking.json_lines import read_json_lines

REPOSITORY = Path(__file__).resolve().parents[2]
_PHOTOS, _TINY = REPOSITORY / "data" / "photos", REPOSITORY / "data" / "tiny"
_INDEX = ("index.jsonl",)  # lists what failed, too
_FAST = ("--rooms", "boxes")
_REPORTS = ("pack-report.json",)  # which say what this run made and what it found made
_FLEETING = {"seconds", "time", "commit", "sha256", "cpu_s"}  # keys of JSON that differ between runs
_LEFT_BEHIND = (".partial-", ".retired-")
DAMAGED = "damaged"

Contents = Mapping[str, str]  # a name below `out` -> hash of what it says


@dataclass(frozen=True)
class Verb:
    """`words` of the command that writes below `out`; `begin` puts there what has to be there first."""

    words: Callable[[Path, Path], list[str]]  # of the inputs and of `out`
    begin: Callable[[Path, Path], object] = lambda inputs, out: None
    patch: Callable[[], object] = lambda: None  # in the process of the verb, before it begins
    logs: tuple[str, ...] = ()  # what grows with the work, such as files line by line, half a line included
    contents: Callable[[Path], Contents] = field(default=lambda out: file_contents(out))


def _predict(inputs: Path, out: Path) -> list[str]:
    return ["predict", str(inputs / "photos"), "--out", str(out), "--device", "cpu", "--overwrite"]


def _old_scenes(inputs: Path, out: Path) -> None:
    """Of the same photos with other options."""
    shutil.copytree(inputs / "old-scenes", out, dirs_exist_ok=True)


def _stand_in() -> None:
    """A network that answers at once with a tiny room: what is attacked is all around it."""
    import panoptic3d.predictor.predictor as module
    from tests.predictor.echo import Echo

    module.open_network = lambda *_: Echo()


def _poses_of_scenes(inputs: Path, out: Path) -> None:
    """For the old scenes, a hand's breadth apart."""
    names = sorted(path.name for path in (inputs / "old-scenes").iterdir() if path.is_dir())
    (out / "poses.txt").write_text("".join(f"{name} {n / 10} 0 0 0 0 0 1\n" for n, name in enumerate(names)))


def _train_contents(out: Path) -> Contents:
    """Weights of every checkpoint under its final name, where the links point, and the losses of the whole run."""
    found = {}
    for path in all_checkpoints(out / "checkpoints"):
        damage = damage_of(path)
        found[path.name] = f"{DAMAGED}: {damage}" if damage else _sha256((path / "model.safetensors").read_bytes())
    for link in (path for path in (out / "checkpoints").glob("*") if path.is_symlink()):
        if not link.name.startswith(_LEFT_BEHIND):
            found[link.name] = os.readlink(link) if link.exists() else f"{DAMAGED}: it dangles"
    losses = [r["train/loss"] for r in read_json_lines(out / "metrics.jsonl") if "train/loss" in r]
    return found | {"metrics.jsonl": _sha256(json.dumps(losses).encode())}


VERBS = {
    "predict": Verb(_predict, _old_scenes, logs=_INDEX),
    "predict, network stood in for": Verb(_predict, _old_scenes, _stand_in, _INDEX),
    "predict --maps, network stood in for": Verb(
        lambda i, o: ["predict", str(i / "photos"), "--out", str(o), "--device", "cpu", "--maps"],
        patch=_stand_in,
        logs=_INDEX,
    ),
    "fuse": Verb(
        lambda i, o: [
            *("fuse", str(i / "old-scenes"), "--poses", str(o / "poses.txt"), "--out", str(o / "room")),
            "--overwrite",
        ],
        _poses_of_scenes,
    ),
    "fuse --data, network stood in for": Verb(
        lambda i, o: [
            *("fuse", "--data", str(i / "rooms"), "--split", str(i / "all.txt"), "--views", "1", "--out", str(o / "f")),
            *("--device", "cpu"),
        ],
        patch=_stand_in,
        logs=("f/fused.json",),  # which lists the rooms that are done
    ),
    "pack": Verb(lambda i, o: ["data", "pack", str(i / "released"), "--out", str(o)]),
    "unpack": Verb(lambda i, o: ["data", "pack", str(i / "rooms"), "--unpack", "--out", str(o)]),
    "generate": Verb(
        lambda i, o: ["data", "generate", "--out", str(o), "--num", "2", "--views", "1", "--workers", "1", *_FAST],
        logs=("records/0000-of-0001.jsonl",),
    ),
    "verify": Verb(
        lambda i, o: ["data", "verify", str(_TINY), "--jobs", "1", "--json", str(o / "report.json")],
        logs=("report.json.journal",),
    ),
    "inspect": Verb(
        lambda i, o: [
            "data",
            "inspect",
            str(i / "rooms"),
            "--out",
            str(o / "a.png"),
            "--scene",
            str(o / "s"),
            "--overwrite",
        ]
    ),
    "assets": Verb(lambda i, o: ["data", "assets", str(i / "furniture"), "--out", str(o / "library")]),
    "evaluate": Verb(
        lambda i, o: [
            *("evaluate", "--data", str(i / "rooms"), "--split", str(i / "all.txt"), "--workers", "1"),
            *("--predictions", str(i / "predictions"), "--json", str(o / "r.json"), "--markdown", str(o / "r.md")),
            *("--latex", str(o / "r.tex"), "--html", str(o / "r.html")),
        ],
        logs=("r.records.jsonl.rank0",),
    ),
    "train": Verb(
        lambda i, o: ["train", str(i / "train.yaml"), "--folder", str(o)],
        logs=("metrics.jsonl", "latest", "best"),
        contents=_train_contents,
    ),
    "import-checkpoint": Verb(
        lambda i, o: ["import-checkpoint", str(i / "published.pth"), "--family", "panorecon", "--out", str(o / "ours")]
    ),
    "import-checkpoint --export": Verb(
        lambda i, o: [
            *("import-checkpoint", str(i / "untrained"), "--family", "panorecon", "--export"),
            *("--out", str(o / "back.pth")),
        ]
    ),
}


def prepare(base: Path, is_real: bool) -> Path:
    """The inputs of all verbs. Old scenes are made by the real network or by the one that stands in for it."""
    inputs = base / "inputs"
    make_inputs(inputs)
    words = [*_predict(inputs, inputs / "old-scenes"), "--simplify", "2"]
    ended = finish(start(words, base / "prepare.log", patch=(lambda: None) if is_real else _stand_in))
    assert ended == 0, (base / "prepare.log").read_text()
    return inputs


def unbroken(verb: Verb, inputs: Path, base: Path) -> tuple[Contents, Contents, float]:
    """What lies in `out` before the verb and after it, and how long it takes. Imports what it needs on the way."""
    out, listed, log = base / "unbroken", base / "modules.json", base / "unbroken.log"
    for modules_to in (listed, None):
        begin(verb, inputs, out)
        before, start_s = verb.contents(out), time.monotonic()
        code = finish(start(verb.words(inputs, out), log, verb.patch, modules_to))
        assert code == 0, log.read_text()
        for name in json.loads(listed.read_text()):
            if name.startswith("panoptic3d") and name not in sys.modules:
                import_module(name)
    return before, verb.contents(out), time.monotonic() - start_s


def begin(verb: Verb, inputs: Path, out: Path) -> None:
    """A new `out` with what has to be there first."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    verb.begin(inputs, out)


def start(
    words: list[str],
    log: Path,
    patch: Callable[[], object] = lambda: None,
    modules_to: Path | None = None,
    gate: int | None = None,
) -> int:
    """The id of a process that does what the console script does, as soon as a byte can be read from `gate`."""
    process = os.fork()
    if process == 0:
        if gate is not None:
            os.read(gate, 1)
        patch()
        _become(words, log, modules_to)
    return process


def finish(process: int, limit_s: float = 900.0) -> int:
    """Its exit code, negative for a signal, as `subprocess` has it."""
    code = wait(process, limit_s)
    assert code is not None, f"a verb still runs after {limit_s} s"
    return code


def wait(process: int, limit_s: float) -> int | None:
    """The exit code, or None where it still runs then."""
    until_s = time.monotonic() + limit_s
    while True:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > until_s:
            return None
        time.sleep(0.002)


def complaint_of(log: Path) -> str | None:
    """What is wrong with what a failed verb has said: one sentence is right."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("panoptic3d: ")]
    text = log.read_text(errors="replace")
    if "Traceback" in text or "unexpected" in text:
        return text[-600:]
    return None if lines else f"no sentence: {text[-300:]!r}"


def file_contents(out: Path) -> Contents:
    """Hash of every file below, leaving out what tells of time."""
    found = {}
    for path in sorted(out.rglob("*")) if out.is_dir() else ():
        name = path.relative_to(out).as_posix()
        if path.is_file() and not any(part.startswith(".") for part in name.split("/")) and path.name not in _REPORTS:
            found[name] = _sha256(_steady(path))
    return found


def left_behind(out: Path) -> list[str]:
    return sorted(str(path.relative_to(out)) for path in out.rglob(".*") if path.name.startswith(_LEFT_BEHIND))


def half_written(verb: Verb, out: Path, before: Contents, after: Contents) -> list[str]:
    """What lies under a final name and is neither what was there before nor what should be there in the end, and scenes of
    which one file is old and another one new.
    """
    everything = verb.contents(out)
    wrong = [f"{name} is {value}" for name, value in everything.items() if value.startswith(DAMAGED)]
    found = {name: value for name, value in everything.items() if name not in verb.logs}
    known = {name: {before.get(name), after.get(name)} for name in before.keys() | after.keys()}
    wrong += [f"{name} is half-written" for name, value in found.items() if name in known and value not in known[name]]
    return wrong + [f"{name} is lost" for name in before if name not in (*found, *verb.logs) and name in after]


def mixed(out: Path, before: Contents, after: Contents) -> list[str]:
    """Folders of scenes that are partly old and partly new. Only files that differ tell."""
    ages: dict[str, set[str]] = {}
    for name, value in file_contents(out).items():
        if "/" in name and before.get(name) != after.get(name):
            ages.setdefault(name.rpartition("/")[0], set()).add("new" if value == after.get(name) else "old")
    return [f"{folder} is half old and half new" for folder, seen in ages.items() if len(seen) > 1 and before]


def differences(wanted: Contents, found: Contents) -> list[str]:
    return sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))


def _become(words: list[str], log: Path, modules_to: Path | None) -> None:
    descriptor = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o666)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.argv = ["panoptic3d", *words]
    code = 1
    try:
        code = main()
        if modules_to is not None:
            modules_to.write_text(json.dumps(sorted(sys.modules)))
    except SystemExit as leave:
        code = leave.code if isinstance(leave.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


def _steady(path: Path) -> bytes:
    data = path.read_bytes()
    if path.suffix == ".jsonl":
        lines = (_parsed(line) for line in data.splitlines())
        return json.dumps(sorted(json.dumps(_clean(line), sort_keys=True) for line in lines if line)).encode()
    return json.dumps(_clean(json.loads(data))).encode() if path.suffix == ".json" else data


def _parsed(line: bytes) -> object:
    with suppress(ValueError):
        return json.loads(line)
    return None  # where a writer was killed


def _clean(tree: object) -> object:
    if isinstance(tree, dict):
        return {key: _clean(value) for key, value in tree.items() if key not in _FLEETING}
    return [_clean(value) for value in tree] if isinstance(tree, list) else tree


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
