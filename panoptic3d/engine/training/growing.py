"""Copy the weights of a narrower network into a wider one of the same architecture."""

from collections.abc import Mapping

import torch
from torch import Tensor


def grown_weights(small: Mapping[str, Tensor], large: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Each smaller weight in the first rows and columns of the larger one, whose other entries become 0; and which grew.

    So a network that reads more, with what is new behind what was read before, begins by answering as the smaller one did.
    """
    result, grown = dict(small), []
    for name, weight in small.items():
        wanted = large.get(name)
        if wanted is None or wanted.shape == weight.shape or wanted.ndim != weight.ndim:
            continue
        if all(few <= many for few, many in zip(weight.shape, wanted.shape, strict=True)):
            result[name] = torch.zeros_like(wanted)
            result[name][tuple(slice(few) for few in weight.shape)] = weight.to(wanted)
            grown.append(name)
    return result, grown
