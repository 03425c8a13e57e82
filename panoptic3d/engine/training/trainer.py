"""The loop. One optimizer step: batches, forward, agreement of all ranks, backward, step; then what is due at its end."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from panoptic3d import distributed
from panoptic3d.data.dataset import SampleDataset
from panoptic3d.data.loader import TrainingLoader
from panoptic3d.data.order import Position
from panoptic3d.engine.methods.base import Method
from panoptic3d.engine.training.agreement import agree
from panoptic3d.engine.training.clock import Clock
from panoptic3d.engine.training.config import TrainingConfig
from panoptic3d.engine.training.ema import MovingAverage
from panoptic3d.engine.training.faults import FaultBook, dump_batch, explained_memory, non_finite_terms
from panoptic3d.engine.training.optimizer import build_optimizer, set_rate
from panoptic3d.engine.training.records import RunFolder
from panoptic3d.engine.training.schedule import rate_factor
from panoptic3d.engine.training.signals import StopRequest
from panoptic3d.engine.training.stages import Stage, learnable_names, set_trained_parts
from panoptic3d.structures.batch import Batch

_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
_NO_CAP = 1 << 62


class Objective(nn.Module):
    """The module that DDP wraps. It returns a dict, because DDP finds no tensors in other mappings."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        return dict(self.method(batch, step))


@dataclass(frozen=True)
class StepReport:
    """Result of one step on this rank."""

    terms: Mapping[str, float]  # means over its batches; empty where the step was given up
    num_samples: int
    rate: float
    grad_norm: float
    must_stop: bool


class Trainer:
    """Everything that changes while a run goes on. `state.py` saves and restores it."""

    def __init__(
        self,
        config: TrainingConfig,
        method: Method,
        dataset: SampleDataset,
        folder: RunFolder,
        device: torch.device,
        stop: StopRequest,
    ) -> None:
        self.config, self.method, self.dataset = config, method.to(device), dataset
        self.folder, self.device, self.stop = folder, device, stop
        self.clock, self.faults = Clock(device), FaultBook()
        self.step, self.position = 0, Position()
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
        self.average = MovingAverage(method.network, config.ema_decay) if config.ema_decay else None
        self._learnable = learnable_names(method)
        self.clock.watch_children(method.network)
        if config.compile_2d:
            _compile(method, "2d")

    def enter(self, stage: Stage) -> None:
        """From `self.step` on, the parts of this stage learn, with an optimizer of their own."""
        self.stage = stage
        set_trained_parts(self.method, stage.config.train, self._learnable)
        self.optimizer = build_optimizer(self.method, stage.optimizer)
        objective = Objective(self.method)
        self._objective: nn.Module = objective
        if distributed.is_distributed():
            self._objective = DistributedDataParallel(
                objective, find_unused_parameters=stage.config.find_unused_parameters
            )
        dataset = SampleDataset(self.dataset.root, self.dataset.split, has_voxels=stage.config.has_voxels)
        uncapped = self.config.loader.model_copy(update={"max_bad_samples": _NO_CAP})  # ranks cap together
        self.loader = TrainingLoader(dataset, uncapped, self.config.seed)
        self._batches = self.loader.batches(self.position)
        self._num_replacements_known = 0

    def train_step(self) -> StepReport:
        """One optimizer step on all ranks, or none on any."""
        rate = set_rate(self.optimizer, self._rate_factor())
        self.optimizer.zero_grad(set_to_none=True)
        buffers = _float_buffers(self.method)
        sums: dict[str, float] = {}
        num_samples, must_stop, is_finite, grad_norm = 0, False, True, 0.0
        for is_last in self._micro_steps():
            parts = self._next_parts()
            num_samples += sum(len(part) for part in parts)
            is_finite, stop = self._micro_step(parts, is_last, sums, buffers)
            must_stop |= stop
            if not is_finite:
                break
        if is_finite:
            grad_norm, is_finite = self._apply(parts[-1], buffers)
        self.step += 1
        return StepReport(sums if is_finite else {}, num_samples, rate, grad_norm, must_stop)

    def _micro_steps(self) -> Iterator[bool]:
        for number in range(self.config.accumulation):
            yield number + 1 == self.config.accumulation

    def _micro_step(
        self, parts: tuple[Batch, ...], is_last: bool, sums: dict[str, float], buffers: Mapping[str, Tensor]
    ) -> tuple[bool, bool]:
        """Gradients of the mean over all samples, size by size; whether all ranks found them finite, whether one must stop.

        Ranks may have different numbers of sizes: they agree, and exchange gradients, at the last one only.
        """
        count, complaint, culprit, must_stop = sum(len(part) for part in parts), "", parts[0], False
        for part in parts:
            is_final, share = part is parts[-1], len(part) / count
            with self._synchronised(is_last and is_final), explained_memory(part, self.step):
                terms, loss = self._forward(part)
                if not complaint:
                    complaint, culprit = non_finite_terms({"loss": loss, **terms}), part
                if is_final:
                    is_finite, must_stop = self._agree(not complaint)
                    if not is_finite:
                        self._give_up(culprit, complaint, buffers)
                        return False, must_stop
                if not complaint:
                    self._backward(share * loss)
            for name, term in terms.items():
                sums[name] = sums.get(name, 0.0) + share * float(term.detach()) / self.config.accumulation
        return True, must_stop

    def _next_parts(self) -> tuple[Batch, ...]:
        """The samples of a micro-step, one batch for each size of their photos."""
        with self.clock.time("data"):
            parts, self.position = next(self._batches)
            return tuple(part.to(self.device, non_blocking=True) for part in parts)

    def _forward(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        dtype = _AUTOCAST.get(self.config.precision)
        with self.clock.time("forward"), torch.autocast(self.device.type, dtype, enabled=dtype is not None):
            terms = self._objective(batch, self.step)
        return terms, torch.stack([term.double() for term in terms.values()]).sum()

    def _agree(self, is_finite: bool) -> tuple[bool, bool]:
        new = self.loader.replacements[self._num_replacements_known :]
        self._num_replacements_known += len(new)
        with self.clock.time("agree"):
            verdict = agree(is_finite, bool(self.stop), len(new))
            if verdict.has_bad_samples:
                self.faults.note_bad_samples(new, self.config.loader.max_bad_samples)
        return verdict.is_finite, verdict.must_stop

    def _backward(self, loss: Tensor) -> None:
        with self.clock.time("backward"):
            self.scaler.scale(loss / self.config.accumulation).backward()

    def _apply(self, batch: Batch, buffers: Mapping[str, Tensor]) -> tuple[float, bool]:
        """Gradients are the same on all ranks by now, so each decides alike without asking."""
        with self.clock.time("step"):
            self.scaler.unscale_(self.optimizer)
            learning = [p for group in self.optimizer.param_groups for p in group["params"] if p.grad is not None]
            norm = float(nn.utils.clip_grad_norm_(learning, self.config.clip_norm or float("inf")))
            is_finite = norm < float("inf")  # false for NaN, too
            if not is_finite and self.scaler.is_enabled():
                self.faults.num_overflows += 1
            elif not is_finite:
                self._give_up(batch, f"the norm of the gradient is {norm}", buffers)
                return norm, False
            self.scaler.step(self.optimizer)  # skips by itself what has overflowed
            self.scaler.update()
            if self.average is not None and is_finite:
                self.average.update(self.step - self.stage.start)  # the EMA's warm-up restarts with each stage
        return norm, is_finite

    def _give_up(self, batch: Batch, complaint: str, buffers: Mapping[str, Tensor]) -> None:
        """Leave weights and the running statistics of norms as they were; keep the batch of the rank that complained."""
        for name, buffer in self.method.named_buffers():
            if name in buffers:
                buffer.copy_(buffers[name])
        is_kept = (
            complaint and self.folder.path.exists() and len(self.faults.non_finite_steps) < self.config.faults.num_dumps
        )
        if is_kept:
            path = self.folder.faults / f"step-{self.step:08d}-rank{distributed.rank()}.pt"
            dump_batch(path, batch, self.step, self.method.state_dict())
        self.faults.note_non_finite(self.step, complaint, batch.keys, self.config.faults)

    def _synchronised(self, is_last: bool) -> contextlib.AbstractContextManager:
        """Gradients travel once a step."""
        if isinstance(self._objective, DistributedDataParallel) and not is_last:
            return self._objective.no_sync()
        return contextlib.nullcontext()

    def _rate_factor(self) -> float:
        return rate_factor(self.stage.schedule, self.step - self.stage.start, self.stage.config.steps)


def _float_buffers(method: Method) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in method.named_buffers() if buffer.is_floating_point()}


def _compile(method: Method, part: str) -> None:
    """Forward passes alone, so that names of weights and the clock's hooks stay as they are."""
    for module in method.parts().get(part, ()):
        module.forward = torch.compile(module.forward)  # type: ignore[method-assign]
