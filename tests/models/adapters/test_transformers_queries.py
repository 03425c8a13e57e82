"""Mask2Former and OneFormer as `transformers` has them: contract tests where it is installed, conversions everywhere."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from panoptic3d.backbones.resnet50 import ResNet50
from panoptic3d.errors import InputError
from panoptic3d.models.adapters.stage import TrunkWithPhoto
from panoptic3d.models.adapters.transformers_queries import TransformersQueries, ask, load_model, our_classes
from panoptic3d.models.mask_transformer.config import MaskTransformerConfig, MergeConfig
from panoptic3d.models.mask_transformer.decision import DEPTH, FEATURES
from panoptic3d.models.mask_transformer.stage import SegmentDepth
from panoptic3d.models.slots import CLASS_MAP, Panoptic2D
from panoptic3d.models.surface_lift.feature_config import FeatureLiftConfig
from panoptic3d.models.surface_lift.feature_lift import FeatureLift
from panoptic3d.models.uni3d.fit import PaddedFit, PaddedFitConfig
from panoptic3d.optional import status
from panoptic3d.structures.camera import Camera
from panoptic3d.structures.taxonomy import CHAIR, FRONT3D_TAXONOMY, TABLE, VOID, WALL

CAMERA = Camera.from_fov(60.0, 96, 48)
CLASSES = {0: TABLE, 1: TABLE, 2: TABLE, 3: TABLE, 4: WALL}  # four of five, so that an untrained model finds something
EVERYTHING = MaskTransformerConfig(merge=MergeConfig(min_score=0.0, min_overlap=0.0))


def test_labels_of_one_class_add_up_and_others_are_void() -> None:
    logits = torch.tensor([[[0.1, 0.2, 0.2, 0.1, 0.4]]]).log()
    ours = our_classes(logits, {0: CHAIR, 1: CHAIR, 2: TABLE}, len(FRONT3D_TAXONOMY)).softmax(dim=2)[0, 0]
    expected = torch.zeros(14)
    expected[CHAIR], expected[TABLE], expected[VOID], expected[13] = 0.3, 0.2, 0.1, 0.4
    torch.testing.assert_close(ours, expected)


def stage_of(model: nn.Module, task_inputs: Tensor | None = None) -> TransformersQueries:
    def two_metres(photo: Tensor, cameras: tuple[Camera, ...]) -> Tensor:
        assert photo.shape[2:] == (48, 96)  # without the padding
        return torch.full((len(photo), 48, 96), 2.0)

    return TransformersQueries(model, two_metres, CLASSES, EVERYTHING, FRONT3D_TAXONOMY, task_inputs)


def check(model: nn.Module, task_inputs: Tensor | None = None) -> None:
    """In the slot: kept queries with embeddings, maps that the lift of Uni-3D takes, depth from outside."""
    image = torch.randint(0, 256, (2, 3, 48, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    fitted = PaddedFit(PaddedFitConfig(shorter_px=48))(image, (CAMERA, CAMERA))
    trunk = TrunkWithPhoto(ResNet50(width=8).eval())
    with torch.no_grad():
        pyramid = trunk(fitted.pixels)
        found: Panoptic2D = stage_of(model, task_inputs)(pyramid, fitted.cameras)
        rays = SegmentDepth()(pyramid, fitted.cameras, found)
        lifted = FeatureLift(FeatureLiftConfig())(rays, found)
    assert torch.equal(found.maps[DEPTH], torch.full((2, 24, 48), 2.0))
    assert found.maps[FEATURES].shape == (2, 32, 24, 48)
    assert found.maps[CLASS_MAP].shape == (2, len(FRONT3D_TAXONOMY), 24, 48)
    assert lifted.features.shape[1] == 2 + 32 + len(FRONT3D_TAXONOMY)
    for instances, queries in zip(found.instances, lifted.queries, strict=True):
        assert instances.masks.shape == (len(instances), 24, 48)
        assert set(instances.class_ids.tolist()) <= {TABLE, WALL}
        assert queries.shape == (len(instances), 32)
    assert sum(len(instances) for instances in found.instances) > 0


def needs_transformers() -> None:
    state, why = status("transformers")
    if state != "works":
        pytest.skip(f"transformers is {state} here: {why}")


def swin():
    from transformers import SwinConfig

    stages = ["stage1", "stage2", "stage3", "stage4"]
    return SwinConfig(image_size=64, embed_dim=8, depths=[1] * 4, num_heads=[1] * 4, window_size=4, out_features=stages)


@pytest.mark.slow
def test_mask2former(tmp_path: Path) -> None:
    """As it is drawn from its config, and from a folder."""
    needs_transformers()
    from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "feature_size": 32, "mask_feature_size": 32, "num_queries": 7, "num_labels": 5}
    layers = {"encoder_layers": 1, "decoder_layers": 2, "num_attention_heads": 2}
    model = Mask2FormerForUniversalSegmentation(Mask2FormerConfig(backbone_config=swin(), **sizes, **layers)).eval()
    check(model)
    model.save_pretrained(tmp_path / "model")
    again = load_model(tmp_path / "model").eval()
    image = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(ask(again, image).mask_logits, ask(model, image).mask_logits)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="save_pretrained"):
        load_model(tmp_path / "empty")


@pytest.mark.slow
def test_oneformer() -> None:
    needs_transformers()
    from transformers import OneFormerConfig, OneFormerForUniversalSegmentation

    torch.manual_seed(0)
    sizes = {"hidden_dim": 32, "conv_dim": 32, "mask_dim": 32, "num_queries": 7, "num_labels": 5, "task_seq_len": 8}
    layers = {"encoder_layers": 1, "decoder_layers": 3, "num_attention_heads": 2}
    config = OneFormerConfig(backbone_config=swin(), is_training=False, **sizes, **layers)
    model = OneFormerForUniversalSegmentation(config).eval()
    check(model, torch.randint(0, 10, (1, 8)))
    with pytest.raises(InputError, match="task_inputs"):
        ask(model, torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
