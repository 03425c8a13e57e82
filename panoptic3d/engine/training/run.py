"""One training from its config to its end: what the command line calls."""

import contextlib
import logging
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from panoptic3d import distributed
from panoptic3d.config import fingerprint
from panoptic3d.data.dataset import SampleDataset, open_dataset
from panoptic3d.data.splits import split_of_keys
from panoptic3d.engine.methods.table import build_method
from panoptic3d.engine.training import checkpoint as checkpoints
from panoptic3d.engine.training.agreement import explained_loss_of_ranks
from panoptic3d.engine.training.config import DataConfig, TrainingConfig
from panoptic3d.engine.training.following import open_trackers
from panoptic3d.engine.training.plan import plan_lines
from panoptic3d.engine.training.profiling import StepProfiler
from panoptic3d.engine.training.records import RunFolder
from panoptic3d.engine.training.report import Progress, StepLog, duration, final_report
from panoptic3d.engine.training.signals import EXIT_TO_BE_RESTARTED, StopRequest, stop_on_signals
from panoptic3d.engine.training.stages import Stage, check_parts, stages_of
from panoptic3d.engine.training.starting import start_from
from panoptic3d.engine.training.state import Standing, capture, restore
from panoptic3d.engine.training.trainer import Trainer
from panoptic3d.engine.training.validation import check_has_truth, validate, validation_set
from panoptic3d.errors import InputError
from panoptic3d.machine import device_named
from panoptic3d.randomness import seed_everything
from panoptic3d.tracking.tracker import Tracker

_LOG = logging.getLogger(__name__)
STEP_LINE = "is_step_line"  # attribute of log records about steps, which a terminal replaces by its progress line
Observer = Callable[[Progress], None]


@dataclass(frozen=True)
class Resume:
    """`auto`: the newest intact checkpoint of the run's folder, if there is one. `never`: refuse a folder with any."""

    word: str = "auto"

    def find(self, folder: RunFolder) -> Path | None:
        if self.word == "auto":
            return checkpoints.newest_intact(folder.checkpoints)
        if self.word != "never":
            return checkpoints.find_checkpoint(self.word)
        if checkpoints.all_checkpoints(folder.checkpoints):
            raise InputError(
                f"{folder.path} holds checkpoints already and --resume never would mix two runs; give another --folder, "
                "or delete it."
            )
        return None


def train(
    config: TrainingConfig, resume: Resume, observe: Observer = lambda progress: None, num_profiled: int = 0
) -> int:
    """Exit code: 0 when all stages are done, 75 when a signal asked to stop and the state is saved.

    `num_profiled` steps go through torch.profiler, on the main rank.
    """
    device = choose_device(config)
    distributed.start(device, config.rank_timeout_s)
    _settle(config)
    assert config.folder is not None, "the command line gives one"
    folder = RunFolder(Path(config.folder))
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(stop_on_signals())
        stack.enter_context(explained_loss_of_ranks())
        if distributed.is_main():
            stack.enter_context(folder.locked())
            stack.enter_context(folder.log_to_file())
        distributed.wait_for_slow_ranks()
        run = _Run(config, folder, device, stop, observe)
        run.profiler = StepProfiler(folder.profile, num_profiled if distributed.is_main() else 0, device)
        return run.carry_out(resume)


def dry_run(config: TrainingConfig) -> list[str]:
    """Lines that describe what `train` would do; writes nothing."""
    device = choose_device(config)
    _settle(config)
    assert config.folder is not None, "the command line gives one"
    run = _Run(config, RunFolder(Path(config.folder)), device, StopRequest(), lambda progress: None)
    started = start_from(config, run.trainer.method.network)
    return plan_lines(run.trainer, run.stages, started)


def choose_device(config: TrainingConfig) -> torch.device:
    device = device_named(config.device, "use device cpu or auto", distributed.local_rank())
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device


def training_set(config: DataConfig) -> SampleDataset:
    dataset = open_dataset(config.root, config.split)
    if config.num_samples is None or config.num_samples >= len(dataset):
        return dataset
    keys = list(dataset.split.keys[: config.num_samples])
    return SampleDataset(dataset.root, split_of_keys(f"first {len(keys)} of {dataset.split.name}", keys))


def _settle(config: TrainingConfig) -> None:
    # not use_deterministic_algorithms: that imports the compiler, a second or two of every start
    torch.set_deterministic_debug_mode("error" if config.is_deterministic else "default")
    torch.backends.cudnn.benchmark = not config.is_deterministic


class _Run:
    """A trainer with what surrounds it: checkpoints, validation, log and trackers."""

    def __init__(
        self, config: TrainingConfig, folder: RunFolder, device: torch.device, stop: StopRequest, observe: Observer
    ) -> None:
        self.config, self.folder, self.stop, self.observe = config, folder, stop, observe
        self.dataset = training_set(config.data)
        self.stages = stages_of(config)
        method = build_method(config)
        check_parts(method, self.stages)
        self.validation: SampleDataset | None = None
        if config.validation.every:
            held_out = open_dataset(config.data.validation_root or config.data.root, config.data.validation_split)
            self.validation = validation_set(held_out, config.validation.num_samples)
            check_has_truth(self.validation)
        seed_everything(config.seed, "rank", distributed.rank())
        self.trainer = Trainer(config, method, self.dataset, folder, device, stop)
        self.standing = Standing()
        self._saved_step = -1
        self._written: set[str] = set()  # checkpoints of this process
        self.log = StepLog(config)
        self.profiler = StepProfiler(folder.profile, 0, device)

    def carry_out(self, resume: Resume) -> int:
        self._begin(resume)
        self.tracker: Tracker = open_trackers(self.config, self.folder, self.trainer.step)
        try:
            for stage in self.stages:
                if self.trainer.step >= stage.end:
                    continue
                if self.trainer.stage.name != stage.name:
                    self.trainer.enter(stage)
                _LOG.info("stage %s: steps %d to %d", stage.name, self.trainer.step, stage.end)
                start_s = time.monotonic()
                if self._run_stage(stage):
                    _LOG.info("asked to stop: saved at step %d, exit code %d", self.trainer.step, EXIT_TO_BE_RESTARTED)
                    return EXIT_TO_BE_RESTARTED
                _LOG.info("stage %s took %s", stage.name, duration(time.monotonic() - start_s))
            if self._close_step(must_stop=False):
                return EXIT_TO_BE_RESTARTED
            self._finish()
        finally:
            self.profiler.close()
            self.tracker.close()
        return 0

    def _begin(self, resume: Resume) -> None:
        found = distributed.gather_objects(resume.find(self.folder) if distributed.is_main() else None)[0]
        if found is not None:
            self.standing = restore(self.trainer, found, self.stages)
            self.standing.resumed.append(self.trainer.step)
            self._saved_step = self.trainer.step
            _LOG.info("goes on from %s", found)
        else:
            for line in start_from(self.config, self.trainer.method.network):
                _LOG.info(line)
            self.trainer.enter(self.stages[0])
        if distributed.is_main():
            for path in checkpoints.set_aside(self.folder.checkpoints, found):
                _LOG.warning("set aside, since this run does not come from it: %s", path)
            self.folder.write_start(self.config, self.dataset, found)
        _LOG.info(
            "%s, %d samples, %d ranks, config %s",
            self.config.method,
            len(self.dataset),
            distributed.world_size(),
            fingerprint(self.config),
        )

    def _run_stage(self, stage: Stage) -> bool:
        """True where the run was asked to stop."""
        trainer, config = self.trainer, self.config
        if trainer.step > stage.start and self._close_step(must_stop=False):  # what a killed run had yet to do
            return True
        while trainer.step < stage.end:
            with self.profiler.around_step():
                report = trainer.train_step()
            self.log.add(report)
            if trainer.step % config.log_every == 0:
                self._write_log()
            self.observe(self.log.progress(trainer.step, report, self.standing))
            if self._close_step(report.must_stop):
                return True
        return False

    def _close_step(self, must_stop: bool) -> bool:
        """Validate and save where it is time; whether to stop."""
        step, is_best = self.trainer.step, False
        if self._is_validation_due() and not must_stop:
            is_best, must_stop = self._validate()
        is_last = step == self.config.num_steps
        is_due = step % self.config.checkpoint.every == 0 or is_last or is_best or must_stop
        if is_due and (is_best or step != self._saved_step):
            self._save(is_best)
        return must_stop

    def _is_validation_due(self) -> bool:
        every, step = self.config.validation.every, self.trainer.step
        is_time = every > 0 and (step % every == 0 or step == self.config.num_steps)
        return is_time and self.standing.validated_step != step

    def _validate(self) -> tuple[bool, bool]:
        """Whether this is the best PRQ so far, and whether to stop instead."""
        assert self.validation is not None
        trainer, start_s, start_cpu_s = self.trainer, time.monotonic(), time.process_time()
        average = trainer.average.in_place() if trainer.average is not None else contextlib.nullcontext()
        with average, trainer.clock.paused():
            result = validate(
                trainer.method, self.validation, self.config.validation, trainer.device, lambda: bool(self.stop)
            )
        if result is None:
            return False, True
        self.standing.validated_step = trainer.step
        is_best = result.scores.all.prq > self.standing.best_prq
        self.standing.best_prq = max(self.standing.best_prq, result.scores.all.prq)
        numbers = {f"validation/{name}": value for name, value in result.numbers().items()}
        seconds = time.monotonic() - start_s
        self.log.leave_out(seconds, time.process_time() - start_cpu_s)
        self.tracker.numbers(trainer.step, numbers | {"validation/num_samples": result.num_samples})
        self.tracker.table(trainer.step, "validation/classes", *result.table())
        for key, scene in result.shown:
            with tempfile.TemporaryDirectory() as made:
                scene.to_glb(Path(made) / "scene.glb")
                self.tracker.mesh(trainer.step, f"scene/{key}", Path(made) / "scene.glb")
            if scene.photo is not None:
                self.tracker.picture(trainer.step, f"photo/{key}", scene.photo)
        for key, message in result.bad_truth.items():
            _LOG.warning("validation sample %s cannot be scored: %s", key, message)
        _LOG.info(
            "step %d: PRQ %.2f on %d samples, %.1f s",
            trainer.step,
            100 * numbers["validation/prq"],
            result.num_samples,
            seconds,
        )
        return is_best, False

    def _save(self, is_best: bool) -> None:
        if self.log.has_steps:  # its sums are not saved
            self._write_log()
        name = f"step-{self.trainer.step:08d}"
        if is_best:
            self.standing.best = name
        kept = capture(self.trainer, self.standing)
        if distributed.is_main():
            folder = self.folder.checkpoints
            path = checkpoints.write_checkpoint(folder, kept)
            checkpoints.point(folder, "latest", path)
            if is_best:
                checkpoints.point(folder, "best", path)
            self._written.add(path.name)
            checkpoints.prune(folder, self.config.checkpoint.keep, self.standing.best, self._written)
        self._saved_step = self.trainer.step
        distributed.wait_for_slow_ranks()

    def _write_log(self) -> None:
        numbers, line = self.log.close(self.trainer, self.standing)
        self.tracker.numbers(self.trainer.step, numbers)
        _LOG.info(line, extra={STEP_LINE: True})

    def _finish(self) -> None:
        if distributed.is_main():
            facts = self.folder.read_facts() | {"end": final_report(self.trainer, self.standing)}
            self.folder.write_facts(facts)
        lines = self.trainer.faults.lines()
        for line in lines:
            _LOG.info(line)
        _LOG.info("done: %d steps, %d faults, in %s", self.trainer.step, len(lines), self.folder.path)
        name = "best" if self.standing.best is not None else "latest"
        _LOG.info("try it: panoptic3d predict PHOTO --checkpoint %s", self.folder.checkpoints / name)
