"""Training steps of two checkouts, or of two configs, in turns: on a machine with other work, only turns can be compared.

    python eval/speed/train_parts/side_by_side.py --checkout . --checkout ../before --case configs/clearview/tiny.yaml:joint \
        --set data.root=ROOT data.split=null data.validation_split=null start_from=panoptic3d/weights/tiny \
        settings.imagenet=false settings.keeps_norms=true

Prints the CPU seconds a sample of every turn and their median. A checkout must have `bench train`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--checkout", action="append", required=True, type=Path, metavar="DIR")
    parser.add_argument("--case", action="append", required=True, metavar="CONFIG:STAGE")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="change keys of every config")
    parser.add_argument("--turns", type=int, default=3, metavar="N")
    parser.add_argument("--steps", type=int, default=4, metavar="N", help="measured in each turn")
    arguments = parser.parse_args()
    seconds: dict[tuple[str, str], list[float]] = {}
    for _ in range(arguments.turns):
        for checkout in arguments.checkout:
            for case in arguments.case:
                cost = _cpu_s_a_sample(checkout, case, arguments.set, arguments.steps)
                seconds.setdefault((str(checkout), case), []).append(cost)
                print(f"{checkout}  {case}  {cost:.3f}", file=sys.stderr)
    for (checkout, case), costs in seconds.items():
        turns = ", ".join(f"{cost:.3f}" for cost in costs)
        print(f"{checkout}  {case}  median {statistics.median(costs):.3f} CPU s a sample (turns: {turns})")
    return 0


def _cpu_s_a_sample(checkout: Path, case: str, changes: list[str], steps: int) -> float:
    command = [
        sys.executable,
        "-m",
        "panoptic3d",
        "bench",
        "train",
        "--case",
        case,
        "--steps",
        str(steps),
        "--set",
        *changes,
    ]
    environment = os.environ | {"PYTHONPATH": str(checkout.resolve()), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=checkout, env=environment, check=True, capture_output=True, text=True)
    (figures,) = json.loads(done.stdout)["cases"].values()
    if "error" in figures:
        raise SystemExit(f"{checkout}: {figures['error']}")
    width = figures["samples_per_s"] / figures["steps_per_s"]  # samples a step
    return figures["cpu_s_a_step"] / width


if __name__ == "__main__":
    sys.exit(main())
