"""Where the time of a step goes. On CUDA by events, which are read when a line is logged and never stall the device."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.profiler import record_function


class Clock:
    """Seconds by stage since they were last read."""

    def __init__(self, device: torch.device) -> None:
        self._is_cuda = device.type == "cuda"
        self._is_paused = False
        self._seconds: dict[str, float] = {}
        self._events: list[tuple[str, torch.cuda.Event, torch.cuda.Event]] = []

    @contextlib.contextmanager
    def time(self, stage: str) -> Iterator[None]:
        start = self._now()
        try:
            with record_function(stage):  # names the span in `train --profile`
                yield
        finally:
            self._add(stage, start)

    def watch_children(self, network: nn.Module) -> None:
        """Time each direct child, such as the slots of a pipeline, as `forward.NAME`: modules and other callables."""
        for name, part in list(vars(network).items()):
            if callable(part) and not name.startswith("_") and name != "forward":
                setattr(network, name, _Timed(part, self, f"forward.{name}"))
        for name, child in network.named_children():
            starts: list[Any] = []
            child.register_forward_pre_hook(lambda *_, starts=starts: starts.append(self._now()))
            child.register_forward_hook(
                lambda *_, name=name, starts=starts: self._add(f"forward.{name}", starts.pop()), always_call=True
            )

    def read(self) -> dict[str, float]:
        """Seconds by stage, and start again. `forward.rest` is what lies between the children: targets and losses."""
        if self._events:
            torch.cuda.synchronize()
            for stage, start, end in self._events:
                self._seconds[stage] = self._seconds.get(stage, 0.0) + start.elapsed_time(end) / 1000
        seconds, self._seconds, self._events = self._seconds, {}, []
        parts = sum(value for stage, value in seconds.items() if stage.startswith("forward."))
        if 0 < parts < seconds.get("forward", 0.0):
            seconds["forward.rest"] = seconds["forward"] - parts
        return seconds

    def _now(self) -> Any:
        if not self._is_cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """For forward passes that belong to no step."""
        self._is_paused = True
        try:
            yield
        finally:
            self._is_paused = False

    def _add(self, stage: str, start: Any) -> None:
        if self._is_paused:
            return
        if self._is_cuda:
            self._events.append((stage, start, self._now()))
        else:
            self._seconds[stage] = self._seconds.get(stage, 0.0) + time.perf_counter() - start


class _Timed:
    """Times a callable that is not a module, such as a lift, and otherwise behaves like it."""

    def __init__(self, part: Callable[..., Any], clock: Clock, stage: str) -> None:
        self._part, self._clock, self._stage = part, clock, stage

    def __call__(self, *given: Any, **named: Any) -> Any:
        with self._clock.time(self._stage):
            return self._part(*given, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._part, name)
