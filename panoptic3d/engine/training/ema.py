"""EMA of the weights, for validation and for the saved weights if a run asks for it."""

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class MovingAverage:
    """Averages what is floating point and copies the rest (counters of norms)."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self._network = network
        self._average = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """`step` counts from 0 in each stage: its first steps forget where it began faster than `decay` would."""
        decay = min(self.decay, (1 + step) / (10 + step))
        floats: list[tuple[Tensor, Tensor]] = []
        for name, tensor in self._network.state_dict().items():
            average = self._average[name]
            if average.is_floating_point():
                floats.append((average, tensor))
            else:
                average.copy_(tensor)
        if floats:
            averages, tensors = zip(*floats, strict=True)
            get_ema_multi_avg_fn(decay)(averages, tensors, None)

    def state_dict(self) -> dict[str, Tensor]:
        return dict(self._average)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        for name, tensor in state.items():
            self._average[name].copy_(tensor)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """The network with the averaged weights, inside of the block."""
        own = {name: tensor.detach().clone() for name, tensor in self._network.state_dict().items()}
        self._network.load_state_dict(self._average)
        try:
            yield
        finally:
            self._network.load_state_dict(own)
