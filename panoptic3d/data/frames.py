"""Convert a dense frame of a generator to the sample that a reader would return."""

from panoptic3d.data.truth import truth_from_volumes
from panoptic3d.structures.frame import DenseFrame
from panoptic3d.structures.sample import Sample


def sample_from_frame(frame: DenseFrame, scene: str, name: str) -> Sample:
    truth = truth_from_volumes(
        frame.grid,
        frame.distance_vox.numpy(),
        frame.semantic.numpy(),
        frame.instance.numpy(),
        frame.weight.numpy(),
        frame.frustum_mask.numpy(),
    )
    return Sample(
        scene=scene,
        frame=name,
        image=frame.image,
        camera=frame.camera,
        depth_m=frame.depth_m,
        semantic_2d=frame.semantic_2d,
        instance_2d=frame.instance_2d,
        truth=truth,
        world_from_camera=frame.world_from_camera,
    )
