"""torch.profiler around some steps of a run (`train --profile N`): a table of operators, and a trace for a browser."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from panoptic3d.files import write_text_atomically

_LOG = logging.getLogger(__name__)
_NUM_OPERATORS = 60


class StepProfiler:
    """Profiles `num_steps` steps and leaves out the first one of the process, which allocates and builds kernel maps.

    `folder/operators.txt` sorts operators by their own time; `folder/trace.json` opens in chrome://tracing or Perfetto.
    """

    def __init__(self, folder: Path, num_steps: int, device: torch.device) -> None:
        self._folder, self._num_steps, self._is_cuda = folder, num_steps, device.type == "cuda"
        self._num_seen = 0
        self._profile: profile | None = None

    @contextlib.contextmanager
    def around_step(self) -> Iterator[None]:
        if self._num_seen == 1 and self._num_steps > 0:
            activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if self._is_cuda else [])]
            self._profile = profile(activities=activities)
            self._profile.start()
        yield
        self._num_seen += 1
        if self._num_seen == 1 + self._num_steps:
            self.close()

    def close(self) -> None:
        """Writes what was profiled, also when the run ends early."""
        if self._profile is None:
            return
        finished, self._profile = self._profile, None
        finished.stop()
        self._folder.mkdir(parents=True, exist_ok=True)
        key = "self_cuda_time_total" if self._is_cuda else "self_cpu_time_total"
        table = finished.key_averages().table(sort_by=key, row_limit=_NUM_OPERATORS)
        write_text_atomically(self._folder / "operators.txt", table)
        finished.export_chrome_trace(str(self._folder / "trace.json"))
        _LOG.info("profile of %d steps: %s", self._num_seen - 1, self._folder)
