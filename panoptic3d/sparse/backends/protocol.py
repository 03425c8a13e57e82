"""The interface of a back end."""

from typing import Literal, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from panoptic3d.sparse.plan import Plan

Writes = Literal["coarse", "fine"]


@runtime_checkable
class Backend(Protocol):
    """Convolves over a plan. The conformance suite (`panoptic3d.sparse.conformance`) is its specification."""

    def obstacle(self, features: Float[Tensor, "m cin"], plan: Plan, writes: Writes) -> str | None:
        """Why this call is beyond the back end, as the end of a sentence that starts with its name; None if it is not."""
        ...

    def convolve(
        self, features: Float[Tensor, "m cin"], weight: Float[Tensor, "t cin cout"], plan: Plan, writes: Writes
    ) -> Float[Tensor, "n cout"]:
        """Differentiable by features and weight. `writes` names the side whose rows come out."""
        ...
