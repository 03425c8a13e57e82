"""A data root of four tiny rooms, and a method that is nearly right on them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from panoptic3d.data.front3d_writer import write_front3d_sample, write_frustum_mask
from panoptic3d.data.predictions import write_prediction
from panoptic3d.data.roots import DataRoot, open_root
from panoptic3d.engine.evaluation.run import EvaluationOrder
from panoptic3d.structures.scene import PanopticScene
from tests.data.conftest import CAMERA, GRID, make_sample


def open_small(root: str) -> DataRoot:
    return open_root(root, camera=CAMERA, grid=GRID)


@dataclass(frozen=True)
class Workshop:
    """Where an evaluation works."""

    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def predictions(self) -> Path:
        return self.folder / "predictions"

    @property
    def split(self) -> Path:
        return self.folder / "test.txt"

    @property
    def keys(self) -> list[str]:
        return self.split.read_text().split()

    def prediction(self, key: str) -> Path:
        return self.predictions / f"{key.replace('/', '_')}.npz"

    def order(self, **changes) -> EvaluationOrder:
        fields = {
            "data": str(self.data),
            "split": str(self.split),
            "predictions": str(self.predictions),
            "rescore": None,
            "protocols": ("strict",),
            "json": str(self.folder / "out.json"),
            "open_data": open_small,
        }
        return EvaluationOrder(**(fields | changes))


@pytest.fixture(scope="session")
def finished_workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Predictions are the ground truth, those of scene `b` a voxel too deep."""
    shop = Workshop(tmp_path_factory.mktemp("workshop"))
    shop.predictions.mkdir()
    keys = ["a/0000", "a/0001", "b/0000", "c/0000"]
    for seed, key in enumerate(keys):
        scene, _, frame = key.partition("/")
        sample = replace(make_sample(seed, frame), scene=scene)
        assert sample.truth is not None
        sample = replace(sample, instance_2d=torch.where(sample.semantic_2d == 4, 28, sample.instance_2d))
        write_front3d_sample(shop.data, sample)
        write_frustum_mask(shop.data, sample.truth.frustum_mask)
        predicted = PanopticScene.from_truth(sample.truth, CAMERA)
        if scene == "b":
            columns = (predicted.distance_vox, predicted.semantic, predicted.instance)
            distance, semantic, instance = (torch.roll(volume, 1, 2) for volume in columns)
            predicted = replace(predicted, distance_vox=distance, semantic=semantic, instance=instance)
        write_prediction(shop.prediction(key), predicted)
    shop.split.write_text("".join(f"{key}\n" for key in keys))
    return shop


@pytest.fixture
def workshop(finished_workshop: Workshop, tmp_path: Path) -> Workshop:
    """One to break things in."""
    import shutil

    shutil.copytree(finished_workshop.folder, tmp_path / "shop")
    return Workshop(tmp_path / "shop")


@pytest.fixture
def spoil() -> Callable[..., None]:
    def change(path: Path, **arrays: np.ndarray | None) -> None:
        with np.load(path) as file:
            kept = {key: file[key] for key in file.files} | arrays
        np.savez(path, **{key: array for key, array in kept.items() if array is not None})

    return change
