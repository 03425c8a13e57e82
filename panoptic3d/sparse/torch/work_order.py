"""In which order the rows of a side of a plan are worked off, by lines of three taps or by single taps."""

from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from panoptic3d.sparse.kernel_map import Side
from panoptic3d.sparse.plan import Plan
from panoptic3d.sparse.torch.chunk_schedule import Block, schedule
from panoptic3d.sparse.torch.limits import least_fill_of_lines, max_waste
from panoptic3d.sparse.torch.line_taps import LINE_TAPS, LinedRows, lined_rows, lined_side


@dataclass(frozen=True, eq=False)
class WorkOrder:
    """Blocks of work; flipped when they were made for the opposite side of a mirrored plan.

    With `lines` the rows that are read are those of `lines.spread`, and a tap of a block is a line of taps.
    """

    blocks: tuple[Block, ...]
    is_flipped: bool
    lines: LinedRows | None = None

    @property
    def taps_at_once(self) -> int:
        return 1 if self.lines is None else LINE_TAPS

    def sources(self, features: Float[Tensor, "m c"]) -> Float[Tensor, "m2 c2"]:
        """The rows that the blocks gather; on a GPU a row of zeros behind them, for taps without a voxel."""
        if features.device.type != "cpu":
            return F.pad(features, (0, 0, 0, 1))
        return features if self.lines is None else self.lines.spread(features)

    def weights(self, weight: Float[Tensor, "t cin cout"]) -> Float[Tensor, "t2 cin2 cout"]:
        """One matrix for every tap of the blocks."""
        weight = weight.flip(0) if self.is_flipped else weight
        return weight.reshape(-1, self.taps_at_once * weight.shape[1], weight.shape[2])


def work_order(plan: Plan, writes: str, num_in: int, num_out: int) -> WorkOrder:
    """Kept by the plan. It depends a little on the channels: the fewer, the more a call costs beside the products."""
    is_flipped = writes == "fine" and plan.is_mirrored
    name, lines = "coarse" if is_flipped else writes, None
    waste = max_waste(num_in * num_out)
    if obstacle_to_lines(plan, num_in * num_out) is None:
        name, lines, waste = "lines", lines_of(plan), max_waste(LINE_TAPS * num_in * num_out)
    side = plan.side(name) if lines is None else side_of_lines(plan)
    blocks = plan.kept(("schedule", name, waste), lambda: schedule(side, plan.config.rows_per_block, waste))
    return WorkOrder(blocks, is_flipped, lines)


def obstacle_to_lines(plan: Plan, channel_product: int) -> str | None:
    """A matter of how many products with zeros they add."""
    if plan.fine.device.type != "cpu":
        return "computes on a CPU"
    if not is_cube_of_lines(plan) or not plan.is_mirrored:
        return "joins a set with itself by 3^3 taps"
    return too_thin(plan, least_fill_of_lines(channel_product))


def is_cube_of_lines(plan: Plan) -> bool:
    return (plan.kernel.size, plan.kernel.dilation) == (LINE_TAPS, 1)


def too_thin(plan: Plan, least_fill: float) -> str | None:
    if not len(plan.fine):
        return "needs a voxel"
    fill = lines_of(plan).fill
    if fill >= least_fill:
        return None
    return f"is slower where less than {least_fill} of the lines' cells are occupied ({fill:.2f})"


def lines_of(plan: Plan) -> LinedRows:
    return plan.worked_out("lines", lambda: lined_rows(plan.fine))


def side_of_lines(plan: Plan) -> Side:
    lines = lines_of(plan)
    return plan.worked_out(("side", "lines"), lambda: lined_side(plan.fine, lines, plan.config.table_bytes))
