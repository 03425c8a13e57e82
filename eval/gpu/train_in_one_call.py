"""Everything in one call on a machine that is lent for minutes: rooms are made on the cores while the network trains on them.

    python -m eval.gpu.train_in_one_call --minutes 9.5 --later-minutes 19 --out $OUT            # the first of three calls
    python -m eval.gpu.train_in_one_call --minutes 9.5 --later-minutes 9.5 --state DIR --out $OUT   # goes on from its files

Training begins with the first rooms. A round ends when there are half as many rooms again, or its time is over, and the next
one sees them all. The steps of each stage follow from the pace so far and the time that is left, in this call and in later
ones, so that the schedule of the rate ends when the time does. Before the time is over the state is written as a few small
files; what is left of it goes into a race on test rooms. The same on a CPU, with smaller numbers.
"""

import argparse
import gc
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import save

from eval.gpu.growing_rooms import GrowingRooms, next_room, test_words, training_words
from eval.gpu.pace import Pace, StepWatch
from eval.gpu.state_files import PART_BYTES, pack_run, product_weights, read_checkpoint, unpack_run
from panoptic3d.engine.methods.table import load_training_config
from panoptic3d.engine.training.checkpoint import newest_intact
from panoptic3d.engine.training.config import StageConfig, TrainingConfig
from panoptic3d.engine.training.run import Resume, train
from panoptic3d.engine.training.signals import EXIT_TO_BE_RESTARTED
from panoptic3d.errors import InputError, Panoptic3dError
from panoptic3d.files import write_bytes_atomically, write_text_atomically
from panoptic3d.machine import describe_machine

_LOG = logging.getLogger("panoptic3d.gpu")
_GROWTH = 1.5
_MIN_LEFT_S = 5.0  # a round shorter than this is not begun


@dataclass(frozen=True)
class Call:
    """What was asked for, and when it must be over."""

    asked: argparse.Namespace
    start_s: float

    @property
    def work(self) -> Path:
        return Path(self.asked.work)

    @property
    def run(self) -> Path:
        return self.work / "run"

    @property
    def rooms(self) -> Path:
        return self.work / "rooms"

    @property
    def weights(self) -> Path:
        """Half floats, with their config: what is raced and may be shipped."""
        return self.work / "weights"

    @property
    def out(self) -> Path:
        return Path(self.asked.out)

    @property
    def end_s(self) -> float:
        return self.start_s + 60 * self.asked.minutes

    def training_seconds_left(self) -> float:
        """The last share of a call is for the state and the race."""
        return self.end_s - self.asked.reserve_s - time.monotonic()


@dataclass
class Carried:
    """What one call tells the next besides the run."""

    pace: Pace
    next_room: int = 0  # of the training rooms
    num_calls: int = 0
    samples_made: int = 0

    @classmethod
    def from_tree(cls, tree: dict[str, Any]) -> "Carried":
        return cls(**{**tree, "pace": Pace(**tree["pace"])})


def carry_out(asked: argparse.Namespace) -> int:
    call = Call(asked, process_start_s())
    if call.run.exists():
        raise InputError(f"{call.run} holds a run already; go on from its files with --state, in another --work.")
    call.out.mkdir(parents=True, exist_ok=True)
    carried = Carried(Pace())
    if asked.state is not None:
        carried = Carried.from_tree(unpack_run(Path(asked.state), call.run))
    carried.num_calls += 1
    signal.signal(signal.SIGUSR1, lambda number, frame: None)  # a round's end that comes a moment late ends nothing
    with ExitStack() as stack:
        words = training_words(asked.train_samples, carried.next_room, asked.recipe, call.work)
        rooms = stack.enter_context(GrowingRooms(call.rooms, words, asked.room_workers))
        tests = stack.enter_context(
            GrowingRooms(call.work / "test", test_words(asked.test_samples, asked.test_recipe), 2)
        )
        if _train(call, carried, rooms):
            return EXIT_TO_BE_RESTARTED
        tests.wait_for(asked.test_samples, call.end_s - asked.reserve_s / 2)
    return _race(call)


def process_start_s() -> float:
    """By the clock of `time.monotonic`: what a call pays for began with the process, and importing torch takes its time."""
    stat = Path("/proc/self/stat")
    if not stat.exists():
        return time.monotonic()
    ticks = int(stat.read_text().rpartition(")")[2].split()[19])
    age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return time.monotonic() - age_s


def _train(call: Call, carried: Carried, rooms: GrowingRooms) -> bool:
    """Round after round, each kept when it is over; whether somebody else asked to stop."""
    asked, made_before = call.asked, carried.samples_made
    keys = rooms.wait_for(asked.first_samples, call.end_s - asked.reserve_s)
    if len(keys) < min(asked.first_samples, asked.train_samples):
        raise Panoptic3dError(
            f"only {len(keys)} samples were made in time; give more --minutes or fewer --first-samples."
        )
    seconds = float(asked.first_round_s)
    steps_before = carried.pace.num_steps
    while call.training_seconds_left() > _MIN_LEFT_S:
        config = _config_of_round(call, carried.pace, keys, steps_before)
        stage_names = ", ".join(f"{stage.name} {stage.steps}" for stage in config.stages)
        _LOG.info("round on %d samples, steps planned: %s", len(keys), stage_names)
        watch = StepWatch(carried.pace, config.stages)
        with _RoundEnd(rooms, len(keys), asked.first_round_s, min(seconds, call.training_seconds_left())) as end:
            code = train(config, Resume("auto"), watch)
        if code not in (0, EXIT_TO_BE_RESTARTED):
            raise Panoptic3dError(f"the training ended with exit code {code}; {call.run}/train.log says why.")
        keys, seconds = rooms.keys(), float(asked.round_s)
        carried.next_room = next_room(call.rooms, carried.next_room, asked.recipe)
        carried.samples_made = made_before + len(keys)
        _keep(call, carried)
        if code == 0 or not end.is_due:
            return code != 0
        gc.collect()  # the memory of the round's network and optimizer, before the next one takes its own
    return False


def _config_of_round(call: Call, pace: Pace, keys: Sequence[str], steps_before: int) -> TrainingConfig:
    asked = call.asked
    split = call.work / "available.txt"
    write_text_atomically(split, "".join(f"{key}\n" for key in keys))
    words = [f"--data={{root: {call.rooms}, split: {split}}}", f"--folder={call.run}", "--validation.every=0"]
    words += ["--checkpoint.every=1000000", "--checkpoint.keep=1", *(f"--{word}" for word in asked.set)]
    config = load_training_config(Path(asked.config), words)
    stages = pace.planned(config.stages, call.training_seconds_left() + 60 * asked.later_minutes)
    if asked.max_steps is not None:
        stages = capped(stages, steps_before + asked.max_steps)
    return config.model_copy(update={"stages": stages})


def capped(stages: tuple[StageConfig, ...], num_steps: int) -> tuple[StageConfig, ...]:
    """The first so many steps of the stages."""
    made = []
    for stage in stages:
        steps = min(stage.steps, num_steps)
        num_steps -= steps
        if steps > 0:
            made.append(stage.model_copy(update={"steps": steps}))
    return tuple(made)


class _RoundEnd:
    """Asks the training to save and stop: when the round's time is over, or from some time on when there are half as many
    rooms again.
    """

    def __init__(self, rooms: GrowingRooms, num_known: int, least_s: float, seconds: float) -> None:
        self.is_due = False
        self._rooms, self._enough, now_s = rooms, _GROWTH * num_known, time.monotonic()
        self._from_s, self._until_s = now_s + least_s, now_s + seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "_RoundEnd":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(2.0):
            now_s = time.monotonic()
            if now_s >= self._until_s or (now_s >= self._from_s and len(self._rooms.keys()) >= self._enough):
                self.is_due = True
                os.kill(os.getpid(), signal.SIGUSR1)
                return


def _keep(call: Call, carried: Carried) -> None:
    """All that the next call and the user need, in files that may be carried out."""
    parts = pack_run(call.run, call.out, asdict(carried))
    newest = newest_intact(call.run / "checkpoints")
    assert newest is not None, "pack_run has read it"
    checkpoint = read_checkpoint(newest)
    call.weights.mkdir(parents=True, exist_ok=True)
    write_bytes_atomically(call.weights / "model.safetensors", save(product_weights(checkpoint.weights)))
    for name, tree in (("config.json", checkpoint.network_config), ("origin.json", checkpoint.origin)):
        write_text_atomically(call.weights / name, json.dumps(tree, indent=1) + "\n")
    is_small = (call.weights / "model.safetensors").stat().st_size <= PART_BYTES
    if is_small:  # else it comes back in the state alone
        shutil.copytree(call.weights, call.out / "weights", dirs_exist_ok=True)
    sizes = ", ".join(f"{path.name} {path.stat().st_size / 2**20:.1f} MiB" for path in parts)
    _LOG.info("step %d is kept: %s%s", checkpoint.step, sizes, " and weights/" if is_small else "")


def _race(call: Call) -> int:
    """Of the weights as they were kept, first alone and then with the baselines: what the time does not allow is said."""
    trained: dict[str, Any] = {"trained here": {"path": str(call.weights)}}
    training = {"path": str(call.rooms), "split": str(call.work / "available.txt"), "num_samples": 200}
    baselines = {
        "visible surface only": {"kind": "visible-surface", "path": str(call.weights)},
        "mean room": {"kind": "mean-room", **training},
    }
    shutil.rmtree(call.work / "race", ignore_errors=True)
    table = ""
    for entrants in (trained, trained | baselines) if call.asked.has_baselines else (trained,):
        seconds = call.end_s - time.monotonic()
        try:
            done = _raced(call, entrants, seconds)
        except subprocess.TimeoutExpired:
            _LOG.warning("no time was left for a race of %s; the state is kept.", ", ".join(entrants))
            break
        if done.returncode:
            return done.returncode
        shutil.copyfile(call.work / "race" / "race.json", call.out / "race.json")
        table = done.stdout
    print(table)
    return 0


def _raced(call: Call, entrants: dict[str, Any], seconds: float) -> subprocess.CompletedProcess:
    config = {
        "data": str(call.work / "test"),
        "num_samples": call.asked.test_samples,
        "entrants": entrants,
        "out": str(call.work / "race"),
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "num_cost_photos": 0,
        "num_threads": call.asked.threads,
    }
    path = call.work / "race.yaml"
    path.write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "eval.race.race", str(path)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=max(1.0, seconds), check=False)


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--config", default="configs/clearview/tiny.yaml")
    parser.add_argument("--minutes", type=float, required=True, help="of this call, all in")
    parser.add_argument(
        "--later-minutes", type=float, default=0.0, help="of training in the calls that will follow (0)"
    )
    parser.add_argument("--state", metavar="DIR", help="what the last call wrote to --out")
    parser.add_argument("--out", required=True, metavar="DIR", help="state.*, weights/, race.json")
    parser.add_argument("--work", default="out/one-call", metavar="DIR", help="rooms and run; may be lost afterwards")
    parser.add_argument("--reserve-s", type=float, default=75.0, help="of the call, for the state and the race (75)")
    parser.add_argument("--room-workers", type=int, default=10, metavar="N", help="cores that make rooms (10)")
    parser.add_argument(
        "--recipe", default="rooms-v1", help="of the rooms to train on, by name or as a YAML (rooms-v1)"
    )
    parser.add_argument("--test-recipe", default="rooms-v1", help="of the rooms to race on (rooms-v1)")
    parser.add_argument("--train-samples", type=int, default=20000, metavar="N", help="at most, in this call")
    parser.add_argument("--first-samples", type=int, default=64, metavar="N", help="with which training begins (64)")
    parser.add_argument(
        "--first-round-s", type=float, default=40.0, help="the shortest round, and the first: it finds the pace"
    )
    parser.add_argument("--round-s", type=float, default=150.0)
    parser.add_argument("--max-steps", type=int, metavar="N", help="of this call, for rehearsals")
    parser.add_argument("--test-samples", type=int, default=40, metavar="N")
    parser.add_argument("--no-baselines", dest="has_baselines", action="store_false")
    parser.add_argument("--threads", type=int, default=4, help="of the race")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="changes of the config")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    _LOG.info("%s", describe_machine())
    try:
        return carry_out(parse(words))
    except Panoptic3dError as error:
        print(f"train_in_one_call: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
