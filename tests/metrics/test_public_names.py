"""The room's public names, and that they cost nothing until they are used."""

import subprocess
import sys

import panoptic3d.metrics


def test_every_name_resolves() -> None:
    for name in panoptic3d.metrics.__all__:
        assert getattr(panoptic3d.metrics, name) is not None
    assert set(dir(panoptic3d.metrics)) == set(panoptic3d.metrics.__all__)


def test_torchmetrics_is_imported_by_the_class_alone() -> None:
    script = (
        "import sys\nfrom panoptic3d.metrics import score_sample, surface_scores\nassert 'torchmetrics' not in sys.modules\n"
        "from panoptic3d.metrics import PanopticReconstructionQuality\nassert 'torchmetrics' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
