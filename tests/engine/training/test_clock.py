"""Seconds by stage."""

import copy
import time

import torch
from torch import nn

from panoptic3d.engine.training.clock import Clock


class _Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Linear(2, 2)
        self.lift = _Lift()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.lift(self.trunk(x))


class _Lift:
    factor = 2.0

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        time.sleep(0.01)
        return self.factor * x


def test_modules_and_other_parts_are_timed_and_nothing_else_changes() -> None:
    network, clock = _Network(), Clock(torch.device("cpu"))
    plain = copy.deepcopy(network)
    clock.watch_children(network)
    x = torch.randn(3, 2)
    with clock.time("forward"):
        assert torch.equal(network(x), plain(x))
        time.sleep(0.01)
    assert network.lift.factor == 2.0
    assert network.state_dict().keys() == plain.state_dict().keys()
    with clock.paused():
        network(x)
    seconds = clock.read()
    assert set(seconds) == {"forward", "forward.trunk", "forward.lift", "forward.rest"}
    assert 0.01 <= seconds["forward.lift"] < seconds["forward"]
    parts = sum(value for name, value in seconds.items() if "." in name)
    assert abs(parts - seconds["forward"]) < 1e-9
    assert clock.read() == {}
