"""One frame through our pipeline with the oracle's weights, every stage kept, in the order of comparison of the README."""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from panoptic3d.backbones.pyramid import Pyramid
from panoptic3d.models.mask_rcnn.proposals import ProposalMaps, Proposals
from panoptic3d.models.panorecon.build import build_panorecon
from panoptic3d.models.panorecon.config import config_for_published_weights
from panoptic3d.models.panorecon.family import PANORECON
from panoptic3d.models.pipeline import Pipeline
from panoptic3d.models.slots import FittedImage, Lifted, Panoptic2D, RayEstimate, Seen
from panoptic3d.models.surface_lift.lift import Placed, place
from panoptic3d.structures.camera import FRONT3D_CAMERA
from panoptic3d.structures.prediction import LabelledLevel, Levels, SurfaceLevel
from panoptic3d.structures.scene import PanopticScene
from tests.oracle.panorecon_folder import OracleFolder


@dataclass(frozen=True, eq=False)
class Run:
    """The 2D stages from the image; the 3D stages from the stored depth (a rounding there changes voxels)."""

    fitted: FittedImage
    pyramid: Pyramid
    maps: ProposalMaps
    proposals: Proposals
    box_logits: Tensor
    box_codes: Tensor
    mask_logits: Tensor
    panoptic: Panoptic2D
    rays: RayEstimate
    placed: Placed
    lifted: Lifted
    levels: Levels[LabelledLevel, SurfaceLevel]
    scene: PanopticScene
    inside: dict[str, Tensor] = field(default_factory=dict)  # outputs of the modules of the voxel net, by name


def load_pipeline(folder: OracleFolder) -> Pipeline:
    """Every tensor of the folder is used: as a weight, or checked against a constant."""
    pipeline = build_panorecon(config_for_published_weights("faithful"))
    weights = dict(folder.weights)
    for name, value in PANORECON.constants.items():
        assert torch.equal(weights.pop(name), value)
    entries = PANORECON.entries(pipeline, only_2d=False)
    state = {entry.ours: entry.to_ours(weights.pop(entry.theirs)) for entry in entries}
    assert not weights
    pipeline.load_state_dict(state)
    return pipeline


@torch.inference_mode()
def run_frame(pipeline: Pipeline, folder: OracleFolder, frame: str) -> Run:
    fitted = pipeline.fit(folder.image(frame), (FRONT3D_CAMERA,))
    camera = fitted.cameras[0]
    pyramid = pipeline.trunk(fitted.pixels)
    detector = pipeline.panoptic
    maps = detector.proposals(pyramid.stride16)
    proposals = detector.proposals.select(maps, 0, camera.width, camera.height)
    features = pyramid.stride16[0]
    box_logits, box_codes = detector.box_head(detector.pool(features, proposals.boxes_px))
    panoptic = detector(pyramid, fitted.cameras)
    found = panoptic.instances[0]
    mask_logits = detector.mask_head.of_class(
        detector.mask_head(detector.pool(features, found.boxes_px)), found.class_ids
    )
    rays = pipeline.rays(pyramid, fitted.cameras, panoptic)
    stored = replace(rays, depth_m=torch.from_numpy(folder.recorded(frame, "stage2d")["depth"])[None])
    lifted = pipeline.lift(stored, panoptic)
    with outputs_of(pipeline.voxel_net) as inside:
        prediction = pipeline.complete(Seen(fitted, pyramid, panoptic, stored))
    return Run(
        fitted=fitted,
        pyramid=pyramid,
        maps=maps,
        proposals=proposals,
        box_logits=box_logits,
        box_codes=box_codes,
        mask_logits=mask_logits,
        panoptic=panoptic,
        rays=rays,
        placed=place(stored.depth_m[0], stored.cameras[0], lifted.grids[0], pipeline.lift.config),
        lifted=lifted,
        levels=prediction.levels,
        scene=pipeline.decode(prediction)[0],
        inside=inside,
    )


class outputs_of:  # noqa: N801  (a context manager, read as a phrase)
    """Collects what the modules of a network return, by their names."""

    WANTED = ("inputs.", "encode128.", "encode64.", "bottleneck", "generate")

    def __init__(self, network: nn.Module) -> None:
        self.network, self.outputs, self.handles = network, {}, []

    def __enter__(self) -> dict[str, Tensor]:
        for name, module in self.network.named_modules():
            if name.startswith(self.WANTED) and name.count(".") <= 2:
                keep = lambda _module, _given, output, name=name: self.outputs.__setitem__(name, output)  # noqa: E731
                self.handles.append(module.register_forward_hook(keep))
        return self.outputs

    def __exit__(self, *_error: object) -> None:
        for handle in self.handles:
            handle.remove()
