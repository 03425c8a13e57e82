"""A packed data set gives the very score of the files that it was packed from."""

import json

from panoptic3d.data.packed.pack import pack_root
from panoptic3d.data.roots import open_root
from panoptic3d.engine.evaluation.run import carry_out
from tests.data.conftest import CAMERA, GRID
from tests.engine.conftest import Workshop, open_small


def test_packing_changes_no_score(workshop: Workshop) -> None:
    packed = workshop.folder / "packed"
    report = pack_root(open_small(str(workshop.data)), packed, workshop.keys)
    assert not report.failed
    results = []
    for root in (workshop.data, packed):
        carry_out(workshop.order(data=str(root), protocols=("strict", "panorecon", "buol")))
        results.append(json.loads((workshop.folder / "out.json").read_text()))
    for released, of_packed in zip(*results, strict=True):
        for key in ("prq", "rsq", "rrq", "per_class", "per_scene", "voxels"):
            assert released[key] == of_packed[key]
    assert open_root(packed, camera=CAMERA, grid=GRID).layout == "packed"
