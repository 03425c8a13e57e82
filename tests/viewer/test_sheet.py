import torch

from panoptic3d.viewer.sheet import Panel, draw_sheet

_COLOR = (200, 30, 60)


def _sheet(num_names: int) -> torch.Tensor:
    panels = [Panel(f"panel {number}", torch.zeros(90, 120, 3, dtype=torch.uint8)) for number in range(3)]
    sheet = draw_sheet(panels, [(f"name {number}", _COLOR) for number in range(num_names)])
    return torch.frombuffer(bytearray(sheet.tobytes()), dtype=torch.uint8).view(sheet.height, sheet.width, 3)


def test_every_entry_of_a_long_legend_is_on_the_sheet() -> None:
    inside = (_sheet(40) == torch.tensor(_COLOR, dtype=torch.uint8)).all(dim=2)
    assert int(inside.sum()) == 40 * 13 * 13  # filled squares of 15 pixels, their outline in ink


def test_a_short_legend_is_one_row() -> None:
    one, forty = _sheet(1), _sheet(40)
    assert one.shape[1] == forty.shape[1]
    assert one.shape[0] + 5 * 22 < forty.shape[0]
