"""The driver with slots that are no network: it knows the protocols and nothing else."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from panoptic3d.backbones.pyramid import Pyramid
from panoptic3d.errors import InputError
from panoptic3d.models.panorecon.fit import FitConfig, PhotoFit
from panoptic3d.models.pipeline import Pipeline
from panoptic3d.models.slots import FittedImage, Lifted, Panoptic2D, RayEstimate, Seen
from panoptic3d.structures.camera import FRONT3D_CAMERA, Camera
from panoptic3d.structures.grid import VoxelGrid
from panoptic3d.structures.instances import Instances2D
from panoptic3d.structures.prediction import LevelPrediction, Levels, Prediction
from panoptic3d.structures.scene import PanopticScene
from panoptic3d.structures.sparse_voxels import SparseVoxels

GRID = VoxelGrid((4, 4, 4), 0.5, (2.0, 2.0, 0.0))


class Trunk(nn.Module):
    channels = (1, 1, 1, 1)

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, image: torch.Tensor) -> Pyramid:
        maps = [nn.functional.avg_pool2d(image[:, :1] * self.weight, s) for s in (4, 8, 16, 32)]
        return Pyramid(*maps)


def panoptic(pyramid: Pyramid, cameras: tuple[Camera, ...]) -> Panoptic2D:
    return Panoptic2D(tuple(Instances2D.empty(c) for c in cameras), {"semantic": pyramid.stride4})


def rays(pyramid: Pyramid, cameras: tuple[Camera, ...], found: Panoptic2D) -> RayEstimate:
    """Composed from what the panoptic stage said, as some methods do."""
    features = found.maps["semantic"]
    size = (features.shape[3], features.shape[2])
    return RayEstimate(tuple(c.resized(*size) for c in cameras), features[:, 0], features)


def lift(estimate: RayEstimate, found: Panoptic2D, grids: tuple[VoxelGrid, ...] | None = None) -> Lifted:
    batch = len(estimate.depth_m)
    coords = torch.tensor([[b, 1, 1, 1] for b in range(batch)], dtype=torch.int32)
    voxels = SparseVoxels(coords, batch, GRID.shape)
    in_frustum = torch.ones(batch, 1, 1, 1, dtype=torch.bool)
    return Lifted((GRID,) * batch, voxels, estimate.depth_m.flatten(1).mean(1, keepdim=True), in_frustum)


def voxel_net(lifted: Lifted) -> Levels[LevelPrediction, LevelPrediction]:
    kept, voxels = torch.ones(len(lifted.voxels), dtype=torch.bool), lifted.voxels
    level = LevelPrediction(candidates=voxels, occupancy_logit=lifted.features[:, 0], voxels=voxels, is_kept=kept)
    return Levels((), level)


def decode(prediction: Prediction) -> tuple[PanopticScene, ...]:
    shape = GRID.shape
    values = prediction.levels.finest.occupancy_logit
    return tuple(
        PanopticScene(
            torch.full(shape, float(value)),
            torch.zeros(shape, dtype=torch.uint8),
            torch.zeros(shape, dtype=torch.int32),
            camera,
            grid,
        )
        for value, camera, grid in zip(values, prediction.cameras, prediction.grids, strict=True)
    )


def pipeline() -> Pipeline:
    slots = {"panoptic": panoptic, "rays": rays, "lift": lift, "voxel_net": voxel_net, "decode": decode}
    return Pipeline(fit=PhotoFit(FitConfig()), trunk=Trunk(), **slots)


def test_photos_to_scenes_through_strangers() -> None:
    image = torch.stack((torch.zeros(3, 240, 320), torch.full((3, 240, 320), 255.0))).byte()
    network = pipeline()
    assert list(network.state_dict()) == ["trunk.weight"]
    scenes = network.infer(image, (FRONT3D_CAMERA,) * 2)
    assert len(scenes) == 2
    assert scenes[0].distance_vox[0, 0, 0] < scenes[1].distance_vox[0, 0, 0]
    assert scenes[0].camera == FRONT3D_CAMERA
    prediction = network(image, (FRONT3D_CAMERA,) * 2)
    assert set(prediction.maps) == {"semantic"}
    assert prediction.cameras[0].width == 80


def test_cameras_of_another_size_are_refused() -> None:
    with pytest.raises(InputError, match="one camera of the image's size"):
        pipeline()(torch.zeros(1, 3, 32, 32, dtype=torch.uint8), (FRONT3D_CAMERA,))


@pytest.mark.parametrize(
    ("width", "height", "fitted"),
    [
        (320, 240, (320, 240)),
        (4000, 3000, (320, 240)),
        (321, 239, (320, 240)),
        (1920, 1080, (368, 208)),
        (10, 4000, (64, 5536)),
    ],
)
def test_sizes_keep_aspect_and_area(width: int, height: int, fitted: tuple[int, int]) -> None:
    assert PhotoFit(FitConfig()).size_for(width, height) == fitted
    assert PhotoFit(FitConfig(resize="stretched")).size_for(width, height) == (320, 240)


def test_a_fitted_photo_takes_its_camera_along() -> None:
    camera = Camera.from_fov(60.0, 640, 480)
    image = torch.randint(0, 256, (1, 3, 480, 640), dtype=torch.uint8)
    fitted = PhotoFit(FitConfig())(image, (camera,))
    assert isinstance(fitted, FittedImage)
    assert fitted.cameras == (camera.resized(320, 240),)
    assumed = PhotoFit(FitConfig(resize="stretched", camera="front3d"))(image, (camera,))
    assert assumed.cameras == (FRONT3D_CAMERA,)
    assert assumed.pixels.shape == (1, 3, 240, 320)
    white = PhotoFit(FitConfig())(torch.full((1, 3, 240, 320), 255, dtype=torch.uint8), (FRONT3D_CAMERA,))
    assert white.pixels[0, :, 0, 0].tolist() == pytest.approx(
        [(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    )


def test_what_was_seen_can_be_exchanged_before_it_is_lifted() -> None:
    image = torch.zeros(2, 3, 240, 320, dtype=torch.uint8)

    def exchange(seen: Seen[Panoptic2D, RayEstimate], number: int) -> Seen[Panoptic2D, RayEstimate]:
        return replace(seen, rays=replace(seen.rays, depth_m=torch.full_like(seen.rays.depth_m, 2.0 + number)))

    scenes = pipeline().infer(image, (FRONT3D_CAMERA,) * 2, exchange=exchange)
    assert [float(scene.distance_vox[0, 0, 0]) for scene in scenes] == [2.0, 3.0]
    for number, scene in enumerate(scenes):
        assert scene.depth is not None
        assert torch.equal(scene.depth, torch.full((240, 320), 2.0 + number))


def test_a_caller_may_stand_in_for_a_slot_of_either_half() -> None:
    network, image = pipeline(), torch.zeros(1, 3, 240, 320, dtype=torch.uint8)
    other = Panoptic2D((Instances2D.empty(FRONT3D_CAMERA),), {"semantic": torch.full((1, 1, 60, 80), 4.0)})
    seen = network.see(image, (FRONT3D_CAMERA,), panoptic=lambda pyramid, cameras: other)
    assert seen.panoptic is other
    given: list[Lifted] = []

    def net(lifted: Lifted) -> Levels[LevelPrediction, LevelPrediction]:
        given.append(lifted)
        return voxel_net(lifted)

    prediction = network.complete(replace(seen, grids=(GRID,)), voxel_net=net)
    assert float(given[0].features) == 4.0
    assert float(prediction.levels.finest.occupancy_logit) == 4.0


def test_a_net_that_ended_early_makes_no_scene() -> None:
    level = voxel_net(lift(RayEstimate((), torch.ones(1, 2, 2), torch.ones(1, 1, 2, 2)), Panoptic2D(()))).finest
    with pytest.raises(ValueError, match="ended before its finest level"):
        _ = Levels((level,), None).finest
    assert list(Levels((level,), None)) == [level]
