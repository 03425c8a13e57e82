"""One frame through our pipeline with the oracle's weights, every stage kept, in the order of comparison of the README."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from panoptic3d.backbones.pyramid import Pyramid
from panoptic3d.models.buol.build import build_buol
from panoptic3d.models.buol.config import config_for_published_weights
from panoptic3d.models.buol.family import BUOL
from panoptic3d.models.pipeline import Pipeline
from panoptic3d.models.slots import FittedImage, OccupancyLifted, Panoptic2D, RayEstimate
from panoptic3d.models.sparse_deeplab.net import Inside, SparseDeepLab
from panoptic3d.models.sparse_deeplab.predictor import Step
from panoptic3d.models.sparse_deeplab.trunk import TrunkLevel
from panoptic3d.sparse import PlanBook
from panoptic3d.structures.camera import FRONT3D_CAMERA
from panoptic3d.structures.prediction import CentreLevel, Levels, Prediction
from panoptic3d.structures.scene import PanopticScene
from tests.oracle.buol_folder import BuolFolder


@dataclass(frozen=True, eq=False)
class Run:
    fitted: FittedImage
    pyramid: Pyramid
    panoptic: Panoptic2D
    rays: RayEstimate
    lifted: OccupancyLifted
    inside: Inside
    trunk: tuple[TrunkLevel, TrunkLevel, TrunkLevel, TrunkLevel]
    steps: list[Step]
    heads: dict[str, Tensor]  # on the voxels of the last step
    level: CentreLevel
    prediction: Prediction
    scene: PanopticScene
    outputs: dict[str, Any] = field(default_factory=dict)  # of modules, by name
    inputs: dict[str, Any] = field(default_factory=dict)


def load_pipeline(folder: BuolFolder) -> Pipeline:
    """Every tensor of the folder is used: as a weight, or checked against a constant."""
    pipeline = build_buol(config_for_published_weights("faithful"))
    weights = dict(folder.weights)
    for name, value in BUOL.constants.items():
        assert torch.equal(weights.pop(name), value)
    state = {entry.ours: entry.to_ours(weights.pop(entry.theirs)) for entry in BUOL.entries(pipeline, only_2d=False)}
    assert not weights
    pipeline.load_state_dict(state)
    return pipeline


@torch.no_grad()
def run_frame(pipeline: Pipeline, folder: BuolFolder, frame: str) -> Run:
    with watched(pipeline) as (inputs, outputs):
        fitted = pipeline.fit(folder.image(frame), (FRONT3D_CAMERA,))
        pyramid = pipeline.trunk(fitted.pixels)
        panoptic = pipeline.panoptic(pyramid, fitted.cameras)
        rays = pipeline.rays(pyramid, fitted.cameras, panoptic)
        lifted = pipeline.lift(rays, panoptic)
        net = pipeline.voxel_net
        assert isinstance(net, SparseDeepLab)
        inside, book = net.turned(lifted), PlanBook()
        trunk = net.trunk(inside.features, inside.voxels, book)
        steps = net.steps(trunk, inside)
        skips = [level.features for level in (trunk[2], trunk[1], trunk[0])]
        heads: dict[str, Tensor] = {}
        for predictor in (net.semantic, net.instance, net.geometry):
            heads |= predictor(trunk[3].features, skips, steps, book, list(predictor.heads))
        level = net.level(heads, steps[-1].together, inside.region)
    prediction = Prediction(
        rays.cameras, lifted.grids, rays.depth_m, panoptic.instances, Levels((), level), panoptic.maps
    )
    return Run(
        fitted=fitted,
        pyramid=pyramid,
        panoptic=panoptic,
        rays=rays,
        lifted=lifted,
        inside=inside,
        trunk=trunk,
        steps=steps,
        heads=heads,
        level=level,
        prediction=prediction,
        scene=pipeline.decode(prediction)[0],
        outputs=outputs,
        inputs=inputs,
    )


class watched:  # noqa: N801  (a context manager, read as a phrase)
    """Collects what goes into the modules of a network and what comes out, by their names."""

    def __init__(self, network: nn.Module) -> None:
        self.network, self.inputs, self.outputs, self.handles = network, {}, {}, []

    def __enter__(self) -> tuple[dict[str, Any], dict[str, Any]]:
        for name, module in self.network.named_modules():
            if name.startswith(("panoptic.", "voxel_net.")) and name.count(".") <= 3:
                self.handles.append(module.register_forward_hook(self._keep(name)))
        return self.inputs, self.outputs

    def _keep(self, name: str) -> Callable[..., None]:
        def keep(_module: nn.Module, given: tuple, output: Any) -> None:
            self.inputs[name], self.outputs[name] = given, output

        return keep

    def __exit__(self, *_error: object) -> None:
        for handle in self.handles:
            handle.remove()
