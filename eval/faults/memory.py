"""Memory over hundreds of photos: a `Predictor` in a loop, and one `panoptic3d predict` of a folder. The network is real in
the first and stood in for in the second, whose scenes go to the disk; `--way predict` has both and takes its time.

    python -m eval.faults.memory --num 200 --json eval/results/faults/memory.json

Prints the resident memory along the way, and how much more the last fifth takes than the second one (the first warms up).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

from PIL import Image

from eval.faults.command import keep

_PHOTOS = Path(__file__).resolve().parents[2] / "data" / "photos"
_SIZE = (160, 120)
_WAYS = ("predictor", "predict, network stood in for", "predict")
_LIMIT = 0.05  # of growth
_LOOP = """
import sys
from pathlib import Path
from panoptic3d import Predictor
predictor = Predictor(device="cpu")
for path in sorted(Path(sys.argv[1]).iterdir()):
    predictor(path)
    Path(sys.argv[2], path.stem).mkdir()
"""
_STAND_IN = """
import sys
import panoptic3d.predictor.predictor as module
from panoptic3d.cli import main
from tests.predictor.echo import Echo
module.open_network = lambda *_: Echo()
sys.exit(main())
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--num", type=int, default=200, metavar="N", help="photos")
    parser.add_argument("--way", action="append", choices=_WAYS)
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        result = {way: measure(Path(name), way, arguments.num) for way in arguments.way or _WAYS[:2]}
    print(json.dumps(result, indent=1))
    for way, one in result.items() if arguments.json else ():
        keep(Path(arguments.json), way, one)
    return 0 if all(one["growth"] <= _LIMIT for one in result.values()) else 1


def measure(folder: Path, way: str, num: int) -> dict:
    photos, out = folder / "photos", folder / way
    make_photos(photos, num)
    out.mkdir()
    predict = ["predict", str(photos), "--out", str(out), "--device", "cpu"]
    words = {
        "predictor": ["-c", _LOOP, str(photos), str(out)],
        "predict, network stood in for": ["-c", _STAND_IN, *predict],
        "predict": ["-m", "panoptic3d", *predict],
    }[way]
    peak_mb = dict(watched(words, out))
    assert num_done(out) == num, f"only {num_done(out)} of {num} photos are done"
    return {"num": num, **growth_of([peak_mb[done] for done in sorted(peak_mb)])}


def growth_of(peak_mb: list[float]) -> dict:
    """Peaks of a photo go up and down with its scene, so fifths are compared."""
    fifth = len(peak_mb) // 5
    early, late = mean(peak_mb[fifth : 2 * fifth]), mean(peak_mb[-fifth:])
    return {
        "resident_mb_of_fifths": [round(mean(peak_mb[i * fifth : (i + 1) * fifth])) for i in range(5)],
        "most_mb": round(max(peak_mb)),
        "growth": round(late / early - 1, 4),
    }


def watched(words: list[str], out: Path) -> Iterator[tuple[int, float]]:
    """Photos done so far, and the most resident memory seen while the next one was made."""
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL)
    most: dict[int, float] = {}
    while process.poll() is None:
        done, memory_mb = num_done(out), resident_mb(process.pid)
        if memory_mb is not None and done:
            most[done] = max(most.get(done, 0.0), memory_mb)
        time.sleep(0.05)
    assert process.returncode == 0, process.returncode
    yield from most.items()


def num_done(out: Path) -> int:
    return sum(path.is_dir() and not path.name.startswith(".") for path in out.iterdir())


def resident_mb(process: int) -> float | None:
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, IndexError):  # it has just ended
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def make_photos(folder: Path, num: int) -> None:
    """Crops of the bundled photos, no two alike."""
    if folder.exists():
        return
    folder.mkdir()
    for number in range(num):
        names = sorted(_PHOTOS.glob("*.jpg"))
        with Image.open(names[number % len(names)]) as photo:
            room = [photo.width // 6, photo.height // 6]
            left, top = (number * 7) % room[0], (number * 5) % room[1]
            box = (left, top, left + photo.width - room[0], top + photo.height - room[1])
            photo.crop(box).resize(_SIZE).save(folder / f"{number:04}.png")


if __name__ == "__main__":
    raise SystemExit(main())
