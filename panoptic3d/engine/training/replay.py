"""Run a batch with a non-finite loss again: which terms are not finite, and which module was the first."""

from pathlib import Path

import torch
from torch import Tensor, nn

from panoptic3d.engine.methods.table import build_method
from panoptic3d.engine.training.config import TrainingConfig
from panoptic3d.engine.training.faults import describe, non_finite_terms, read_dump
from panoptic3d.errors import InputError


def replay(config: TrainingConfig, path: Path, device: torch.device) -> list[str]:
    """Lines for a person: the samples, every term, and the first modules that gave out what is not finite."""
    try:
        dump = read_dump(path)
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise InputError(f"{path} is no dumped batch ({error}); give a file of RUN/faults.") from None
    method = build_method(config)
    method.load_state_dict(dump["method"])
    method.to(device).train()
    guilty: list[str] = []
    for name, module in method.named_modules():
        module.register_forward_hook(lambda module, given, made, name=name: _note(guilty, name, made))
    batch = dump["batch"].to(device)
    terms = dict(method(batch, dump["step"]))
    loss = torch.stack([term.double() for term in terms.values()]).sum()
    lines = [f"step {dump['step']}: {describe(batch)}"]
    lines += [f"{name}: {float(term.detach()):.6g}" for name, term in terms.items()]
    lines.append(f"not finite: {non_finite_terms(terms) or 'no term'}")
    lines += [f"{name or 'the method'} gave out what is not finite" for name in guilty[:3]]
    if bool(torch.isfinite(loss)):
        lines += _gradients(method, loss)
    return lines


def _gradients(method: nn.Module, loss: Tensor) -> list[str]:
    loss.backward()
    bad = [n for n, p in method.named_parameters() if p.grad is not None and not bool(torch.isfinite(p.grad).all())]
    return [f"gradients that are not finite: {', '.join(bad[:5]) or 'none'}"]


def _note(guilty: list[str], name: str, made: object) -> None:
    if isinstance(made, Tensor) and made.is_floating_point() and not bool(torch.isfinite(made).all()):
        guilty.append(name)
