"""The floor of a volume on its plane."""

from dataclasses import replace

import pytest
import torch

from eval.gpu.pretended_device import DEVICE, pretended_device
from panoptic3d.models.clearview.flat_floor import Decided, with_flat_floor
from panoptic3d.structures.grid import VoxelGrid

GRID = VoxelGrid((64, 64, 64), 0.03, (31.5, 10.0, -20.0))  # the camera before it, looking along k; j points down
FLOOR, WALL, CHAIR = 11, 10, 3
HEIGHT = 45.3  # of the floor, in voxels along j at i = 0


def rows(coords: torch.Tensor, distance: torch.Tensor, semantic: int, instance: int = 0) -> Decided:
    num = len(coords)
    return Decided(
        coords.int(),
        distance.float(),
        torch.full((num,), semantic, dtype=torch.uint8),
        torch.full((num,), instance, dtype=torch.int32),
        torch.full((num,), 0.5, dtype=torch.float16),
    )


def rough_floor(slope: float = 0.05) -> Decided:
    """Each column has its floor within a voxel of the plane, and a field of three voxels around it."""
    draw = torch.Generator().manual_seed(0)
    i, k = torch.meshgrid(torch.arange(4, 60), torch.arange(4, 60), indexing="ij")
    height = HEIGHT + slope * i + 2 * torch.rand(i.shape, generator=draw) - 1
    j = torch.arange(64)[:, None, None].expand(64, *i.shape)
    distance = (j - height).abs()
    near = distance < 3
    coords = torch.stack((i.expand_as(j)[near], j[near], k.expand_as(j)[near]), dim=1)
    return rows(coords, distance[near], FLOOR)


def flat(said: Decided, otherwise: int = WALL) -> Decided:
    return with_flat_floor(said, GRID, FLOOR, torch.full_like(said.semantic, otherwise), 3.0)


def heights(said: Decided, slope: float = 0.05) -> torch.Tensor:
    """Of the shell above the plane."""
    shell = said[(said.semantic == FLOOR) & (said.distance_vox < 1)].coords.double()
    return shell[:, 1] - HEIGHT - slope * shell[:, 0]


@pytest.mark.parametrize("slope", [0.0, 0.05, 0.15])
def test_a_rough_floor_becomes_a_plane_with_its_distance_field(slope: float) -> None:
    rough = rough_floor(slope)
    made, across = flat(rough), (1 + slope**2) ** 0.5  # a voxel along j is less along the normal
    assert heights(made, slope).abs().max() < across + 1
    places = made.coords.double()
    known = torch.cat((places[:, [0, 2]], torch.ones(len(places), 1)), dim=1)
    above = places[:, 1] - known @ torch.linalg.lstsq(known, places[:, 1:2]).solution[:, 0]
    assert (above.abs() / across - made.distance_vox).abs().max() < 0.3
    columns = {tuple(c) for c in made.coords[:, [0, 2]].tolist()}
    assert {tuple(c) for c in rough[rough.distance_vox < 1].coords[:, [0, 2]].tolist()} <= columns
    assert len(made.coords.unique(dim=0)) == len(made.coords)
    assert set(made.confidence.tolist()) == {0.5}


def test_what_is_far_from_the_plane_is_no_floor() -> None:
    flake = rows(torch.tensor([[10, 20, 10], [11, 20, 10]]), torch.tensor([0.2, 0.4]), FLOOR)
    made = flat(rough_floor().joined(flake))
    high = made.coords[:, 1] == 20
    assert made.semantic[high].tolist() == [WALL, WALL]
    assert made.distance_vox[high].tolist() == pytest.approx([0.2, 0.4])


def test_a_thing_on_the_floor_keeps_its_voxels() -> None:
    leg = torch.tensor([[30, j, 30] for j in range(20, 46)])
    thing = rows(leg, torch.zeros(len(leg)), CHAIR, 1)
    floor = rough_floor()
    free = ~((floor.coords[:, 0] == 30) & (floor.coords[:, 2] == 30))
    made = flat(floor[free].joined(thing))
    assert int((made.instance == 1).sum()) == len(leg)


def test_without_a_floor_nothing_changes() -> None:
    floor = rough_floor()
    of_wall = replace(floor, semantic=torch.full_like(floor.semantic, WALL))
    for said in (of_wall, floor[torch.arange(100)], floor[torch.arange(0)]):
        made = flat(said)
        assert all(torch.equal(a, b) for a, b in zip(vars(made).values(), vars(said).values(), strict=True))


def test_voxels_of_a_thing_are_no_floor_whatever_their_class() -> None:
    said = rough_floor()
    said = replace(said, instance=torch.ones_like(said.instance))
    assert torch.equal(flat(said).coords, said.coords)


def test_it_stays_on_the_device_of_the_voxels() -> None:
    said = rough_floor()
    with pretended_device() as device:
        there = Decided(*(value.to(DEVICE) for value in vars(said).values()))
        made = flat(there)
        assert all(device.has(value) for value in vars(made).values())
        found = [value.cpu() for value in vars(made).values()]
    assert all(torch.equal(a, b) for a, b in zip(found, vars(flat(said)).values(), strict=True))
