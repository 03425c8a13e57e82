"""Makes data/tiny again: frames of analytic box rooms, packed. `python data/make_tiny.py --out DIR`."""

import argparse
import tempfile
from pathlib import Path

from panoptic3d.data.frames import sample_from_frame
from panoptic3d.data.front3d_writer import write_front3d_sample, write_frustum_mask
from panoptic3d.data.packed.pack import pack_root
from panoptic3d.data.roots import open_root
from panoptic3d.rooms.analytic.boxes import random_room, render

SEEDS = (1, 4)


def make_tiny(out: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        released = Path(folder) / "released"
        for seed in SEEDS:
            frame = render(random_room(seed), seed=seed)
            write_front3d_sample(released, sample_from_frame(frame, f"box-room-{seed}", "0001"))
        write_frustum_mask(released, frame.frustum_mask)
        source = open_root(released)
        pack_root(source, out, source.keys(), num_jobs=1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "tiny")
    make_tiny(parser.parse_args().out)
