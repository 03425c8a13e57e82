"""Terms on how the camera stands and on votes for the centres of things."""

from jaxtyping import Bool, Float, Int64
from torch import Tensor

from panoptic3d.losses.ray_terms import masked_mean
from panoptic3d.losses.seed_terms import mean_of_groups


def stance_term(
    down: Float[Tensor, "3"], floor_m: Float[Tensor, ""], true_down: Float[Tensor, "3"], true_floor_m: Float[Tensor, ""]
) -> Float[Tensor, ""]:
    """Error of the log height, plus that of the direction of gravity in radians (of small angles)."""
    return (floor_m.log() - true_floor_m.log()).abs() + (down - true_down).square().sum().add(1e-8).sqrt()


def ceiling_term(ceiling_m: Float[Tensor, ""], heights_m: Float[Tensor, " n"]) -> Float[Tensor, ""]:
    """Error of the log height of the ceiling against the median of the pixels that show one; 0 where none does."""
    if len(heights_m) == 0:
        return ceiling_m.new_zeros(())
    return (ceiling_m.log() - heights_m.median().clamp(min=0.05).log()).abs()


def pixel_vote_term(
    votes_m: Float[Tensor, "3 h w"],
    truth_m: Float[Tensor, "3 h w"],
    thing: Int64[Tensor, "h w"],
    num_things: int,
) -> Float[Tensor, ""]:
    """Distance between voted and true centres of things in metres; half of it counts pixels alike, half of it things.

    `thing` numbers the thing of each pixel from 1; 0 is no thing.
    """
    is_thing = thing > 0
    error = (votes_m - truth_m).square().sum(dim=0).add(1e-6).sqrt()
    alike = mean_of_groups(error[is_thing], thing[is_thing] - 1, num_things)
    return (masked_mean(error, is_thing) + alike) / 2


def vote_spread_term(
    votes_m: Float[Tensor, "3 h w"],
    log_spread: Float[Tensor, "h w"],
    truth_m: Float[Tensor, "3 h w"],
    is_thing: Bool[Tensor, "h w"],
) -> Float[Tensor, ""]:
    """Negative log likelihood of the distance under a Laplace distribution; votes learn nothing from it."""
    error = (votes_m.detach() - truth_m).norm(dim=0)
    return masked_mean(error * (-log_spread).exp() + log_spread, is_thing)
