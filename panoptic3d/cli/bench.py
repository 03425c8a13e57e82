"""`panoptic3d bench NAME`: the speed benchmarks of eval/speed, as JSON with hardware and commit."""

import argparse
import importlib.util
import json
from pathlib import Path
from types import ModuleType

from panoptic3d.cli.arguments import Parser
from panoptic3d.errors import InputError

_FOLDER = Path(__file__).resolve().parents[2] / "eval" / "speed"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help=f"one of: {', '.join([*_names(), 'all'])}")
    parser.add_argument("options", nargs=argparse.REMAINDER, help="what the benchmark takes; see bench NAME --help")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from panoptic3d.machine import describe_machine

    known = _names()
    if not known:
        raise InputError(f"the benchmarks are scripts of the repository and {_FOLDER} is not there; use a checkout.")
    if arguments.name not in (*known, "all"):
        raise InputError(f"there is no benchmark {arguments.name!r}; choose from {', '.join([*known, 'all'])}.")
    if arguments.name == "all" and arguments.options:
        raise InputError(f"`bench all` takes no options, and {arguments.options[0]!r} was given; name one benchmark.")
    for name in known if arguments.name == "all" else [arguments.name]:
        script = _load(name)
        parser = Parser(prog=f"panoptic3d bench {name}", description=script.__doc__)
        script.add_arguments(parser)
        options = parser.parse_args([] if arguments.name == "all" else arguments.options)
        print(json.dumps({"benchmark": name, **describe_machine(), **script.measure(options)}, indent=2))
    return 0


def _names() -> list[str]:
    return sorted(path.stem for path in _FOLDER.glob("*.py"))


def _load(name: str) -> ModuleType:
    """A benchmark is a file with `add_arguments(parser)` and `measure(arguments) -> dict`."""
    spec = importlib.util.spec_from_file_location(f"panoptic3d_bench_{name}", _FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
