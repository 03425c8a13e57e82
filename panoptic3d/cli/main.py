"""Parse, call, print. Exit codes: 0 done, 1 the work failed, 2 the call or its input is wrong."""

import argparse
import importlib
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from panoptic3d.errors import InputError, Panoptic3dError
from panoptic3d.version import __version__

# verb -> (module with `add_arguments(parser)` and `run(arguments)`, one line of help)
VERBS = {
    "predict": ("panoptic3d.cli.predict", "photos -> scenes"),
    "view": ("panoptic3d.cli.view", "open a predicted scene in the browser, offline"),
    "evaluate": ("panoptic3d.cli.evaluate", "score a checkpoint or the prediction files of any method"),
    "train": ("panoptic3d.cli.train", "train a config, in one process or under torchrun"),
    "data": ("panoptic3d.cli.data", "generate, verify, pack or inspect a data set"),
    "import-checkpoint": ("panoptic3d.cli.import_checkpoint", "turn published weights into ours"),
    "bench": ("panoptic3d.cli.bench", "the speed benchmarks, as JSON"),
    "doctor": ("panoptic3d.cli.doctor", "what is installed, what works, and a self-test of each part"),
}


def main(words: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if words is None else words)
    is_debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        arguments = _parse(words)
        return arguments.run(arguments) or 0
    except Panoptic3dError as error:
        _report(str(error), is_debug)
        return error.exit_code
    except KeyboardInterrupt:
        _report("interrupted; what was finished is on the disk.", is_debug)
        return 130
    except BrokenPipeError:  # the reader of our output left, as `| head` does
        sys.stderr.close()
        return 1
    except Exception as error:  # a bug of ours: still one sentence, and how to see more
        _report(f"unexpected {type(error).__name__}: {error} (run again with --debug for the traceback).", is_debug)
        return 1


def _parse(words: list[str]) -> argparse.Namespace:
    """Build the parser of the verb that was asked for and no other, so that `--help` stays fast."""
    parser = _Parser(prog="panoptic3d", description="From one photo of a room to its whole scene in 3D.")
    parser.add_argument("--version", action="version", version=f"panoptic3d {__version__}")
    parser.epilog = "Every verb takes --debug, which shows the traceback of an error."
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    asked = next((word for word in words if not word.startswith("-")), None)
    for verb, (module, help_line) in VERBS.items():
        verb_parser = verbs.add_parser(verb, help=help_line, description=f"{help_line[0].upper()}{help_line[1:]}.")
        if verb == asked:
            importlib.import_module(module).add_arguments(verb_parser)
    return parser.parse_args(words)


def _report(message: str, is_debug: bool) -> None:
    if is_debug:
        traceback.print_exc()
    print(f"panoptic3d: {' '.join(message.split())}", file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    """argparse prints the usage before its complaint; a user's mistake gets one plain sentence."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see `{self.prog} --help`.")
