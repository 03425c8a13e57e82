"""What another number of threads changes in a scene: the bundled photos with one thread and with two, by each checkpoint.

python -m eval.faults.threads [--json FILE]
"""

import argparse
import json
from pathlib import Path

import torch

from eval.faults.command import keep
from panoptic3d import PanopticScene, Predictor
from panoptic3d.models.checkpoints.find import shipped_checkpoints
from panoptic3d.packaged import photos_folder


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    for name in shipped_checkpoints():
        predictor = Predictor(name, device="cpu")
        result = {photo.stem: changed(predictor, photo) for photo in sorted(photos_folder().glob("*.jpg"))}
        print(name, json.dumps(result), flush=True)
        if arguments.json:
            keep(Path(arguments.json), name, result)
    return 0


def changed(predictor: Predictor, photo: Path) -> dict:
    one, two = (_with_threads(predictor, photo, num) for num in (1, 2))
    gap = (one.distance_vox - two.distance_vox).abs()
    is_relabelled = (one.semantic != two.semantic) | (one.instance != two.instance)
    return {
        "labelled_voxels": int((one.semantic != 0).sum()),
        "with_another_label": int(is_relabelled.sum()),
        "farther_than_a_thousandth": int((gap > 1e-3).sum()),
        "most_of_the_others_vox": float(gap[gap <= 1e-3].max()),
    }


def _with_threads(predictor: Predictor, photo: Path, num: int) -> PanopticScene:
    torch.set_num_threads(num)
    return predictor(photo)


if __name__ == "__main__":
    raise SystemExit(main())
