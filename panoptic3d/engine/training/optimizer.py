"""The optimizer of a stage: one group for each part and kind of parameter, its rate set anew at every step."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.optim import Optimizer

from panoptic3d.engine.methods.base import Method
from panoptic3d.engine.training.config import OptimizerConfig


def build_optimizer(method: Method, config: OptimizerConfig) -> Optimizer:
    groups = parameter_groups(method, config)
    match config.name:
        case "sgd":
            return torch.optim.SGD(groups, lr=config.learning_rate, momentum=config.momentum)
        case "adam":
            return torch.optim.Adam(groups, lr=config.learning_rate, betas=config.betas, fused=True)
        case "adamw":
            return torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas, fused=True)


def parameter_groups(method: Method, config: OptimizerConfig) -> list[dict]:
    """Every parameter that learns, once; `base_rate` is what the schedule's factor goes with."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    seen: set[nn.Parameter] = set()
    for name, modules in (
        *method.parts().items(),
        ("", (method,)),
    ):  # what is in no part, such as a learned loss weight
        rate = config.learning_rate * config.rate_of_part.get(name, 1.0)
        for parameter in _learning(modules):
            if parameter not in seen:
                seen.add(parameter)
                has_decay = parameter.ndim > 1 or config.has_decay_on_vectors
                groups.setdefault((rate, config.weight_decay if has_decay else 0.0), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "base_rate": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]


def set_rate(optimizer: Optimizer, factor: float) -> float:
    """The highest rate of all groups, for the log."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_rate"] * factor
    return max(group["lr"] for group in optimizer.param_groups)


def _learning(modules: Sequence[nn.Module]) -> list[nn.Parameter]:
    return [parameter for module in modules for parameter in module.parameters() if parameter.requires_grad]
