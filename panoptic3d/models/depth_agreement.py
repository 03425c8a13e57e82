"""Does a depth belong to its photo? Compare it with the depth that the network predicts there."""

from typing import NamedTuple

from jaxtyping import Bool, Float
from torch import Tensor

from panoptic3d.errors import InputError

# Both limits have to be passed: none of 97 right depths does, and 26 % of those of other rooms (eval/depth/other_photos.py).
_OPPOSED, _FAR_APART = -0.1, 0.22
_LEAST_PIXELS, _LEAST_SPREAD = (
    1000,
    0.05,
)  # of the log depth within rows: a wall that is seen from the front says nothing


class Agreement(NamedTuple):
    correlation: float  # of the log depths, each without the means of its rows
    residual: float  # median of |log ratio|, without a scale

    @property
    def is_of_another_photo(self) -> bool:
        return self.correlation < _OPPOSED and self.residual > _FAR_APART


def agreement(
    depth_m: Float[Tensor, "h w"], own_m: Float[Tensor, "h w"], is_measured: Bool[Tensor, "h w"]
) -> Agreement | None:
    """None where there is too little to compare. Rows are compared within themselves, because every photo of a room is near
    below and far above.
    """
    if int(is_measured.sum()) < _LEAST_PIXELS:
        return None
    given, own = (_within_rows(values.double().clamp(min=1e-3).log(), is_measured) for values in (depth_m, own_m))
    spreads = given.std(), own.std()
    if float(min(spreads)) < _LEAST_SPREAD:
        return None
    ratio = (depth_m[is_measured].double() / own_m[is_measured].double()).log()
    residual = (ratio - ratio.median()).abs().median()
    return Agreement(float((given * own).mean() / (spreads[0] * spreads[1])), float(residual))


def refuse_another_photo(found: Agreement | None) -> None:
    if found is not None and found.is_of_another_photo:
        raise InputError(
            f"the depth looks like that of another photo: where it is near, this one is far (correlation within rows "
            f"{found.correlation:.2f}); give the depth of this photo, or --depth-unchecked if it is."
        )


def _within_rows(values: Float[Tensor, "h w"], is_measured: Bool[Tensor, "h w"]) -> Float[Tensor, " n"]:
    counted = is_measured.to(values)
    mean = (values * counted).sum(dim=1, keepdim=True) / counted.sum(dim=1, keepdim=True).clamp(min=1)
    return (values - mean)[is_measured]
