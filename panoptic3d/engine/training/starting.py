"""Where the weights of a run begin: those of another run's network, all or some."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from panoptic3d.engine.training.checkpoint import read_weights
from panoptic3d.engine.training.config import TrainingConfig
from panoptic3d.engine.training.growing import grown_weights
from panoptic3d.errors import InputError
from panoptic3d.models.checkpoints.find import shipped_checkpoints


def start_from(config: TrainingConfig, network: nn.Module) -> list[str]:
    """Load `config.start_from`, if there is any; return lines for the log. Tensors that its file lacks stay as they are."""
    if config.start_from is None:
        return []
    path = shipped_checkpoints().get(config.start_from, Path(config.start_from))
    weights, lines = read_weights(path), list[str]()
    if config.start_from_slots is not None:
        weights = _of_slots(weights, config.start_from_slots, path)
    if config.start_from_smaller:
        weights, grown = grown_weights(weights, network.state_dict())
        lines += [f"{name} has grown: new channels begin at 0" for name in grown]
    try:
        missing, unknown = network.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise InputError(f"start_from {path} does not fit the config: {str(error).splitlines()[-1].strip()}") from None
    if unknown:
        raise InputError(
            f"start_from {path} holds {len(unknown)} weights that the network lacks, such as {unknown[0]}."
        )
    new = f"; {len(missing)} tensors are new, such as {missing[0]}" if missing else ""
    return [*lines, f"starts from {path}: {len(weights)} tensors fit{new}"]


def _of_slots(weights: Mapping[str, Tensor], slots: tuple[str, ...], path: Path) -> dict[str, Tensor]:
    for slot in slots:
        if not any(name.startswith(f"{slot}.") for name in weights):
            known = ", ".join(sorted({name.partition(".")[0] for name in weights}))
            raise InputError(f"start_from {path} has no weights of the slot {slot!r}; choose from {known}.")
    return {name: tensor for name, tensor in weights.items() if name.partition(".")[0] in slots}
