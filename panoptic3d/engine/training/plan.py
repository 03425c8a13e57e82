"""The dry run of a training: what would run, its size, and one step of each stage as a check."""

import time
from collections.abc import Sequence

import torch

from panoptic3d.config import dump_yaml, fingerprint
from panoptic3d.engine.methods.base import Method
from panoptic3d.engine.training.records import data_facts
from panoptic3d.engine.training.report import duration, peak_memory_mib
from panoptic3d.engine.training.stages import Stage, learnable_names, set_trained_parts
from panoptic3d.engine.training.trainer import Trainer

_MOMENTS = {"sgd": 1, "adam": 2, "adamw": 2}  # tensors of the optimizer for each parameter


def plan_lines(trainer: Trainer, stages: Sequence[Stage], started: Sequence[str] = ()) -> list[str]:
    """Config, data, initial weights (`started`), stages with their parameters and memory, and one step of each stage."""
    config, dataset = trainer.config, trainer.dataset
    data = data_facts(dataset)
    lines = [dump_yaml(config).rstrip(), "", f"fingerprint {fingerprint(config)}, device {trainer.device}"]
    lines.append(f"data: {len(dataset)} samples of {data['root']} ({data['layout']}, {data['sha256'][:12]})")
    if data["layout"] != "packed":
        lines.append("  each sample is read from six files: `panoptic3d data pack` first makes one small file of them")
    lines += [f"weights: {line}" for line in started]
    learnable = learnable_names(trainer.method)
    whole_s = 0.0
    for stage in stages:
        stage_lines, step_s = _stage_lines(trainer, stage, learnable)
        lines += stage_lines
        whole_s += step_s * (stage.end - stage.start)
    left = duration(whole_s)
    return [*lines, "", f"the whole run: about {left} here, going by one step a stage, without validation and saving"]


def _stage_lines(trainer: Trainer, stage: Stage, learnable: frozenset[str]) -> tuple[list[str], float]:
    """With the seconds of a step."""
    config, method = trainer.config, trainer.method
    set_trained_parts(method, stage.config.train, learnable)
    counts = _counts(method)
    trained = sum(p.numel() for p in method.parameters() if p.requires_grad)  # once, though parts may share some
    whole = sum(p.numel() * p.element_size() for p in method.parameters())
    of_trained = sum(p.numel() * p.element_size() for p in method.parameters() if p.requires_grad)
    fixed = whole * (2 if config.ema_decay else 1) + of_trained * (1 + _MOMENTS[stage.optimizer.name])
    per_step = config.loader.batch_size * config.accumulation
    lines = [
        "",
        f"stage {stage.name}: steps {stage.start} to {stage.end}, {per_step} samples a step on each rank, "
        f"{stage.optimizer.name} at {stage.optimizer.learning_rate:g}, {stage.schedule.name}",
        *(f"  {name}: {count:,} parameters, {'trained' if on else 'frozen'}" for name, (count, on) in counts.items()),
        f"  weights, gradients and optimizer of {trained:,} trained parameters: {fixed / 2**20:,.0f} MiB",
    ]
    line, seconds = _tried(trainer, stage)
    return [*lines, line], seconds


def _tried(trainer: Trainer, stage: Stage) -> tuple[str, float]:
    trainer.step = stage.end - 1  # the last step, where a curriculum needs most memory
    trainer.enter(stage)
    if trainer.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(trainer.device)
    start_s = time.monotonic()
    report = trainer.train_step()
    seconds = time.monotonic() - start_s
    terms = ", ".join(f"{name} {value:.4g}" for name, value in report.terms.items()) or "not finite"
    peak = peak_memory_mib(trainer.device)
    return f"  one step at its end: {terms}; {seconds:.1f} s, {peak:,} MiB at most", seconds


def _counts(method: Method) -> dict[str, tuple[int, bool]]:
    """Parameters of each part, and whether it is trained."""
    result = {}
    for name, modules in method.parts().items():
        parameters = {p for module in modules for p in module.parameters()}
        result[name] = (sum(p.numel() for p in parameters), any(p.requires_grad for p in parameters))
    return result
