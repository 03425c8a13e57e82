import io
import random

import numpy as np
import torch

from panoptic3d.randomness import (
    capture_random_state,
    derive_seed,
    numpy_generator,
    restore_random_state,
    seed_everything,
    torch_generator,
)


def _draw() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002


def test_streams_depend_on_their_name_only() -> None:
    assert derive_seed(0, "a", 1) == derive_seed(0, "a", 1)
    assert len({derive_seed(0, "a"), derive_seed(0, "b"), derive_seed(1, "a"), derive_seed(0, "a", 0)}) == 4
    assert numpy_generator(3, "x").random() == numpy_generator(3, "x").random()
    assert torch.equal(
        torch.rand(3, generator=torch_generator(3, "x")), torch.rand(3, generator=torch_generator(3, "x"))
    )


def test_state_survives_a_safe_round_trip_through_a_file() -> None:
    seed_everything(7)
    random.gauss(0, 1)  # leaves a value behind in Python's stream
    np.random.randn()  # noqa: NPY002
    buffer = io.BytesIO()
    torch.save(capture_random_state(), buffer)
    first = _draw()
    buffer.seek(0)
    restore_random_state(torch.load(buffer, weights_only=True))
    assert _draw() == first
