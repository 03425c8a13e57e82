"""One frame through our pipeline with the oracle's weights, every stage kept.

The 2D part runs from the image. The 3D part is given the stored results of the 2D part, as the README asks: a rounding there
would change voxels.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from panoptic3d.backbones.pyramid import Pyramid
from panoptic3d.models.checkpoints.entries import entries_of
from panoptic3d.models.mask_transformer.decision import DEPTH
from panoptic3d.models.mask_transformer.joint_decoder import QueryMaps
from panoptic3d.models.mask_transformer.merge import Kept, Merged, kept_queries
from panoptic3d.models.mask_transformer.pixel_decoder import PixelFeatures
from panoptic3d.models.mask_transformer.stage import MaskTransformer
from panoptic3d.models.pipeline import Pipeline
from panoptic3d.models.slots import FittedImage, Lifted, Panoptic2D, RayEstimate
from panoptic3d.models.surface_lift.feature_lift import FeatureLift, place
from panoptic3d.models.surface_lift.lift import Placed
from panoptic3d.models.uni3d.build import build_uni3d
from panoptic3d.models.uni3d.config import Uni3dConfig, config_for_published_weights
from panoptic3d.models.uni3d.family import UNI3D
from panoptic3d.models.uni3d.names import their_name
from panoptic3d.structures.camera import FRONT3D_CAMERA
from panoptic3d.structures.prediction import InstanceSurface, LevelPrediction, Levels, Prediction
from panoptic3d.structures.scene import PanopticScene
from tests.oracle.uni3d_folder import Uni3dFolder


@dataclass(frozen=True, eq=False)
class Run2d:
    fitted: FittedImage
    pyramid: Pyramid
    features: PixelFeatures
    layers: tuple[QueryMaps, ...]  # the last is the prediction
    kept: Kept
    panoptic: Panoptic2D


@dataclass(frozen=True, eq=False)
class Run3d:
    placed: Placed
    lifted: Lifted
    levels: Levels[LevelPrediction, InstanceSurface]
    scene: PanopticScene
    rays: RayEstimate
    panoptic: Panoptic2D
    inside: "Captured"


def faithful_config(scale: str) -> Uni3dConfig:
    config = config_for_published_weights("faithful", scale)
    return config.model_copy(update={"voxel_net": config.voxel_net.model_copy(update={"coarse_instances": "always"})})


def load_pipeline(folder: Uni3dFolder) -> Pipeline:
    """Every tensor of the folder is used: as a weight, or checked against a constant."""
    pipeline = build_uni3d(faithful_config(folder.scale))
    weights = dict(folder.weights)
    for name, value in UNI3D.constants.items():
        assert torch.equal(weights.pop(name), value)
    state = {entry.ours: entry.to_ours(weights.pop(entry.theirs)) for entry in entries_of(pipeline, their_name)}
    assert not weights
    pipeline.load_state_dict(state)
    return pipeline


@torch.inference_mode()
def run_2d(pipeline: Pipeline, folder: Uni3dFolder, frame: str) -> Run2d:
    stage = pipeline.panoptic
    assert isinstance(stage, MaskTransformer)
    fitted = pipeline.fit(folder.image(frame), (FRONT3D_CAMERA,))
    pyramid = pipeline.trunk(fitted.pixels)
    features = stage.pixel_decoder(pyramid)
    layers = stage.joint_decoder(features, with_layers=True)
    kept = kept_queries(layers[-1].class_logits[0], stage.config.merge)
    return Run2d(fitted, pyramid, features, layers, kept, stage.decide(features, layers[-1], fitted.cameras))


def stored_merge(folder: Uni3dFolder, frame: str) -> Merged:
    """The reference's own result of the 2D part."""
    table = folder.recorded(frame, "merge2d")
    channel, value = torch.from_numpy(table["semantic_channel"]).long(), torch.from_numpy(table["semantic_value"])
    class_map = torch.zeros(14, *channel.shape)
    class_map.scatter_(0, channel.clamp(max=13)[None], torch.where(channel < 255, value, 0.0)[None])
    return Merged(
        segment=torch.from_numpy(table["panoptic"]).long(),
        depth_m=torch.from_numpy(table["depth"]),
        class_map=class_map[:13],
        class_of_segment=(0, *table["segment_classes"].tolist()),
        segment_of_query=torch.zeros(0, dtype=torch.int64),
    )


@torch.inference_mode()
def run_3d(pipeline: Pipeline, folder: Uni3dFolder, frame: str, two: Run2d) -> Run3d:
    stage, lift = pipeline.panoptic, pipeline.lift
    assert isinstance(stage, MaskTransformer)
    assert isinstance(lift, FeatureLift)
    table = folder.recorded(frame, "decoder")
    every = torch.from_numpy(table["segm_decoder_out"])
    kept = kept_queries(torch.from_numpy(table["logits"]), stage.config.merge)
    found = replace(two.panoptic.instances[0], class_ids=kept.class_ids, scores=kept.scores)
    panoptic = Panoptic2D((found,), stage.decide.maps(two.features, [stored_merge(folder, frame)]))
    rays = pipeline.rays(two.pyramid, two.fitted.cameras, panoptic)
    lifted = replace(lift(rays, panoptic), queries=(every,))  # of all queries, as the reference takes them
    with Captured(pipeline.voxel_net) as inside:
        levels = pipeline.voxel_net(lifted)
    finest = levels.finest
    own = replace(levels, last=replace(finest, instance_logits=finest.instance_logits[:, kept.rows]))
    prediction = Prediction(rays.cameras, lifted.grids, panoptic.maps[DEPTH], panoptic.instances, own)
    return Run3d(
        placed=place(panoptic.maps[DEPTH][0], rays.cameras[0], lifted.grids[0], 1, lift.config),
        lifted=lifted,
        levels=levels,
        scene=pipeline.decode(prediction)[0],
        rays=rays,
        panoptic=panoptic,
        inside=inside,
    )


class Captured:
    """Collects what the modules of a network were given and what they returned, by their names."""

    WANTED = (
        "inputs.",
        "encode128.",
        "encode64.",
        "adapters.",
        "bottleneck",
        "generate",
        "embed",
        "project",
        "surface",
    )

    def __init__(self, network: nn.Module) -> None:
        self.network, self.handles = network, []
        self.given: dict[str, tuple] = {}
        self.returned: dict[str, Tensor] = {}

    def __enter__(self) -> "Captured":
        for name, module in self.network.named_modules():
            if name.startswith(self.WANTED) and name.count(".") <= 2:
                self.handles.append(module.register_forward_hook(self._keep(name)))
        return self

    def __exit__(self, *_error: object) -> None:
        for handle in self.handles:
            handle.remove()

    def _keep(self, name: str):
        def hook(_module: nn.Module, given: tuple, returned: Tensor) -> None:
            self.given[name] = tuple(g.clone() if isinstance(g, Tensor) else g for g in given)
            self.returned[name] = returned.clone()

        return hook
