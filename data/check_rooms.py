"""Make rooms from many seeds and count their faults: `python data/check_rooms.py --num 1000`.

Prints one line a faulty room and a JSON summary; exit code 1 if anything was found.
"""

import argparse
import json
import sys
import time
from collections import Counter

from panoptic3d.rooms.checks import check_room
from panoptic3d.rooms.layout import LayoutConfig, make_room


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0, metavar="SEED")
    parser.add_argument("--num", type=int, default=1000, metavar="N")
    parser.add_argument("--library", metavar="DIR", help="made by `panoptic3d data assets`")
    arguments = parser.parse_args()
    options = LayoutConfig(library=arguments.library)
    faults: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    num_faulty, made_s, checked_s = 0, 0.0, 0.0
    for seed in range(arguments.first, arguments.first + arguments.num):
        start = time.process_time()
        scene = make_room(seed, options)
        made = time.process_time()
        found = check_room(scene)
        made_s, checked_s = made_s + made - start, checked_s + time.process_time() - made
        counts += Counter({"things": sum(p.is_thing for p in scene.parts), "views": len(scene.views)})
        counts += Counter({"triangles": sum(len(p.mesh.triangles) for p in scene.parts)})
        num_faulty += bool(found)
        faults.update(fault.kind for fault in found)
        if found:
            print(f"seed {seed} ({scene.room_type}): {'; '.join(map(str, found))}", flush=True)
    per_room = {name: round(count / arguments.num, 2) for name, count in counts.items()}
    seconds = {"make_cpu_s": round(made_s / arguments.num, 3), "check_cpu_s": round(checked_s / arguments.num, 3)}
    print(
        json.dumps(
            {"rooms": arguments.num, "faulty": num_faulty, "faults": dict(faults), "per_room": per_room | seconds}
        )
    )
    return 1 if num_faulty else 0


if __name__ == "__main__":
    sys.exit(main())
