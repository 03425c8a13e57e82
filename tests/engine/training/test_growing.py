"""A network that reads more begins by answering as the smaller one did."""

import torch
from torch import nn

from panoptic3d.engine.training.growing import grown_weights


def test_a_wider_layer_says_the_same_of_what_it_already_read() -> None:
    small, large = nn.Linear(4, 3), nn.Linear(7, 3)
    weights, grown = grown_weights(small.state_dict(), large.state_dict())
    large.load_state_dict(weights)
    x = torch.randn(5, 7)
    torch.testing.assert_close(large(x), small(x[:, :4]))
    assert grown == ["weight"]


def test_convolutions_grow_and_what_fits_already_stays() -> None:
    small, large = nn.Conv2d(2, 4, 3), nn.Conv2d(5, 4, 3)
    weights, grown = grown_weights(small.state_dict(), large.state_dict())
    large.load_state_dict(weights)
    x = torch.randn(1, 5, 6, 6)
    torch.testing.assert_close(large(x), small(x[:, :2]), rtol=1e-5, atol=1e-5)
    assert grown == ["weight"]


def test_what_would_have_to_shrink_is_left_for_the_loader_to_refuse() -> None:
    weights, grown = grown_weights(nn.Linear(7, 3).state_dict(), nn.Linear(4, 3).state_dict())
    assert grown == []
    assert weights["weight"].shape == (3, 7)
