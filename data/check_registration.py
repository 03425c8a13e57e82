"""How well pixels and voxels of a data root agree: `python data/check_registration.py ROOT [--split NAME]`.

Prints the mean and the lowest share over its samples, in percent; exit code 1 if a mean is below what real frames reach.
"""

import argparse
import sys
from statistics import fmean

from panoptic3d.data.dataset import open_dataset
from panoptic3d.data.registration import Registration, measure_registration

_BARS = {"on_surface": 0.985, "class_agreement": 0.99, "instance_agreement": 0.98}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root")
    parser.add_argument("--split")
    arguments = parser.parse_args()
    dataset = open_dataset(arguments.root, arguments.split)
    found: list[Registration] = []
    for number in range(len(dataset)):
        sample = dataset[number]
        assert sample.truth is not None
        found.append(measure_registration(sample, sample.truth))
    print(f"{len(found)} samples, {sum(one.num_pixels for one in found)} pixels")
    is_good = True
    for name, bar in _BARS.items():
        shares = [getattr(one, name) for one in found]
        is_good &= fmean(shares) >= bar
        print(f"{name}: {100 * fmean(shares):.2f} % (lowest {100 * min(shares):.2f}; at least {100 * bar:.1f} wanted)")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
