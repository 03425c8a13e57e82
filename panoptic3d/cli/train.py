"""`panoptic3d train CONFIG [--key value ...]`: train a method, in one process or under torchrun."""

import argparse
import contextlib
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from panoptic3d.engine.training.report import Progress

_CLEAR_LINE = "\r\x1b[K"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _add_own_arguments(parser)
    parser.add_argument("config", metavar="CONFIG", help="a YAML file, or a packaged one such as clearview/tiny")
    parser.add_argument(
        "overrides", nargs=argparse.REMAINDER, metavar="--key value", help="change any key of the config"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from panoptic3d import distributed
    from panoptic3d.errors import Panoptic3dError

    if not distributed.launched_by_torchrun():
        return _carry_out(arguments)
    try:
        code = _carry_out(arguments)
    except Panoptic3dError as error:  # its peers may wait for it: leave at once, torchrun ends them
        print(f"panoptic3d: {' '.join(str(error).split())}", file=sys.stderr)
        distributed.abandon(error.exit_code)
    return distributed.leave(code)


def _carry_out(arguments: argparse.Namespace) -> int:
    own, overrides = _own_words(arguments)
    num_profiled = _number_of_steps(own.profile)
    from panoptic3d.engine.methods.table import load_training_config
    from panoptic3d.engine.training.allocator import keep_freed_memory
    from panoptic3d.engine.training.run import Resume, choose_device, dry_run, train
    from panoptic3d.packaged import find_config

    path = find_config(arguments.config)
    config = load_training_config(path, overrides)
    if config.folder is None:
        config = config.model_copy(update={"folder": f"runs/{path.parent.name}-{path.stem}"})
    if own.replay:
        from panoptic3d.engine.training.replay import replay

        print("\n".join(replay(config, Path(own.replay), choose_device(config))))
        return 0
    if own.dry_run:
        print("\n".join(dry_run(config)))
        return 0
    keep_freed_memory()
    with _shown_log():
        return train(config, Resume(own.resume), _observer(), num_profiled)


def _add_own_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--resume", default=None, metavar="auto|never|PATH", help="where to go on from (auto)")
    parser.add_argument("--dry-run", action="store_true", help="print what would run and check one step of each stage")
    parser.add_argument("--profile", metavar="N", help="torch.profiler on N steps: RUN/profile")
    parser.add_argument("--replay", metavar="FILE", help="run a batch of RUN/faults again and say what is not finite")


def _number_of_steps(word: str | None) -> int:
    from panoptic3d.errors import InputError

    if word is not None and not word.isdecimal():
        raise InputError(f"--profile takes a number of steps, not {word!r}; give 3 or more for a steady picture.")
    return int(word or 0)


def _own_words(arguments: argparse.Namespace) -> tuple[argparse.Namespace, list[str]]:
    """Switches of this verb may stand before CONFIG or among the overrides after it."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    _add_own_arguments(parser)
    after, overrides = parser.parse_known_args(arguments.overrides)
    merged: dict[str, Any] = {name: value or getattr(arguments, name) for name, value in vars(after).items()}
    merged["resume"] = merged["resume"] or "auto"
    return argparse.Namespace(**merged), overrides


@contextlib.contextmanager
def _shown_log() -> Iterator[None]:
    """Log lines of the main rank on stderr. A terminal has a progress line instead of the lines about steps."""
    from panoptic3d import distributed
    from panoptic3d.engine.training.run import STEP_LINE

    logger, handler = logging.getLogger("panoptic3d"), logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.INFO if distributed.is_main_by_environment() else logging.WARNING)
    handler.setFormatter(logging.Formatter("%(message)s"))
    if sys.stderr.isatty():
        handler.setFormatter(logging.Formatter(f"{_CLEAR_LINE}%(message)s"))
        handler.addFilter(lambda record: not hasattr(record, STEP_LINE))
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def _observer() -> "Callable[[Progress], None]":
    """The progress line of a terminal: step, loss, best PRQ, seconds a step, and ETA."""
    from panoptic3d import distributed

    if not sys.stderr.isatty() or not distributed.is_main_by_environment():
        return lambda progress: None

    def draw(progress: "Progress") -> None:
        parts = [f"step {progress.step:,} of {progress.num_steps:,} ({progress.step / progress.num_steps:.0%})"]
        parts.append("not finite" if progress.loss is None else f"loss {progress.loss:.4g}")
        if progress.best_prq is not None:
            parts.append(f"best PRQ {100 * progress.best_prq:.2f}")
        minutes, seconds = divmod(round(progress.seconds_left), 60)
        parts += [f"{progress.seconds_a_step:.3g} s a step", f"ETA {minutes // 60}:{minutes % 60:02}:{seconds:02}"]
        end = "\n" if progress.step == progress.num_steps else ""
        print(f"{_CLEAR_LINE}{', '.join(parts)}", end=end, file=sys.stderr, flush=True)

    return draw
