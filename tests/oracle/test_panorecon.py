"""PanoRecon stage by stage against the public reference implementation, within the folder's own tolerances."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from panoptic3d.geometry.voxels import linear_index
from panoptic3d.models.instance_decode.config import InstanceDecodeConfig
from panoptic3d.models.instance_decode.labels import Labelled, panoptic_labels
from panoptic3d.models.panorecon.config import FAITHFUL
from panoptic3d.models.panorecon.family import PANORECON
from panoptic3d.models.pipeline import Pipeline
from panoptic3d.structures.sparse_voxels import SparseVoxels
from panoptic3d.structures.taxonomy import FRONT3D_TAXONOMY
from tests.oracle.comparing import bits, check, check_sparse, check_table, coords_sha256, stats_of, tolerance_of
from tests.oracle.conftest import KINDS, root_of_kind
from tests.oracle.panorecon_folder import OracleFolder
from tests.oracle.panorecon_run import Run, load_pipeline, run_frame

_SHAPE = (256, 256, 256)
# The reference with one thread against two differs in 0.02 % of the labels; the fill then copies each several times.
_LABELS_THAT_MAY_DIFFER = 2e-3


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "frame" not in metafunc.fixturenames:
        return
    root = root_of_kind(metafunc.config, "panorecon")
    if root is None:
        reason = f"needs --oracle-root with {KINDS['panorecon']} in it"
        metafunc.parametrize("frame", [pytest.param(None, marks=pytest.mark.skip(reason=reason))])
        return
    metafunc.parametrize("frame", OracleFolder(root).frames, scope="module")


@pytest.fixture(scope="module")
def folder(panorecon_root: Path) -> OracleFolder:
    return OracleFolder(panorecon_root)


@pytest.fixture(scope="module")
def pipeline(folder: OracleFolder) -> Pipeline:
    return load_pipeline(folder)


@pytest.fixture(scope="module")
def run(pipeline: Pipeline, folder: OracleFolder, frame: str) -> Run:
    return run_frame(pipeline, folder, frame)


def test_the_weights_are_the_stated_ones_and_survive_the_round_trip(folder: OracleFolder, pipeline: Pipeline) -> None:
    import json

    check = json.loads((folder.root / "weights_check.json").read_text())
    state = PANORECON.state_of(pipeline)
    assert set(state) == {name for name, _ in folder.names_shapes}
    digest = hashlib.sha256()
    for name, shape in folder.names_shapes:
        assert tuple(state[name].shape) == shape
        digest.update(state[name].numpy().tobytes())
    assert digest.hexdigest() == check["sha256_float32_in_key_order"]


def test_input(run: Run, folder: OracleFolder, frame: str) -> None:
    pixels = run.fitted.pixels[0]
    stage = folder.recorded(frame, "stage2d")
    assert hashlib.sha256(pixels.numpy().tobytes()).hexdigest() == str(stage["input_sha256"])


@pytest.mark.parametrize("name", ["C1", "C2", "C3", "C4", "features"])
def test_feature_maps(run: Run, folder: OracleFolder, frame: str, name: str) -> None:
    maps = dict(zip(("C1", "C2", "C3", "C4"), run.pyramid, strict=True), features=run.rays.features)
    check_table(name, maps[name][0].flatten(1).t(), folder.recorded(frame, "stage2d"), folder)


def test_depth(run: Run, folder: OracleFolder, frame: str) -> None:
    check("depth", run.rays.depth_m[0], folder.recorded(frame, "stage2d")["depth"], folder)


def test_proposals(run: Run, folder: OracleFolder, frame: str) -> None:
    stage = folder.recorded(frame, "stage2d")
    check("rpn_logits", run.maps.logits[0], stage["rpn_logits"], folder)
    check("rpn_regression", run.maps.regression[0], stage["rpn_regression"], folder)
    check("proposal_boxes", run.proposals.boxes_px, stage["proposal_boxes"], folder)
    check("proposal_scores", run.proposals.scores, stage["proposal_scores"], folder)


def test_detections(run: Run, folder: OracleFolder, frame: str) -> None:
    recorded, found = folder.recorded(frame, "detections"), run.panoptic.instances[0]
    check("box_logits", run.box_logits, recorded["box_logits"], folder)
    check("box_regression", run.box_codes, recorded["box_regression"], folder)
    check("boxes", found.boxes_px, recorded["boxes"], folder)
    check("scores", found.scores, recorded["scores"], folder)
    assert found.class_ids.tolist() == recorded["labels"].tolist()
    assert found.is_confident.nonzero()[:, 0].tolist() == recorded["kept_index"].tolist()
    assert found.confident.class_ids.tolist() == recorded["kept_labels"].tolist()
    check("boxes", found.confident.boxes_px, recorded["kept_boxes"], folder)
    assert recorded["locations"].tolist() == list(range(len(found)))


def test_masks(run: Run, folder: OracleFolder, frame: str) -> None:
    """The probabilities were stored as 255ths: half of one is theirs, the rest is ours."""
    recorded, found = folder.recorded(frame, "detections"), run.panoptic.instances[0]
    tolerance = tolerance_of("raw masks (float)", folder)
    difference = np.abs(found.masks.numpy() * 255.0 - recorded["raw_masks_u8"])
    assert difference.max() <= 0.5 + 255 * tolerance
    is_mask = recorded["binary_masks"].astype(bool)
    differs = (found.masks.numpy() > 0.5) != is_mask
    assert (np.abs(found.masks.numpy()[differs] - 0.5) <= tolerance).all()
    # Logits of masks come from the last layers of the box head's twin and share its tolerance.
    check("box_logits", run.mask_logits, recorded["mask_logits_of_label"], folder)
    sums = found.masks.double().sum(dim=(1, 2)).numpy()
    assert (
        np.abs(sums - recorded["raw_masks_sum"]).max() <= tolerance * (recorded["raw_masks_u8"] > 0).sum((1, 2)).max()
    )


def test_lifting(run: Run, folder: OracleFolder, frame: str) -> None:
    recorded = folder.recorded(frame, "projection")
    coords = run.lifted.voxels.coords[:, 1:]
    assert np.array_equal(coords.numpy(), recorded["coordinates"])
    assert np.array_equal(run.placed.point.numpy(), recorded["point_index"])
    check_sparse("input", run.lifted.features, run.lifted.voxels, recorded, recorded, folder, "input (98 ch)")


_SPARSE = {
    "enc_depth": "inputs.depth",
    "enc_features": "inputs.features",
    "enc_instances": "inputs.instances",
    "E128_block0": "encode128.0",
    "E128": "encode128.1",
    "E64_block0": "encode64.0",
    "E64": "encode64.1",
    "G128": "generate128",
    "G256": "generate256",
}


def encoded_rows(run: Run, name: str) -> tuple[Tensor, SparseVoxels | None]:
    voxels = {
        "enc": run.lifted.voxels,
        "G128": run.levels[1].candidates,
        "G256": run.levels[2].candidates,
    }
    return run.inside[_SPARSE[name]], voxels.get(name.split("_")[0])


@pytest.mark.parametrize("name", _SPARSE)
def test_sparse_features(run: Run, folder: OracleFolder, frame: str, name: str) -> None:
    recorded = folder.recorded(frame, "sparse3d")
    rows, voxels = encoded_rows(run, name)
    tolerance = name.removesuffix("_block0")
    if voxels is None:  # the encoder's coarser sets go no further than the network: their order says it all
        assert len(rows) == int(recorded[f"{name}_count"])
        check_table(name, rows, recorded, folder, tolerance)
    else:
        check_sparse(name, rows, voxels, recorded, recorded, folder, tolerance)


def test_dense_features(run: Run, folder: OracleFolder, frame: str) -> None:
    recorded = folder.recorded(frame, "dense")
    for number, name in enumerate(("dense32", "dense16", "dense8")):
        check_table(name, _rows(run.inside[f"bottleneck.down.{number}"]), recorded, folder)
    volume = run.inside["bottleneck"]
    inside = run.lifted.is_in_frustum[0].flatten()
    check("F64", _rows(volume)[recorded["F64_index"]], recorded["F64_values"], folder)
    check("F64", stats_of(_rows(volume)[inside]), recorded["F64_stats"], folder)
    check("F64", stats_of(_rows(volume)[inside][:, 32:]), recorded["up64_stats"], folder)


def test_heads_at_64(run: Run, folder: OracleFolder, frame: str) -> None:
    recorded, level = folder.recorded(frame, "heads"), run.levels[0]
    cells = linear_index(level.candidates.coords[:, 1:], level.candidates.shape)
    occupancy = torch.zeros(64**3).index_copy_(0, cells, level.occupancy_logit).view(64, 64, 64)
    check("occupancy_64", occupancy, recorded["occupancy_64"], folder)
    is_kept = torch.zeros(64**3, dtype=torch.bool).index_copy_(0, cells, level.is_kept)
    assert np.array_equal(np.packbits(is_kept.numpy()), recorded["kept_64_bits"])
    assert int(level.is_kept.sum()) == int(recorded["kept_64_count"])
    for name, logits in (("instance_64", level.instance_logits), ("semantic_64", level.semantic_logits)):
        assert logits is not None
        at = torch.searchsorted(cells, torch.from_numpy(recorded[f"{name}_index"]))
        check(name, logits[at], recorded[f"{name}_values"], folder)
        labels = torch.zeros(64**3, dtype=torch.int64).index_copy_(0, cells, logits.argmax(dim=1))
        differs = labels.numpy() != recorded[f"{name}_label"].ravel()
        assert differs.mean() <= _LABELS_THAT_MAY_DIFFER


def test_heads_at_128(run: Run, folder: OracleFolder, frame: str) -> None:
    heads, level = folder.recorded(frame, "heads"), run.levels[1]
    sparse = folder.recorded(frame, "sparse3d")
    check_sparse("occupancy_128", level.occupancy_logit[:, None], level.candidates, heads, sparse, folder, like="G128")
    assert level.instance_logits is not None
    assert level.semantic_logits is not None
    check_sparse("instance_128", level.instance_logits, level.voxels, heads, sparse, folder, like="C128")
    check_sparse("semantic_128", level.semantic_logits, level.voxels, heads, sparse, folder, like="C128")
    kept = level.candidates.coords[level.is_kept, 1:]
    assert np.array_equal(kept.numpy(), np.argwhere(bits(heads["kept_128_bits"], 128)))
    assert coords_sha256(2 * kept) == str(heads["kept_128_sha256"])


def test_heads_at_256(run: Run, folder: OracleFolder, frame: str) -> None:
    """The last pruning may differ in a few voxels; the rows that both have are compared."""
    heads, level = folder.recorded(frame, "heads"), run.levels[2]
    sparse = folder.recorded(frame, "sparse3d")
    check_sparse("occupancy_256", level.occupancy_logit[:, None], level.candidates, heads, sparse, folder, like="G256")
    theirs = np.argwhere(bits(folder.recorded(frame, "labels")["kept_256_bits"], 256))
    their_cells = linear_index(torch.from_numpy(theirs), _SHAPE)
    our_cells = linear_index(level.voxels.coords[:, 1:], _SHAPE)
    few = folder.tolerances["P256"]["suggested_differing_voxels"]
    assert (~torch.isin(our_cells, their_cells)).sum() + (~torch.isin(their_cells, our_cells)).sum() <= few
    tables = {
        "surface": level.distance_vox[:, None],
        "instance_256": level.instance_logits,
        "semantic_256": level.semantic_logits,
    }
    for name, rows in tables.items():
        wanted = their_cells[heads[f"{name}_index"]]
        at = torch.searchsorted(our_cells, wanted).clamp(max=len(our_cells) - 1)
        is_common = our_cells[at] == wanted
        difference = (rows[at][is_common] - torch.from_numpy(heads[f"{name}_values"])[is_common]).abs().amax(dim=1)
        assert (difference <= tolerance_of(name, folder)).float().mean() >= 0.99


def test_the_final_labels(run: Run, folder: OracleFolder, frame: str) -> None:
    """From the image (with the stored depth) to the panoptic ids."""
    recorded = folder.recorded(frame, "panoptic")
    ids = recorded["panoptic_instances"]
    ours = torch.where(run.scene.instance > 0, run.scene.instance + 2, 0)
    for number, class_id in ((1, FRONT3D_TAXONOMY.id_of("wall")), (2, FRONT3D_TAXONOMY.id_of("floor"))):
        ours = torch.where((ours == 0) & (run.scene.semantic == class_id), number, ours)
    allowed = _LABELS_THAT_MAY_DIFFER * (ids > 0).sum()
    assert (ours.numpy() != ids).sum() <= allowed
    assert (run.scene.semantic.numpy() != recorded["panoptic_semantics"]).sum() <= allowed
    steps = np.abs(64 * run.scene.distance_vox.clamp(0, 3).numpy() - recorded["geometry_u8"])
    assert (steps > 0.5 + 64 * tolerance_of("surface", folder)).sum() <= allowed


def test_the_decoder_on_the_recorded_volumes(folder: OracleFolder, frame: str) -> None:
    """Needs no network. Geometry was stored in 64ths: what lies within half a step of the surface's limit is left out."""
    import json

    labels, panoptic = folder.recorded(frame, "labels"), folder.recorded(frame, "panoptic")
    coords = torch.from_numpy(np.argwhere(bits(labels["kept_256_bits"], 256)))
    i, j, k = coords.unbind(1)
    distance = torch.from_numpy(panoptic["geometry_u8"])[i, j, k].float() / 64
    instance, semantic = (
        torch.from_numpy(labels[f"{kind}_label"]).long()[i, j, k] for kind in ("instance", "semantic")
    )
    num_detections = len(folder.recorded(frame, "detections")["locations"])
    config = InstanceDecodeConfig.model_validate(FAITHFUL["decode"])
    labelled = panoptic_labels(coords, distance, instance, semantic, num_detections, FRONT3D_TAXONOMY, config)
    summary = json.loads((folder.root / frame / "summary.json").read_text())["panoptic"]
    assert labelled.class_of_id == {int(number): class_id for number, class_id in summary["mapping"].items()}
    expected = torch.from_numpy(panoptic["panoptic_instances"]).long()[i, j, k]
    is_certain = (distance - config.surface_vox).abs() > 0.5 / 64
    assert torch.equal(labelled.panoptic_ids[is_certain], expected[is_certain])
    check_uncertain(labelled, expected, is_certain)
    classes = torch.tensor([labelled.class_of_id.get(n, 0) for n in range(max(labelled.class_of_id) + 1)])
    ours = classes[labelled.panoptic_ids][is_certain]
    assert torch.equal(ours, torch.from_numpy(panoptic["panoptic_semantics"]).long()[i, j, k][is_certain])
    assert int((panoptic["panoptic_instances"] > 0).sum()) == int((expected > 0).sum())


def check_uncertain(labelled: Labelled, expected: Tensor, is_certain: Tensor) -> None:
    """What was or was not filled may differ there, and nothing else."""
    differs = (labelled.panoptic_ids != expected) & ~is_certain
    assert (labelled.panoptic_ids[differs] == 0).logical_or(expected[differs] == 0).all()


def _rows(volume: Tensor) -> Tensor:
    return volume[0].flatten(1).t()
