"""The command line: parse, call, print. Exit codes: 0 done, 1 the work failed, 2 the call or its input is wrong."""

import argparse
import contextlib
import errno
import importlib
import sys
import traceback
from collections.abc import Sequence

from panoptic3d.cli.arguments import Parser
from panoptic3d.cli.process import Terminated, end_on_sigterm, settle
from panoptic3d.errors import Panoptic3dError, printable
from panoptic3d.files import is_full_disk
from panoptic3d.version import __version__

# verb -> (module with `add_arguments(parser)` that sets `run`, one line of help)
VERBS = {
    "predict": ("panoptic3d.cli.predict", "photos -> scenes"),
    "fuse": ("panoptic3d.cli.fuse", "several photos of a room with poses -> one scene"),
    "view": ("panoptic3d.cli.view", "open a predicted scene in the browser, offline"),
    "app": ("panoptic3d.app.command", "a page to drop photos on, and the same by HTTP"),
    "evaluate": ("panoptic3d.cli.evaluate", "score a checkpoint or the prediction files of any method"),
    "train": ("panoptic3d.cli.train", "train a config, in one process or under torchrun"),
    "data generate": ("panoptic3d.cli.data.generate", "make rooms in the released layout"),
    "data verify": ("panoptic3d.cli.data.verify", "check a data set and name every bad file"),
    "data pack": ("panoptic3d.cli.data.pack", "shrink a data set, the loss stated and bounded"),
    "data assets": ("panoptic3d.cli.data.assets", "turn furniture made by others into a library for rooms"),
    "data inspect": ("panoptic3d.cli.data.inspect", "one sample as one picture"),
    "import-checkpoint": ("panoptic3d.cli.import_checkpoint", "turn published weights into ours"),
    "bench": ("panoptic3d.cli.bench", "the speed benchmarks, as JSON"),
    "doctor": ("panoptic3d.cli.doctor", "what is installed, what works, and a self-test of each part"),
}


def main(words: Sequence[str] | None = None) -> int:
    is_own_process = words is None
    words = list(sys.argv[1:] if words is None else words)
    is_debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    if is_own_process:
        settle(words)
        end_on_sigterm()
    try:
        return _call(words)
    except Panoptic3dError as error:
        _report(str(error), is_debug)
        return error.exit_code
    except KeyboardInterrupt as stop:
        _report("interrupted; what was finished is on the disk.", is_debug)
        return 143 if isinstance(stop, Terminated) else 130
    except BrokenPipeError:  # the reader of our output left, as `| head` does
        sys.stderr.close()
        return 1
    except OSError as error:  # from any of the many places that read or write files
        _report(_told(error), is_debug)
        return 2 if error.errno == errno.ENAMETOOLONG else 1  # a name that no file can have was given
    except Exception as error:  # a bug: still one sentence, and how to get the traceback
        _report(f"unexpected {type(error).__name__}: {error} (run again with --debug for the traceback).", is_debug)
        return 1


def _call(words: Sequence[str]) -> int:
    """Run a verb and flush its output. Without the flush a full disk behind `> FILE` would lose the output silently."""
    try:
        arguments = build_parser(words).parse_args(words)
        code = arguments.run(arguments) or 0
    except SystemExit:  # of --help and --version
        _flush()
        raise
    _flush()
    return code


def _flush() -> None:
    if sys.stdout is not None:  # as where it was closed before the start
        sys.stdout.flush()


def build_parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """Offers every verb, and imports the module of none but the one that `words` ask for, so that `--help` stays fast."""
    parser = Parser(
        prog="panoptic3d",
        description="From one photo of a room to its whole scene in 3D.",
        epilog="Every verb takes --debug, which shows the traceback of an error.",
    )
    parser.add_argument("--version", action="version", version=f"panoptic3d {__version__}")
    tops = parser.add_subparsers(metavar="VERB", required=True)
    groups: dict[str, argparse._SubParsersAction] = {}
    asked = [word for word in words if not word.startswith("-")]
    for verb, (module, help_line) in VERBS.items():
        group, _, name = verb.rpartition(" ")
        if group and group not in groups:
            group_parser = tops.add_parser(group, help=f"{group} {_sub_verbs(group)}", description=_sub_verbs(group))
            groups[group] = group_parser.add_subparsers(metavar="VERB", required=True)
        description = f"{help_line[0].upper()}{help_line[1:]}."
        verb_parser = (groups[group] if group else tops).add_parser(name, help=help_line, description=description)
        if asked[: len(verb.split())] == verb.split():
            importlib.import_module(module).add_arguments(verb_parser)
    return parser


def _sub_verbs(group: str) -> str:
    return " / ".join(verb.removeprefix(f"{group} ") for verb in VERBS if verb.startswith(f"{group} "))


def _told(error: OSError) -> str:
    where = f" ({error.filename})" if error.filename is not None else ""
    what = (error.strerror or str(error)) + where
    if is_full_disk(error):
        return f"{what}: make room and run the same command again; what was whole before is whole."
    return f"{what}: the system refused; see to that and run the same command again."


def _report(message: str, is_debug: bool) -> None:
    if is_debug:
        traceback.print_exc()
    with contextlib.suppress(OSError):  # the exit code is left where a terminal is gone or a disk full
        print(f"panoptic3d: {printable(' '.join(message.split()))}", file=sys.stderr, flush=True)
